// Progress as plain lines, for logs and pipes: one for each change of phase, each committed round,
// each event, and, at most every half minute, what is being waited for. A function of the views it
// is given; the caller writes the lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/dashboard/run_view.h"

namespace skerry {

class PlainProgress {
 public:
  // What is new in `view` since the last call. Lines have no line end.
  std::vector<std::string> Next(const RunView& view);

 private:
  bool has_started_ = false;
  uint64_t rounds_told_ = 0;  // up to this round
  uint64_t events_told_ = 0;
  uint64_t round_ = 0;
  std::string phase_;
  Duration waiting_told_at_{};  // by RunView::elapsed
};

// "accuracy 86.41 %, loss 0.3911, 8 of 8 nodes, 12 s, 5.2 MB down, 5.2 MB up"
// `is_hidden`: the round's cohort is secret, and only the metrics are shown.
std::string RoundText(const RoundView& round, bool is_hidden = false);

}  // namespace skerry
