// What each coordinate of an encoded update means. Agent and coordinator both take it from the job,
// so it never travels.
//
//   0 .. P-1   parameters: weighted update in fixed point, signed
//   P          weight: examples behind the update, at most the job's weight cap
//   P+1        parameters that were clamped to the job's range
//   P+2 .. P+5 only if the job evaluates on nodes: held-out examples, correct ones among them, and
//              the sum of their losses in fixed point, as a low and a high part
//
// With differential privacy there are parameters only: every count is derived from somebody's data.
// With an adaptive clip norm there is one more coordinate, which gets noise of its own:
//
//   P          whether the update was within the clip norm: +1/2 or -1/2 of kClipBitUnit
#pragma once

#include <cstddef>

namespace skerry {

struct UpdateLayout {
  size_t parameter_count = 0;
  bool has_metrics = false;
  bool has_counts = true;     // false with differential privacy; has_metrics is false then
  bool has_clip_bit = false;  // only without counts

  size_t weight_index() const { return parameter_count; }
  size_t clip_bit_index() const { return parameter_count; }
  size_t clamped_index() const { return parameter_count + 1; }
  size_t examples_index() const { return parameter_count + 2; }
  size_t correct_index() const { return parameter_count + 3; }
  size_t loss_low_index() const { return parameter_count + 4; }
  size_t loss_high_index() const { return parameter_count + 5; }
  // Coordinates in all; an upload is 4 bytes for each.
  size_t size() const {
    return parameter_count + (has_metrics ? 6u : has_counts ? 2u : has_clip_bit ? 1u : 0u);
  }

  bool operator==(const UpdateLayout&) const = default;
};

}  // namespace skerry
