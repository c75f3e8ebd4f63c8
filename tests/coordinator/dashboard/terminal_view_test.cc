#include "coordinator/dashboard/terminal_view.h"

#include <cstdlib>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "tests/coordinator/dashboard/sample_view.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A terminal of its own: what is written to fd() can be read with Take().
class PseudoTerminal {
 public:
  PseudoTerminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    SKERRY_ASSERT(master_.is_open());
    SKERRY_ASSERT(::grantpt(master_.get()) == 0 && ::unlockpt(master_.get()) == 0);
    slave_ = FileDescriptor(::open(::ptsname(master_.get()), O_RDWR | O_NOCTTY));
    SKERRY_ASSERT(slave_.is_open());
    const winsize size{24, 100, 0, 0};
    SKERRY_ASSERT(::ioctl(slave_.get(), TIOCSWINSZ, &size) == 0);
  }
  int fd() const { return slave_.get(); }
  // Everything written so far. The kernel hands it over in pieces and later than write() returns,
  // so a mark is written behind it and read up to.
  std::string Take() {
    constexpr char kMark = '\x1f';
    SKERRY_ASSERT(::write(slave_.get(), &kMark, 1) == 1);
    std::string text;
    while (text.empty() || text.back() != kMark) {
      char piece[4096];
      const ssize_t got = ::read(master_.get(), piece, sizeof(piece));
      SKERRY_ASSERT(got > 0);
      text.append(piece, static_cast<size_t>(got));
    }
    text.pop_back();
    return text;
  }

 private:
  FileDescriptor master_;
  FileDescriptor slave_;
};

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class TerminalViewTest : public testing::Test {
 protected:
  TerminalViewTest() {
    ::setenv("TERM", "xterm", 1);
    ::setenv("LC_ALL", "C.UTF-8", 1);
    ::unsetenv("NO_COLOR");
  }
  PseudoTerminal terminal_;
};

TEST_F(TerminalViewTest, SecondFrameIsDrawnOverTheFirst) {
  TerminalView view(terminal_.fd());
  RunView run = SampleView();
  view.Update(run);
  const std::string first = terminal_.Take();
  const size_t rows = CountOf(first, "\r\n");
  run.round = 4;

  view.Update(run);

  EXPECT_TRUE(view.is_live());
  EXPECT_THAT(first, HasSubstr("round 3 of 10"));
  EXPECT_GT(rows, 8u);
  EXPECT_THAT(terminal_.Take(), HasSubstr("\x1b[" + std::to_string(rows) + "A\r"));
}

TEST_F(TerminalViewTest, FrameThatDidNotChangeIsNotDrawnAgain) {
  TerminalView view(terminal_.fd());
  view.Update(SampleView());
  terminal_.Take();

  view.Update(SampleView());

  EXPECT_EQ(terminal_.Take(), "");
}

TEST_F(TerminalViewTest, LogLineFindsAClearedScreenAndTheViewComesBackBelow) {
  SetUpLogging("test", LogLevel::kInfo);
  TerminalView view(terminal_.fd());
  view.Update(SampleView());
  terminal_.Take();

  LogInfo("a line");  // itself goes to stderr, not to this terminal

  const std::string text = terminal_.Take();
  const size_t cleared = text.find("\x1b[J");
  const size_t drawn = text.find("round 3 of 10");
  ASSERT_NE(cleared, std::string::npos);
  ASSERT_NE(drawn, std::string::npos);
  EXPECT_LT(cleared, drawn);
}

TEST_F(TerminalViewTest, NothingIsLeftOnTheScreenAtTheEnd) {
  {
    TerminalView view(terminal_.fd());
    view.Update(SampleView());
    terminal_.Take();
  }
  EXPECT_THAT(terminal_.Take(), testing::EndsWith("A\r\x1b[J"));
}

TEST_F(TerminalViewTest, NoColorIsRespected) {
  ::setenv("NO_COLOR", "1", 1);
  TerminalView view(terminal_.fd());

  view.Update(SampleView());

  EXPECT_THAT(terminal_.Take(), Not(HasSubstr("\x1b[32m")));
}

TEST_F(TerminalViewTest, PipeGetsPlainLines) {
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  const FileDescriptor reader(ends[0]);
  {
    const FileDescriptor writer(ends[1]);
    TerminalView view(writer.get());
    view.Update(SampleView());
    EXPECT_FALSE(view.is_live());
  }

  std::string text(4096, '\0');
  const ssize_t got = ::read(reader.get(), text.data(), text.size());
  ASSERT_GT(got, 0);
  text.resize(static_cast<size_t>(got));
  EXPECT_THAT(text, StartsWith("fashion_cnn: 10 rounds"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(WantsUnicodeTest, FirstOfTheLocaleVariablesThatIsSetDecides) {
  ::setenv("LC_ALL", "", 1);
  ::unsetenv("LC_CTYPE");
  ::setenv("LANG", "de_DE.UTF-8", 1);
  EXPECT_TRUE(WantsUnicode());
  ::setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(WantsUnicode());
}

}  // namespace
}  // namespace skerry
