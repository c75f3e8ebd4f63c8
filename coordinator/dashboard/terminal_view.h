// The live view on a terminal, or plain lines where stderr is none. Log lines written meanwhile
// (common/base/log.h) appear above the view.
//
// Made and updated by the shell's thread; log lines may come from any thread. At most one at a
// time, because the log has one pair of hooks.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "coordinator/dashboard/plain_progress.h"
#include "coordinator/dashboard/render.h"
#include "coordinator/dashboard/run_view.h"

namespace skerry {

class TerminalView {
 public:
  // `fd` is usually stderr. What it can do is asked of it and of NO_COLOR, TERM and the locale.
  explicit TerminalView(int fd);
  // Removes the view from the screen, so that what follows (the closing table) stands alone.
  ~TerminalView();
  TerminalView(const TerminalView&) = delete;
  TerminalView& operator=(const TerminalView&) = delete;

  // Draws `view` over the last one; several times a second is right. Output that fails (a closed
  // pipe) is dropped: nobody is looking.
  void Update(const RunView& view);

  bool is_live() const { return is_live_; }

 private:
  static void BeforeLog(void* self);
  static void AfterLog(void* self);
  void Write(std::string_view text) const;
  std::string Erase();
  std::string Draw();

  const int fd_;
  bool is_live_ = false;
  RenderOptions options_;
  PlainProgress plain_;
  std::mutex mutex_;       // guards all below
  std::string frame_;      // last rendered text
  size_t rows_drawn_ = 0;  // 0: nothing is on the screen
};

// Whether escapes for colour are welcome on `fd`: a terminal, NO_COLOR not set, TERM not dumb.
bool WantsColour(int fd);
// Whether the locale writes UTF-8.
bool WantsUnicode();
// Columns and rows; 80 x 24 if it is not a terminal.
struct TerminalSize {
  size_t width = 80;
  size_t height = 24;
};
TerminalSize SizeOf(int fd);

}  // namespace skerry
