#include "coordinator/dashboard/terminal_view.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/base/log.h"

namespace skerry {
namespace {

// A terminal that knows it shows everything between the two at once; others ignore them.
constexpr const char* kBeginSync = "\x1b[?2026h";
constexpr const char* kEndSync = "\x1b[?2026l";
constexpr const char* kClearToEndOfLine = "\x1b[K";
constexpr const char* kClearToEndOfScreen = "\x1b[J";

bool IsSet(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool IsDumb() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::string_view(term) == "dumb" || *term == '\0';
}

}  // namespace

bool WantsColour(int fd) { return ::isatty(fd) == 1 && !IsSet("NO_COLOR") && !IsDumb(); }

bool WantsUnicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (!IsSet(name)) continue;
    std::string value = std::getenv(name);
    std::transform(value.begin(), value.end(), value.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

TerminalSize SizeOf(int fd) {
  winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

TerminalView::TerminalView(int fd) : fd_(fd), is_live_(::isatty(fd) == 1 && !IsDumb()) {
  options_.has_colour = WantsColour(fd);
  options_.has_unicode = WantsUnicode();
  if (is_live_) SetLogHooks(&TerminalView::BeforeLog, &TerminalView::AfterLog, this);
}

TerminalView::~TerminalView() {
  if (!is_live_) return;
  SetLogHooks(nullptr, nullptr, nullptr);
  const std::lock_guard lock(mutex_);
  Write(Erase());
}

void TerminalView::Update(const RunView& view) {
  if (!is_live_) {
    std::string text;
    for (const std::string& line : plain_.Next(view)) text += line + "\n";
    Write(text);
    return;
  }
  const TerminalSize size = SizeOf(fd_);
  options_.width = size.width;
  options_.height = size.height;
  std::string frame = Render(view, options_);
  const std::lock_guard lock(mutex_);
  if (frame == frame_ && rows_drawn_ > 0) return;
  frame_ = std::move(frame);
  Write(Draw());
}

void TerminalView::BeforeLog(void* self) {
  auto& view = *static_cast<TerminalView*>(self);
  const std::lock_guard lock(view.mutex_);
  view.Write(view.Erase());
}

void TerminalView::AfterLog(void* self) {
  auto& view = *static_cast<TerminalView*>(self);
  const std::lock_guard lock(view.mutex_);
  if (!view.frame_.empty()) view.Write(view.Draw());
}

std::string TerminalView::Erase() {
  if (rows_drawn_ == 0) return {};
  std::string text = fmt::format("\x1b[{}A\r{}", rows_drawn_, kClearToEndOfScreen);
  rows_drawn_ = 0;
  return text;
}

// Over the old rows, each cleared behind its new text: nothing is blank in between, so nothing
// flickers. The cursor rests on the line below the view.
std::string TerminalView::Draw() {
  std::string text = kBeginSync;
  if (rows_drawn_ > 0) text += fmt::format("\x1b[{}A\r", rows_drawn_);
  rows_drawn_ = 0;
  for (const char c : frame_) {
    if (c != '\n') {
      text += c;
      continue;
    }
    text += kClearToEndOfLine;
    text += "\r\n";
    ++rows_drawn_;
  }
  text += kClearToEndOfScreen;
  return text + kEndSync;
}

void TerminalView::Write(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace skerry
