#include "common/secagg/fixed_point.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/crypto/key_stream.h"

namespace skerry {
namespace {

// A tile's keystream, input and output share the first-level cache.
constexpr size_t kTileElements = 4096;

// Adding and subtracting it rounds a double below 2^51 in size to the nearest integer, in a form
// that compilers turn into vector code on every x86-64 (there is no vector floor before SSE4.1).
constexpr double kNearestInteger = 0x1.8p52;

// 31 bits of a random word, as a fraction of 2^31.
constexpr double kRandomUnits = 0x1p31;

// Below 2^53, so that loss integers are exact as doubles.
constexpr int kLossPartBitsMax = 26;
constexpr int kLossScaleBitsMax = 24;

// One of the two integers beside `value`, at random so that the mean is `value` to within 2^-31:
// the nearest one, or its neighbour on the other side of `value` with probability |value -
// nearest|. Integers stay as they are, whatever the word. |value| must be below 2^51.
inline double RoundStochastically(double value, uint32_t random_word) {
  const double nearest = (value + kNearestInteger) - kNearestInteger;
  const double rest = value - nearest;  // exact, and so is its product with a power of two
  const auto random = static_cast<double>(static_cast<int32_t>(random_word >> 1));
  return nearest + (random < std::fabs(rest) * kRandomUnits ? std::copysign(1.0, rest) : 0.0);
}

uint32_t MagnitudeBits(float value) { return std::bit_cast<uint32_t>(value) & 0x7fffffffu; }

// The bits of the largest float that is not above `range`. Floats of one sign are ordered like
// their bits.
uint32_t RangeBits(double range) {
  auto nearest = static_cast<float>(range);
  if (static_cast<double>(nearest) > range) nearest = std::nextafter(nearest, 0.0f);
  return std::bit_cast<uint32_t>(nearest);
}

struct TileSurvey {
  bool is_finite = true;
  uint32_t clamped_count = 0;
};

TileSurvey Survey(std::span<const float> delta, uint32_t range_bits) {
  constexpr int32_t kInfinityBits = 0x7f800000;
  const auto limit = static_cast<int32_t>(range_bits);
  int32_t clamped = 0;
  int32_t not_finite = 0;
  for (size_t i = 0; i < delta.size(); ++i) {
    const auto magnitude = static_cast<int32_t>(MagnitudeBits(delta[i]));
    clamped += magnitude > limit ? 1 : 0;
    not_finite += magnitude >= kInfinityBits ? 1 : 0;
  }
  return {not_finite == 0, static_cast<uint32_t>(clamped)};
}

// `words` holds the random words and receives the coordinates.
template <typename Value>
void EncodeTile(std::span<const Value> tile, double range, double multiplier, RingElement* words) {
  const Value* values = tile.data();
  for (size_t i = 0; i < tile.size(); ++i) {
    // Not std::clamp: its references keep the loop from being vectorised.
    const double value = values[i];
    const double above = value < -range ? -range : value;
    const double clamped = above > range ? range : above;
    words[i] = ToRing(static_cast<int32_t>(RoundStochastically(clamped * multiplier, words[i])));
  }
}

absl::Status NotFinite(std::span<const float> delta, size_t tile_begin) {
  size_t index = tile_begin;
  while (std::isfinite(delta[index])) ++index;
  return absl::InvalidArgumentError(
      fmt::format("update of parameter {} is {}, expected a finite number: training diverged",
                  index, delta[index]));
}

absl::Status EncodeMetrics(const UpdateEncoding& encoding, const MetricSums& metrics,
                           KeyStream& rounding, std::span<RingElement> out) {
  const bool is_sound = std::isfinite(metrics.examples) && std::isfinite(metrics.loss_sum) &&
                        metrics.correct >= 0 && metrics.correct <= metrics.examples;
  if (!is_sound) {
    return absl::InvalidArgumentError(fmt::format(
        "metrics must be finite with 0 <= correct <= examples, got examples {}, correct {}, "
        "loss sum {}",
        metrics.examples, metrics.correct, metrics.loss_sum));
  }
  const UpdateLayout& layout = encoding.layout();
  const auto cap = static_cast<double>(encoding.limits().weight_cap);
  const double share = metrics.examples > cap ? cap / metrics.examples : 1.0;
  const double loss_units = std::ldexp(1.0, encoding.loss_scale_bits());
  const double loss = std::clamp(metrics.loss_sum * share, 0.0, cap * kMeanLossMax) * loss_units;

  uint32_t word = 0;
  rounding.ReadWords(layout.loss_low_index(), std::span(&word, 1));
  const auto loss_integer = static_cast<uint64_t>(RoundStochastically(loss, word));
  const uint64_t low_mask = (uint64_t{1} << encoding.loss_part_bits()) - 1;
  out[layout.examples_index()] =
      static_cast<RingElement>(std::lround(std::min(metrics.examples, cap)));
  out[layout.correct_index()] = static_cast<RingElement>(std::lround(metrics.correct * share));
  out[layout.loss_low_index()] = static_cast<RingElement>(loss_integer & low_mask);
  out[layout.loss_high_index()] =
      static_cast<RingElement>(loss_integer >> encoding.loss_part_bits());
  return absl::OkStatus();
}

// The largest |coordinate| of one update, by index; parameters are all alike.
int64_t CoordinateMax(const UpdateEncoding& encoding, size_t index) {
  const UpdateLayout& layout = encoding.layout();
  if (index < layout.parameter_count) return encoding.parameter_max();
  if (index == layout.clamped_index()) return encoding.clamped_max();
  if (index <= layout.correct_index()) return encoding.limits().weight_cap;
  return (int64_t{1} << encoding.loss_part_bits()) - 1;
}

// Coordinates after the parameters are counts: never negative.
bool IsCountWithin(RingElement element, int64_t limit) {
  return ToSigned(element) >= 0 && ToSigned(element) <= limit;
}

}  // namespace

absl::StatusOr<int> ScaleBits(int64_t node_count, double range, double noise, int bits_max) {
  if (node_count < 1 || node_count > kSummedNodesMax) {
    return absl::InvalidArgumentError(
        fmt::format("a sum must have 1 to {} nodes, got {}", kSummedNodesMax, node_count));
  }
  if (!(range > 0) || !std::isfinite(range)) {
    return absl::InvalidArgumentError(
        fmt::format("encoding.range must be a positive number, got {}", range));
  }
  for (int bits = std::min(bits_max, kScaleBitsMax); bits >= kScaleBitsMin; --bits) {
    // Scaling by a power of two is exact. The one more leaves room for the rounding.
    const double coordinate_max = std::ceil(std::ldexp(range, bits)) + 1;
    const double noise_max = std::ceil(10 * std::ldexp(noise, bits));
    if (static_cast<double>(node_count) * coordinate_max + noise_max <=
        static_cast<double>(kRingSignedMax)) {
      return bits;
    }
  }
  if (noise > 0) {
    return absl::InvalidArgumentError(fmt::format(
        "{} nodes with encoding.range {} and noise of {:.4g} do not fit 32 bits with {} to {} "
        "fractional bits: lower encoding.range or privacy.clip_norm",
        node_count, range, noise, kScaleBitsMin, std::min(bits_max, kScaleBitsMax)));
  }
  return absl::InvalidArgumentError(fmt::format(
      "{} nodes with encoding.range {} do not fit 32 bits at {} fractional bits; encoding.range "
      "may be at most {:.6g}",
      node_count, range, kScaleBitsMin,
      (std::floor(static_cast<double>(kRingSignedMax) / static_cast<double>(node_count)) - 1) /
          std::ldexp(1.0, kScaleBitsMin)));
}

absl::StatusOr<UpdateEncoding> UpdateEncoding::Create(const UpdateLayout& layout,
                                                      const EncodingLimits& limits) {
  UpdateEncoding encoding;
  SKERRY_ASSIGN_OR_RETURN(encoding.scale_bits_, ScaleBits(limits.node_count_max, limits.range,
                                                          limits.noise, limits.scale_bits_max));
  // N * share <= 2^31 - 1, for whatever a node may contribute to a count.
  const int64_t share = kRingSignedMax / limits.node_count_max;
  if (limits.weight_cap < 1 || limits.weight_cap > share) {
    return absl::InvalidArgumentError(
        fmt::format("encoding.weight_cap must be 1..{} for {} nodes, got {}", share,
                    limits.node_count_max, limits.weight_cap));
  }
  const int64_t bit_size = kClipBitUnit / 2;
  const double bits_max = static_cast<double>(limits.node_count_max * bit_size) +
                          10 * limits.clip_bit_noise * static_cast<double>(kClipBitUnit);
  if (layout.has_clip_bit && bits_max > static_cast<double>(kRingSignedMax)) {
    return absl::InvalidArgumentError(
        fmt::format("{} clip bits with noise of {:.4g} do not fit 32 bits: lower "
                    "privacy.adaptive_clip.bit_noise",
                    limits.node_count_max, limits.clip_bit_noise));
  }
  encoding.layout_ = layout;
  encoding.limits_ = limits;

  // Each part of the loss is below 2^part_bits <= share + 1, so N parts stay below 2^31. The whole
  // is below W * kMeanLossMax * 2^scale < 2^(2 * part_bits).
  static_assert(kMeanLossMax == 1 << 20);
  static_assert(kRingSignedMax / kSummedNodesMax >= (1 << 10), "a part has 10 bits at least");
  const auto bits_of = [](int64_t value) {
    return static_cast<int>(std::bit_width(static_cast<uint64_t>(value)));
  };
  encoding.loss_part_bits_ = std::min(bits_of(share + 1) - 1, kLossPartBitsMax);
  encoding.loss_scale_bits_ =
      std::min(2 * encoding.loss_part_bits_ - 20 - bits_of(limits.weight_cap), kLossScaleBitsMax);
  return encoding;
}

int64_t UpdateEncoding::parameter_max() const {
  return static_cast<int64_t>(std::ceil(std::ldexp(limits_.range, scale_bits_)));
}

int64_t UpdateEncoding::clamped_max() const {
  return std::min(static_cast<int64_t>(layout_.parameter_count),
                  kRingSignedMax / limits_.node_count_max);
}

absl::Status EncodeUpdate(const UpdateEncoding& encoding, const UpdateInput& input,
                          const SecretBytes& rounding_key, std::span<RingElement> out) {
  const UpdateLayout& layout = encoding.layout();
  SKERRY_ASSERT(out.size() == layout.size());
  SKERRY_ASSERT(input.metrics.has_value() == layout.has_metrics);
  SKERRY_ASSERT(layout.has_counts || encoding.limits().weight_cap == 1);
  if (input.delta.size() != layout.parameter_count) {
    return absl::InvalidArgumentError(fmt::format("update has {} parameters, expected {}",
                                                  input.delta.size(), layout.parameter_count));
  }
  if (input.example_count < 0) {
    return absl::InvalidArgumentError(
        fmt::format("example count must not be negative, got {}", input.example_count));
  }
  const int64_t weight =
      layout.has_counts ? std::min(input.example_count, encoding.limits().weight_cap) : 1;
  // At most 2^f: the quotient is rounded once and cannot exceed 1, the scaling is exact. So no
  // product exceeds range * 2^f.
  const double multiplier =
      std::ldexp(static_cast<double>(weight) / static_cast<double>(encoding.limits().weight_cap),
                 encoding.scale_bits());

  KeyStream rounding(rounding_key.bytes());
  const uint32_t range_bits = RangeBits(encoding.limits().range);
  int64_t clamped_count = 0;
  for (size_t begin = 0; begin < input.delta.size(); begin += kTileElements) {
    const std::span<const float> tile =
        input.delta.subspan(begin, std::min(kTileElements, input.delta.size() - begin));
    const TileSurvey survey = Survey(tile, range_bits);
    if (!survey.is_finite) return NotFinite(input.delta, begin);
    clamped_count += survey.clamped_count;
    rounding.ReadWords(begin, out.subspan(begin, tile.size()));
    EncodeTile(tile, encoding.limits().range, multiplier, &out[begin]);
  }
  if (layout.has_clip_bit) {
    constexpr auto kHalf = static_cast<int32_t>(kClipBitUnit / 2);
    out[layout.clip_bit_index()] = ToRing(input.is_within_clip ? kHalf : -kHalf);
  }
  if (!layout.has_counts) return absl::OkStatus();
  out[layout.weight_index()] = static_cast<RingElement>(weight);
  out[layout.clamped_index()] =
      static_cast<RingElement>(std::min(clamped_count, encoding.clamped_max()));
  if (!layout.has_metrics) return absl::OkStatus();
  return EncodeMetrics(encoding, *input.metrics, rounding, out);
}

absl::Status EncodeSum(const UpdateEncoding& encoding, std::span<const double> sum,
                       const SecretBytes& rounding_key, std::span<RingElement> out) {
  const UpdateLayout& layout = encoding.layout();
  SKERRY_ASSERT(out.size() == layout.size() && !layout.has_counts);
  if (sum.size() != layout.parameter_count) {
    return absl::InvalidArgumentError(
        fmt::format("the sum has {} parameters, expected {}", sum.size(), layout.parameter_count));
  }
  for (size_t i = 0; i < sum.size(); ++i) {
    if (!std::isfinite(sum[i])) {
      return absl::InvalidArgumentError(
          fmt::format("the sum of parameter {} is {}, expected a finite number", i, sum[i]));
    }
  }
  const double multiplier = std::ldexp(1.0, encoding.scale_bits());
  KeyStream rounding(rounding_key.bytes());
  for (size_t begin = 0; begin < sum.size(); begin += kTileElements) {
    const auto tile = sum.subspan(begin, std::min(kTileElements, sum.size() - begin));
    rounding.ReadWords(begin, out.subspan(begin, tile.size()));
    EncodeTile(tile, encoding.limits().range, multiplier, &out[begin]);
  }
  return absl::OkStatus();
}

absl::Status CheckUpdate(const UpdateEncoding& encoding, std::span<const RingElement> update) {
  const UpdateLayout& layout = encoding.layout();
  if (update.size() != layout.size()) {
    return absl::InvalidArgumentError(
        fmt::format("update has {} coordinates, expected {}", update.size(), layout.size()));
  }
  return CheckCoordinates(encoding, 0, update);
}

absl::Status CheckCoordinates(const UpdateEncoding& encoding, size_t first,
                              std::span<const RingElement> part) {
  const UpdateLayout& layout = encoding.layout();
  SKERRY_ASSERT(first <= layout.size() && part.size() <= layout.size() - first);
  const size_t parameters =
      first < layout.parameter_count ? std::min(part.size(), layout.parameter_count - first) : 0;
  const auto parameter_max = static_cast<uint32_t>(encoding.parameter_max());
  const RingElement* elements = part.data();
  uint32_t is_bad = 0;
  for (size_t i = 0; i < parameters; ++i) {
    // Shifts [-max, max] to [0, 2 * max]; everything else wraps above.
    is_bad |= elements[i] + parameter_max > 2 * parameter_max ? 1u : 0u;
  }
  for (size_t i = parameters; i < part.size(); ++i) {
    const size_t index = first + i;
    if (layout.has_clip_bit) {
      const int64_t bit = ToSigned(part[i]);
      if (bit == kClipBitUnit / 2 || bit == -kClipBitUnit / 2) continue;
      return absl::InvalidArgumentError(
          fmt::format("the clip bit of the update is {}, expected "
                      "+-{}",
                      bit, kClipBitUnit / 2));
    }
    if (!IsCountWithin(part[i], CoordinateMax(encoding, index))) {
      return absl::InvalidArgumentError(
          fmt::format("coordinate {} of the update is {}, expected 0..{}", index, ToSigned(part[i]),
                      CoordinateMax(encoding, index)));
    }
  }
  if (is_bad != 0) {
    return absl::InvalidArgumentError(
        fmt::format("a parameter of the update is outside [-{0}, {0}]", parameter_max));
  }
  return absl::OkStatus();
}

absl::StatusOr<DecodedSum> DecodeSum(const UpdateEncoding& encoding,
                                     std::span<const RingElement> sum, size_t update_count,
                                     std::span<float> mean) {
  const UpdateLayout& layout = encoding.layout();
  SKERRY_ASSERT(sum.size() == layout.size() && mean.size() == layout.parameter_count);
  for (size_t i = layout.parameter_count; i < layout.size() && layout.has_counts; ++i) {
    const int64_t sum_max = encoding.limits().node_count_max * CoordinateMax(encoding, i);
    if (!IsCountWithin(sum[i], sum_max)) {
      return absl::InvalidArgumentError(
          fmt::format("coordinate {} of the sum is {}, expected 0..{}: a node did not keep to the "
                      "encoding",
                      i, ToSigned(sum[i]), sum_max));
    }
  }
  const auto as_double = [&](size_t index) { return static_cast<double>(ToSigned(sum[index])); };
  DecodedSum decoded;
  if (layout.has_counts) {
    decoded.weight_sum = as_double(layout.weight_index());
    decoded.clamped_sum = as_double(layout.clamped_index());
  } else {
    decoded.weight_sum = encoding.limits().divisor +
                         encoding.limits().divisor_per_update * static_cast<double>(update_count);
  }
  if (layout.has_clip_bit) {
    decoded.within_clip = as_double(layout.clip_bit_index()) / static_cast<double>(kClipBitUnit) /
                              decoded.weight_sum +
                          0.5;
  }
  if (decoded.weight_sum == 0) {
    return absl::FailedPreconditionError("no node of the sum has any example");
  }
  const double factor =
      std::ldexp(static_cast<double>(encoding.limits().weight_cap), -encoding.scale_bits()) /
      decoded.weight_sum;
  const RingElement* elements = sum.data();
  float* values = mean.data();
  for (size_t i = 0; i < mean.size(); ++i) {
    values[i] = static_cast<float>(static_cast<double>(ToSigned(elements[i])) * factor);
  }
  if (layout.has_metrics) {
    const double loss_integer =
        as_double(layout.loss_low_index()) +
        std::ldexp(as_double(layout.loss_high_index()), encoding.loss_part_bits());
    decoded.metrics = MetricSums{
        .examples = as_double(layout.examples_index()),
        .correct = as_double(layout.correct_index()),
        .loss_sum = std::ldexp(loss_integer, -encoding.loss_scale_bits()),
    };
  }
  return decoded;
}

}  // namespace skerry
