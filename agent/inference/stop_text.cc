#include "agent/inference/stop_text.h"

#include <algorithm>
#include <utility>

namespace skerry {
namespace {

// Bytes at the end of `text` that are the beginning of `stop`.
size_t Overlap(std::string_view text, std::string_view stop) {
  for (size_t size = std::min(text.size(), stop.size() - 1); size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

std::string StopText::Push(std::string_view text) {
  if (is_stopped_) return {};
  held_ += text;
  size_t first = std::string::npos;
  size_t kept = 0;
  for (const std::string& stop : stops_) {
    first = std::min(first, held_.find(stop));
    kept = std::max(kept, Overlap(held_, stop));
  }
  if (first != std::string::npos) {
    is_stopped_ = true;
    held_.resize(first);
    return std::exchange(held_, {});
  }
  std::string shown = held_.substr(0, held_.size() - kept);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopText::Finish() { return std::exchange(held_, {}); }

}  // namespace skerry
