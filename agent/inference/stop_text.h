// Ends a generated text at the first of some strings, and lets through only what cannot become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skerry {

class StopText {
 public:
  // None of `stops` is empty.
  explicit StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What may be shown now that `text` has been added: nothing from the first stop on, and nothing
  // that could still be the beginning of one.
  std::string Push(std::string_view text);
  // The rest, once nothing more comes.
  std::string Finish();
  bool is_stopped() const { return is_stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool is_stopped_ = false;
};

}  // namespace skerry
