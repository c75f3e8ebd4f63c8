// The one place where updates turn from floats into ring elements and sums of them back.
//
// A parameter's coordinate is  round( clamp(delta, -range, range) * min(n, W) / W * 2^f ),  where n
// is the node's example count and W the job's weight cap; the product is computed in double. round
// goes to one of the two neighbouring integers at random so that the mean is exact (Gupta et al.,
// "Deep Learning with Limited Numerical Precision", 2015, equation 1); integers stay as they are.
// The mean update is then  sum(coordinates) / 2^f * W / sum(min(n, W)).
//
// No sum can wrap: with N nodes at most, UpdateEncoding::Create proves for each kind of coordinate
// that N times its largest size is below 2^31, and with noise in the sum that ten of its standard
// deviations are left over (beyond which it goes with probability 1e-23 a coordinate).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "common/crypto/secret_bytes.h"
#include "common/secagg/ring.h"
#include "common/secagg/update_layout.h"

namespace skerry {

// The most nodes whose updates one sum may hold.
inline constexpr int64_t kSummedNodesMax = 1 << 20;
// Below, updates of a usual size (1e-4 to 1e-2) drown in rounding noise. Above, the resolution is
// finer than that of the float32 model near 1, to which the mean is added.
inline constexpr int kScaleBitsMin = 8;
inline constexpr int kScaleBitsMax = 24;
// A node's mean loss is capped here.
inline constexpr double kMeanLossMax = 1 << 20;
// A clip bit in units of the encoding: fine enough for noise of a few bits, and a million nodes
// fit.
inline constexpr int64_t kClipBitUnit = 1 << 10;

// The largest f of kScaleBitsMin..bits_max with
// node_count * (ceil(range * 2^f) + 1) + 10 noise * 2^f < 2^31, `noise` being the standard
// deviation of the noise in a coordinate of the sum. Fails with kInvalidArgument and the numbers if
// there is none.
absl::StatusOr<int> ScaleBits(int64_t node_count, double range, double noise = 0,
                              int bits_max = kScaleBitsMax);

struct EncodingLimits {
  int64_t node_count_max = 0;  // N: updates in one sum, 1..kSummedNodesMax
  double range = 0;            // of one parameter's update, > 0
  int64_t weight_cap = 0;      // W, at least 1
  // Only if the layout has no counts: updates are not weighted (W is 1), and their sum is divided
  // by `divisor` and, for each update in it, `divisor_per_update` more. Public numbers of the job.
  double divisor = 0;
  double divisor_per_update = 0;
  double noise = 0;           // standard deviation in a coordinate of a sum
  double clip_bit_noise = 0;  // in the sum of clip bits, if the layout has them
  int scale_bits_max = kScaleBitsMax;
};

// A job's encoding with its ranges proved. A value; any thread.
class UpdateEncoding {
 public:
  // Fails with kInvalidArgument if a sum of N updates could wrap, saying what to lower.
  static absl::StatusOr<UpdateEncoding> Create(const UpdateLayout& layout,
                                               const EncodingLimits& limits);

  const UpdateLayout& layout() const { return layout_; }
  const EncodingLimits& limits() const { return limits_; }
  int scale_bits() const { return scale_bits_; }  // f
  // The largest absolute value of each kind of coordinate in one update.
  int64_t parameter_max() const;
  int64_t clamped_max() const;
  // The loss sum is an integer of 2 * loss_part_bits() bits in units of 2^-loss_scale_bits().
  int loss_part_bits() const { return loss_part_bits_; }
  int loss_scale_bits() const { return loss_scale_bits_; }

 private:
  UpdateEncoding() = default;
  UpdateLayout layout_;
  EncodingLimits limits_;
  int scale_bits_ = 0;
  int loss_part_bits_ = 0;
  int loss_scale_bits_ = 0;
};

// Sums over held-out examples: of one node, or of all nodes of a round.
struct MetricSums {
  double examples = 0;
  double correct = 0;
  double loss_sum = 0;
};

struct UpdateInput {
  std::span<const float> delta;                      // layout().parameter_count values
  int64_t example_count = 0;                         // n, at least 0
  std::optional<MetricSums> metrics = std::nullopt;  // set exactly if the layout has metrics
  bool is_within_clip = false;                       // counts only if the layout has a clip bit
};

// Writes the coordinates to `out` (layout().size() of them). Coordinate i is rounded with word i of
// the KeyStream under `rounding_key`, so the same input and key give the same bits. A node with
// more held-out examples than W counts as W examples of the same mean. Fails with kInvalidArgument,
// and `out` undefined, if a value is not finite (naming its index) or the input does not fit the
// layout.
absl::Status EncodeUpdate(const UpdateEncoding& encoding, const UpdateInput& input,
                          const SecretBytes& rounding_key, std::span<RingElement> out);

// The same for a sum of clipped gradients, whose layout has no counts: each value is clamped and
// rounded once, from double precision. As one record moves each coordinate of `sum`, so it moves
// the encoded one, by up to one step more (clamping brings values nearer to each other).
absl::Status EncodeSum(const UpdateEncoding& encoding, std::span<const double> sum,
                       const SecretBytes& rounding_key, std::span<RingElement> out);

// Fails with kInvalidArgument if `update` has another length or a coordinate is larger than
// EncodeUpdate would make it. For unmasked uploads: a faulty node then cannot wrap the sum.
absl::Status CheckUpdate(const UpdateEncoding& encoding, std::span<const RingElement> update);
// The same for a part of an update that begins at coordinate `first` and lies within it.
absl::Status CheckCoordinates(const UpdateEncoding& encoding, size_t first,
                              std::span<const RingElement> part);

struct DecodedSum {
  double weight_sum = 0;  // examples behind the mean; without counts what the sum was divided by
  double clamped_sum =
      0;  // parameters clamped, over all nodes; each node counts clamped_max() at most
  std::optional<MetricSums> metrics;
  // What part of the cohort was within the clip norm, noise included; only with a clip bit.
  std::optional<double> within_clip;
};

// Writes the weighted mean update to `mean` (layout().parameter_count values). `sum` must have
// layout().size() coordinates and be that of `update_count` updates. Fails with kFailedPrecondition
// if nobody has examples, and with kInvalidArgument if the weight or a count is out of range, so
// that some node did not keep to the encoding.
absl::StatusOr<DecodedSum> DecodeSum(const UpdateEncoding& encoding,
                                     std::span<const RingElement> sum, size_t update_count,
                                     std::span<float> mean);

}  // namespace skerry
