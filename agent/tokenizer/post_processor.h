// The ids that a tokenizer puts before and after a text: "post_processor" of tokenizer.json.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/tokenizer/json_view.h"

namespace skerry {

struct PostProcessor {
  std::vector<int32_t> before;
  std::vector<int32_t> after;

  // null and ByteLevel, which only trims offsets, add nothing.
  static absl::StatusOr<PostProcessor> Parse(const JsonView& json);
};

}  // namespace skerry
