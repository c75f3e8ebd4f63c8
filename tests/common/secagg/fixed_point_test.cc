#include "common/secagg/fixed_point.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/base/rng.h"
#include "common/crypto/key_stream.h"
#include "common/secagg/rounding_key.h"
#include "tests/common/secagg/encoded_update.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<float> RandomDelta(size_t size, uint64_t seed, double deviation) {
  Rng rng(seed);
  std::vector<float> delta(size);
  for (float& value : delta) value = static_cast<float>(rng.Normal() * deviation);
  return delta;
}

// ---- scale --------------------------------------------------------------------------------------

TEST(ScaleBitsTest, IsTheLargestThatFits) {
  // Range 8 = 2^3: N * (2^(f+3) + 1) < 2^31.
  EXPECT_EQ(*ScaleBits(1, 8.0), 24);
  EXPECT_EQ(*ScaleBits(15, 8.0), 24);  // 15 * 2^27 + 15
  EXPECT_EQ(*ScaleBits(16, 8.0), 23);  // 16 * 2^27 is 2^31
  EXPECT_EQ(*ScaleBits(1000, 8.0), 18);
  // Range 1, the table of reference values for a clip of 1.
  EXPECT_EQ(*ScaleBits(100, 1.0), 24);
  EXPECT_EQ(*ScaleBits(256, 1.0), 22);
  EXPECT_EQ(*ScaleBits(1000, 1.0), 21);
}

TEST(ScaleBitsTest, TheRuleHoldsAndOneMoreBitWouldBreakIt) {
  for (const int64_t nodes : {1, 2, 3, 7, 100, 999, 65'536, 1'048'576}) {
    for (const double range : {1e-6, 0.1, 0.3, 1.0, 7.9}) {
      const absl::StatusOr<int> bits = ScaleBits(nodes, range);
      ASSERT_OK(bits) << nodes << " " << range;
      const auto sum = [&](int f) {
        return static_cast<int64_t>(std::ceil(range * std::pow(2.0, f)) + 1) * nodes;
      };
      EXPECT_LT(sum(*bits), int64_t{1} << 31);
      if (*bits < kScaleBitsMax) {
        EXPECT_GE(sum(*bits + 1), int64_t{1} << 31);
      }
    }
  }
}

TEST(ScaleBitsTest, WhatCannotFitIsRefusedWithARangeThatDoes) {
  EXPECT_THAT(ScaleBits(1000, 1e5), StatusIs(kInvalid, HasSubstr("1000 nodes")));
  // floor((2^31 - 1) / 1000) = 2147483; less one, over 2^8.
  EXPECT_THAT(ScaleBits(1000, 1e5), StatusIs(kInvalid, HasSubstr("at most 8388.6")));
  EXPECT_OK(ScaleBits(1000, 8388.6));
  EXPECT_THAT(ScaleBits(1000, 8388.7), StatusIs(kInvalid));
}

TEST(ScaleBitsTest, SenselessInputIsRefused) {
  for (const double range : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(ScaleBits(8, range), StatusIs(kInvalid, HasSubstr("encoding.range"))) << range;
  }
  EXPECT_THAT(ScaleBits(0, 8.0), StatusIs(kInvalid));
  EXPECT_THAT(ScaleBits(kSummedNodesMax + 1, 8.0), StatusIs(kInvalid));
}

// ---- limits -------------------------------------------------------------------------------------

TEST(UpdateEncodingTest, AllNodesAtTheRangeGiveTheExactSum) {
  const UpdateEncoding encoding =
      Encoding(2, {.node_count_max = 15, .range = 8.0, .weight_cap = 100});
  ASSERT_EQ(encoding.scale_bits(), 24);
  std::vector<RingElement> sum(encoding.layout().size());
  for (uint64_t node = 0; node < 15; ++node) {
    AddInto(sum, Encode(encoding, {.delta = std::vector<float>{8.0f, -9.0f}, .example_count = 100},
                        node));
  }

  EXPECT_EQ(ToSigned(sum[0]), 15 * (1 << 27));
  EXPECT_EQ(ToSigned(sum[1]), -15 * (1 << 27));
  std::vector<float> mean(2);
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded,
                       DecodeSum(encoding, sum, /*update_count=*/1, mean));
  EXPECT_EQ(mean, (std::vector<float>{8.0f, -8.0f}));
  EXPECT_EQ(decoded.weight_sum, 1500.0);
  EXPECT_EQ(decoded.clamped_sum, 15.0);
  EXPECT_FALSE(decoded.metrics.has_value());
}

TEST(UpdateEncodingTest, TheWeightCapFitsExactlyAndOneMoreNodeOrExampleIsRefused) {
  const int64_t cap = kRingSignedMax / 15;
  const EncodingLimits limits{.node_count_max = 15, .range = 8.0, .weight_cap = cap};
  const UpdateEncoding encoding = Encoding(1, limits);
  std::vector<RingElement> sum(encoding.layout().size());
  for (int node = 0; node < 15; ++node) {
    AddInto(sum, Encode(encoding, {.delta = std::vector<float>{1.0f}, .example_count = cap + 5}));
  }

  std::vector<float> mean(1);
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded,
                       DecodeSum(encoding, sum, /*update_count=*/1, mean));
  EXPECT_EQ(decoded.weight_sum, static_cast<double>(15 * cap));
  EXPECT_EQ(mean[0], 1.0f);
  EXPECT_THAT(UpdateEncoding::Create({1, false}, {16, 8.0, cap}),
              StatusIs(kInvalid, HasSubstr("encoding.weight_cap must be 1..134217727")));
  EXPECT_THAT(UpdateEncoding::Create({1, false}, {15, 8.0, cap + 1}), StatusIs(kInvalid));
  EXPECT_THAT(UpdateEncoding::Create({1, false}, {15, 8.0, 0}), StatusIs(kInvalid));
}

TEST(UpdateEncodingTest, EveryCountStaysBelowTwoToTheThirtyOne) {
  for (const int64_t nodes : {1, 2, 8, 1000, 1'000'000, 1'048'576}) {
    const int64_t cap = kRingSignedMax / nodes;
    for (const int64_t weight_cap : {int64_t{1}, cap / 2, cap}) {
      const UpdateEncoding encoding = Encoding(
          10'000'000, {.node_count_max = nodes, .range = 1.0, .weight_cap = weight_cap}, true);
      const int64_t loss_part_max = (int64_t{1} << encoding.loss_part_bits()) - 1;
      EXPECT_LE(nodes * encoding.parameter_max(), kRingSignedMax);
      EXPECT_LE(nodes * encoding.clamped_max(), kRingSignedMax);
      EXPECT_LE(nodes * loss_part_max, kRingSignedMax);
      // The largest loss sum a node may report fits the two parts, rounded up too.
      const double loss_max = std::ceil(static_cast<double>(weight_cap) * kMeanLossMax *
                                        std::pow(2.0, encoding.loss_scale_bits()));
      EXPECT_LT(loss_max, std::pow(2.0, 2 * encoding.loss_part_bits())) << nodes << weight_cap;
    }
  }
}

// ---- rounding -----------------------------------------------------------------------------------

// The definition, in long double and with floor, one coordinate at a time: the nearest integer, or
// the other neighbour if the random fraction is below the distance.
int64_t RoundedByDefinition(long double value, uint32_t word) {
  const long double below = std::floor(value);
  const long double above_part = value - below;
  const long double random = static_cast<long double>(word >> 1) / 2147483648.0L;
  const bool nearest_is_below =
      above_part < 0.5L || (above_part == 0.5L && std::fmod(below, 2.0L) == 0.0L);
  const bool is_up = nearest_is_below ? random < above_part : !(random < 1.0L - above_part);
  return static_cast<int64_t>(below) + (is_up ? 1 : 0);
}

TEST(EncodeUpdateTest, EveryCoordinateIsThatOfTheDefinition) {
  // Three tiles and a part; some values beyond the range, some integers, halves and tiny ones.
  std::vector<float> delta = RandomDelta(13'001, 7, 0.5);
  const UpdateEncoding encoding =
      Encoding(delta.size(), {.node_count_max = 1000, .range = 1.25, .weight_cap = 700});
  const auto unit = static_cast<float>(std::pow(2.0, -encoding.scale_bits()));
  for (size_t i = 0; i < 100; ++i) {
    delta[i] = unit * 0.5f * static_cast<float>(i);
    delta[200 + i] = -unit * 0.5f * static_cast<float>(i);
    delta[400 + i] = unit * std::pow(2.0f, -static_cast<float>(i));
  }
  for (const int64_t examples : {0, 1, 333, 699, 700, 90'000}) {
    const std::vector<RingElement> encoded =
        Encode(encoding, {.delta = delta, .example_count = examples});
    const int64_t weight = std::min<int64_t>(examples, 700);
    std::vector<uint32_t> words(delta.size());
    KeyStream(Key(1).bytes()).ReadWords(0, words);
    uint32_t clamped = 0;
    for (size_t i = 0; i < delta.size(); ++i) {
      const double inside = std::clamp(static_cast<double>(delta[i]), -1.25, 1.25);
      if (inside != static_cast<double>(delta[i])) ++clamped;
      const double scaled =
          inside * (static_cast<double>(weight) / 700.0 * std::pow(2.0, encoding.scale_bits()));
      ASSERT_EQ(ToSigned(encoded[i]), RoundedByDefinition(scaled, words[i])) << i;
    }
    EXPECT_EQ(encoded[encoding.layout().weight_index()], weight);
    EXPECT_EQ(encoded[encoding.layout().clamped_index()], clamped);
    EXPECT_GT(clamped, 0u);
  }
}

TEST(EncodeSumTest, EveryCoordinateIsThatOfTheDefinitionInDoublePrecision) {
  const UpdateLayout layout = {.parameter_count = 9001, .has_counts = false};
  ASSERT_OK_AND_ASSIGN(
      const UpdateEncoding encoding,
      UpdateEncoding::Create(layout,
                             {.node_count_max = 8, .range = 1.25, .weight_cap = 1, .divisor = 1}));
  std::vector<double> sum(9001);
  Rng rng(9);
  for (double& value : sum) value = 0.5 * rng.Normal();
  sum[0] = 1.0 + std::ldexp(1.0, -encoding.scale_bits());  // a float cannot hold it
  std::vector<RingElement> encoded(sum.size());

  ASSERT_OK(EncodeSum(encoding, sum, Key(1), encoded));

  std::vector<uint32_t> words(sum.size());
  KeyStream(Key(1).bytes()).ReadWords(0, words);
  for (size_t i = 0; i < sum.size(); ++i) {
    const double scaled = std::ldexp(std::clamp(sum[i], -1.25, 1.25), encoding.scale_bits());
    ASSERT_EQ(ToSigned(encoded[i]), RoundedByDefinition(scaled, words[i])) << i;
  }
  EXPECT_EQ(ToSigned(encoded[0]), (1 << encoding.scale_bits()) + 1);
}

TEST(EncodeSumTest, NotFiniteAndWrongLengthsAreRefused) {
  const UpdateLayout layout = {.parameter_count = 2, .has_counts = false};
  ASSERT_OK_AND_ASSIGN(
      const UpdateEncoding encoding,
      UpdateEncoding::Create(layout,
                             {.node_count_max = 8, .range = 1, .weight_cap = 1, .divisor = 1}));
  std::vector<RingElement> encoded(2);
  for (const std::vector<double>& sum :
       {std::vector<double>{0, std::nan("")}, std::vector<double>{0, HUGE_VAL},
        std::vector<double>{0}}) {
    EXPECT_THAT(EncodeSum(encoding, sum, Key(1), encoded),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected")));
  }
}

TEST(EncodeUpdateTest, RoundingIsUnbiased) {
  // In units of the last place; each is encoded 10,000 times under different keys.
  const std::vector<double> values = {0.3, -0.3, 0.5, 0.9, -0.9, 0.001, 1234.25, -7.75};
  const UpdateEncoding encoding =
      Encoding(values.size(), {.node_count_max = 1000, .range = 1.0, .weight_cap = 1});
  const double unit = std::pow(2.0, -encoding.scale_bits());
  std::vector<float> delta;
  for (const double value : values) delta.push_back(static_cast<float>(value * unit));

  constexpr int kRepeats = 10'000;
  std::vector<double> sums(values.size());
  for (uint64_t repeat = 0; repeat < kRepeats; ++repeat) {
    const auto encoded = Encode(encoding, {.delta = delta, .example_count = 1}, repeat);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += ToSigned(encoded[i]);
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    const double expected = static_cast<double>(delta[i]) / unit;
    const double fraction = expected - std::floor(expected);
    const double standard_error = std::sqrt(fraction * (1 - fraction) / kRepeats);
    EXPECT_NEAR(sums[i] / kRepeats, expected, 4 * standard_error) << values[i];
  }
}

TEST(EncodeUpdateTest, UpdatesBelowHalfAUnitStillMoveTheMean) {
  // Rounding to nearest would lose all of it.
  const UpdateEncoding encoding =
      Encoding(20'000, {.node_count_max = 1000, .range = 1.0, .weight_cap = 1});
  const auto value = static_cast<float>(0.1 * std::pow(2.0, -encoding.scale_bits()));
  const std::vector<float> delta(20'000, value);
  const auto encoded = Encode(encoding, {.delta = delta, .example_count = 1});

  const auto ones = std::count(encoded.begin(), encoded.begin() + 20'000, 1u);
  // Binomial(20000, 0.1): standard deviation 42.4.
  EXPECT_NEAR(static_cast<double>(ones), 2000.0, 4 * 42.4);
}

TEST(EncodeUpdateTest, TheSameKeyRepeatsTheBitsAndAnotherDoesNot) {
  const std::vector<float> delta = RandomDelta(5000, 3, 0.01);
  const UpdateEncoding encoding =
      Encoding(delta.size(), {.node_count_max = 8, .range = 8.0, .weight_cap = 100});
  const UpdateInput input{.delta = delta, .example_count = 77};

  EXPECT_EQ(Encode(encoding, input, 1), Encode(encoding, input, 1));
  EXPECT_NE(Encode(encoding, input, 1), Encode(encoding, input, 2));
}

TEST(EncodeUpdateTest, ALongerUpdateBeginsLikeAShorterOne) {
  const std::vector<float> delta = RandomDelta(10'000, 3, 0.01);
  const EncodingLimits limits{.node_count_max = 8, .range = 8.0, .weight_cap = 100};
  const auto whole = Encode(Encoding(10'000, limits), {.delta = delta, .example_count = 77});
  for (const size_t size : {0u, 1u, 4095u, 4096u, 4097u}) {
    const auto part = Encode(Encoding(size, limits),
                             {.delta = std::span(delta).first(size), .example_count = 77});
    EXPECT_TRUE(std::equal(part.begin(), part.end() - 2, whole.begin())) << size;
  }
}

// ---- refusals -----------------------------------------------------------------------------------

TEST(EncodeUpdateTest, NotANumberAndInfinityAreRefusedWithTheirPlace) {
  const UpdateEncoding encoding =
      Encoding(9000, {.node_count_max = 8, .range = 8.0, .weight_cap = 100});
  std::vector<RingElement> out(encoding.layout().size());
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const size_t index : {0u, 4095u, 4096u, 8999u}) {
      std::vector<float> delta(9000, 0.5f);
      delta[index] = bad;
      delta[8999] = bad;
      EXPECT_THAT(EncodeUpdate(encoding, {.delta = delta, .example_count = 1}, Key(1), out),
                  StatusIs(kInvalid, HasSubstr("parameter " + std::to_string(index) + " is")));
    }
  }
}

TEST(EncodeUpdateTest, TheLargestFloatIsClampedAndDenormalsPass) {
  const UpdateEncoding encoding = Encoding(3, {.node_count_max = 8, .range = 8.0, .weight_cap = 1});
  const std::vector<float> delta = {std::numeric_limits<float>::max(),
                                    std::numeric_limits<float>::lowest(),
                                    std::numeric_limits<float>::denorm_min()};
  const auto encoded = Encode(encoding, {.delta = delta, .example_count = 1});
  EXPECT_EQ(ToSigned(encoded[0]), 1 << 27);
  EXPECT_EQ(ToSigned(encoded[1]), -(1 << 27));
  EXPECT_EQ(ToSigned(encoded[2]), 0);
  EXPECT_EQ(encoded[encoding.layout().clamped_index()], 2u);
}

TEST(EncodeUpdateTest, ValuesAtARangeThatIsNoFloatAreNotCountedAsClamped) {
  // float(0.1) is above 0.1, its predecessor is below.
  const UpdateEncoding encoding = Encoding(2, {.node_count_max = 8, .range = 0.1, .weight_cap = 1});
  const std::vector<float> delta = {0.1f, std::nextafter(0.1f, 0.0f)};
  const auto encoded = Encode(encoding, {.delta = delta, .example_count = 1});
  EXPECT_EQ(encoded[encoding.layout().clamped_index()], 1u);
}

TEST(EncodeUpdateTest, WrongLengthsAndNegativeCountsAreRefused) {
  const UpdateEncoding encoding = Encoding(3, {.node_count_max = 8, .range = 8.0, .weight_cap = 1});
  std::vector<RingElement> out(encoding.layout().size());
  EXPECT_THAT(
      EncodeUpdate(encoding, {.delta = std::vector<float>(2), .example_count = 1}, Key(1), out),
      StatusIs(kInvalid, HasSubstr("2 parameters, expected 3")));
  EXPECT_THAT(
      EncodeUpdate(encoding, {.delta = std::vector<float>(3), .example_count = -1}, Key(1), out),
      StatusIs(kInvalid, HasSubstr("-1")));
}

// ---- sums ---------------------------------------------------------------------------------------

TEST(DecodeSumTest, TheMeanIsWeightedByExamplesUpToTheCap) {
  constexpr size_t kParameters = 1000;
  const std::vector<int64_t> examples = {0, 1, 60, 100, 250};  // the last counts as 100
  const UpdateEncoding encoding =
      Encoding(kParameters, {.node_count_max = 5, .range = 4.0, .weight_cap = 100});
  std::vector<RingElement> sum(encoding.layout().size());
  std::vector<double> expected(kParameters);
  double weight_sum = 0;
  for (size_t node = 0; node < examples.size(); ++node) {
    const std::vector<float> delta = RandomDelta(kParameters, 100 + node, 0.5);
    AddInto(sum, Encode(encoding, {.delta = delta, .example_count = examples[node]}, node));
    const auto weight = static_cast<double>(std::min<int64_t>(examples[node], 100));
    weight_sum += weight;
    for (size_t i = 0; i < kParameters; ++i) {
      expected[i] += weight * static_cast<double>(delta[i]);
    }
  }
  std::vector<float> mean(kParameters);
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded,
                       DecodeSum(encoding, sum, /*update_count=*/1, mean));

  EXPECT_EQ(decoded.weight_sum, 261.0);
  // Each node is off by less than one unit of 2^-f in W / weight_sum of the mean, and the mean is
  // rounded to float once.
  const double tolerance = 5 * std::pow(2.0, -encoding.scale_bits()) * 100.0 / 261.0 + 4 * 6e-8;
  for (size_t i = 0; i < kParameters; ++i) {
    EXPECT_NEAR(static_cast<double>(mean[i]), expected[i] / weight_sum, tolerance) << i;
  }
}

TEST(DecodeSumTest, TheOrderOfArrivalDoesNotMatter) {
  const UpdateEncoding encoding =
      Encoding(500, {.node_count_max = 6, .range = 1.0, .weight_cap = 50});
  std::vector<std::vector<RingElement>> updates;
  for (uint64_t node = 0; node < 6; ++node) {
    updates.push_back(
        Encode(encoding, {.delta = RandomDelta(500, node, 0.4), .example_count = 10}, node));
  }
  std::vector<RingElement> forward(encoding.layout().size());
  std::vector<RingElement> backward(encoding.layout().size());
  for (const auto& update : updates) AddInto(forward, update);
  std::for_each(updates.rbegin(), updates.rend(),
                [&](const auto& update) { AddInto(backward, update); });
  EXPECT_EQ(forward, backward);
}

TEST(DecodeSumTest, ASumWithoutExamplesIsRefused) {
  const UpdateEncoding encoding =
      Encoding(2, {.node_count_max = 2, .range = 1.0, .weight_cap = 50});
  const auto update = Encode(encoding, {.delta = std::vector<float>{1, 1}, .example_count = 0});
  EXPECT_THAT(std::vector<RingElement>(update.begin(), update.begin() + 2), Each(0u));
  std::vector<float> mean(2);
  EXPECT_THAT(DecodeSum(encoding, update, /*update_count=*/1, mean),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("example")));
}

TEST(DecodeSumTest, CountsOutOfRangeAreRefused) {
  const UpdateEncoding encoding =
      Encoding(1, {.node_count_max = 2, .range = 1.0, .weight_cap = 50});
  std::vector<float> mean(1);
  std::vector<RingElement> sum = {0, 100, 2};
  EXPECT_OK(DecodeSum(encoding, sum, /*update_count=*/1, mean));
  sum[1] = 101;
  EXPECT_THAT(DecodeSum(encoding, sum, /*update_count=*/1, mean),
              StatusIs(kInvalid, HasSubstr("expected 0..100")));
  sum[1] = ToRing(-1);
  EXPECT_THAT(DecodeSum(encoding, sum, /*update_count=*/1, mean),
              StatusIs(kInvalid, HasSubstr("is -1")));
  sum = {0, 100, 3};
  EXPECT_THAT(DecodeSum(encoding, sum, /*update_count=*/1, mean),
              StatusIs(kInvalid, HasSubstr("coordinate 2")));
}

TEST(DecodeSumTest, TheClampedCountIsCappedSoThatItCannotWrap) {
  // 2^20 nodes leave floor((2^31 - 1) / 2^20) = 2047 to each.
  const UpdateEncoding encoding =
      Encoding(5000, {.node_count_max = 1 << 20, .range = 1.0, .weight_cap = 1});
  const auto encoded =
      Encode(encoding, {.delta = std::vector<float>(5000, 2.0f), .example_count = 1});
  EXPECT_EQ(encoded[encoding.layout().clamped_index()], 2047u);
}

}  // namespace
}  // namespace skerry
