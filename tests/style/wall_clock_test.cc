// The programs do not depend on the time of day, which may jump: it is read in a few places, to be
// written down for people, and never compared or reckoned with.
#include <regex>
#include <set>

#include "tests/style/source_tree.h"

namespace skerry {
namespace {

TEST(WallClockTest, NothingButTheClockAsksForTheTimeOfDay) {
  const std::regex banned(
      R"(gettimeofday|clock_gettime|\btime\((nullptr|NULL|0|&)|localtime|CURRENT_TIME|'now')");
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    for (const std::string& line : source.lines) {
      EXPECT_FALSE(std::regex_search(line, banned)) << source.path << ": " << line;
    }
  }
}

// Each hands it on to what is stored: run.db and an agent's ledger, as a note.
TEST(WallClockTest, OnlyShellsAskTheClockForIt) {
  std::set<std::string> asking;
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    if (source.path.starts_with("common/base/clock.")) continue;
    for (const std::string& line : source.lines) {
      if (line.find("WallUnixMs()") != std::string::npos) asking.insert(source.path);
    }
  }
  EXPECT_FALSE(asking.empty());
  for (const std::string& path : asking) {
    EXPECT_TRUE(path.starts_with("agent/shell/") || path.starts_with("coordinator/shell/")) << path;
  }
}

TEST(WallClockTest, NobodyComparesItOrReckonsWithIt) {
  const std::regex banned(
      R"(\s(<|>|<=|>=|\+|-|==)\s+[\w.>-]*unix_ms|unix_ms\s+(<|>|<=|>=|\+|-|==)\s|BY \w*unix_ms)");
  ASSERT_TRUE(std::regex_search("if (now.unix_ms - started_unix_ms > 5)", banned));
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    for (const std::string& line : source.lines) {
      EXPECT_FALSE(std::regex_search(line, banned)) << source.path << ": " << line;
    }
  }
}

}  // namespace
}  // namespace skerry
