// Metrics of nodes as coordinates of their updates.
#include <cmath>
#include <limits>
#include <vector>

#include "common/secagg/fixed_point.h"
#include "tests/common/secagg/encoded_update.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// ---- metrics ------------------------------------------------------------------------------------

TEST(UpdateMetricsTest, SumsOfSeveralNodesComeBack) {
  const UpdateEncoding encoding =
      Encoding(1, {.node_count_max = 1000, .range = 1.0, .weight_cap = 7500}, true);
  const std::vector<MetricSums> metrics = {
      {60, 31, 138.155}, {0, 0, 0}, {750, 750, 1e-3}, {7500, 0, 7500.0 * 900'000}};
  std::vector<RingElement> sum(encoding.layout().size());
  for (size_t node = 0; node < metrics.size(); ++node) {
    AddInto(sum,
            Encode(encoding,
                   {.delta = std::vector<float>{0}, .example_count = 1, .metrics = metrics[node]},
                   node));
  }
  std::vector<float> mean(1);
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded,
                       DecodeSum(encoding, sum, /*update_count=*/1, mean));
  ASSERT_TRUE(decoded.metrics.has_value());
  EXPECT_EQ(decoded.metrics->examples, 8310.0);
  EXPECT_EQ(decoded.metrics->correct, 781.0);
  // Less than one unit off for each node.
  EXPECT_NEAR(decoded.metrics->loss_sum, 138.155 + 1e-3 + 7500.0 * 900'000,
              4 * std::pow(2.0, -encoding.loss_scale_bits()));
  EXPECT_GE(encoding.loss_scale_bits(), 8);
}

TEST(UpdateMetricsTest, ANodeBeyondTheCapKeepsItsMeans) {
  const UpdateEncoding encoding =
      Encoding(1, {.node_count_max = 8, .range = 1.0, .weight_cap = 100}, true);
  const auto encoded = Encode(
      encoding,
      {.delta = std::vector<float>{0}, .example_count = 1, .metrics = MetricSums{1000, 800, 2500}});
  std::vector<float> mean(1);
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded,
                       DecodeSum(encoding, encoded, /*update_count=*/1, mean));
  EXPECT_EQ(decoded.metrics->examples, 100.0);
  EXPECT_EQ(decoded.metrics->correct, 80.0);
  EXPECT_NEAR(decoded.metrics->loss_sum, 250.0, 1e-3);
}

TEST(UpdateMetricsTest, AllNodesAtTheLargestLossDoNotWrap) {
  const UpdateEncoding encoding =
      Encoding(0, {.node_count_max = 1000, .range = 1.0, .weight_cap = 2'147'483}, true);
  const auto encoded =
      Encode(encoding, {.delta = {}, .example_count = 1, .metrics = MetricSums{3e6, 3e6, 1e30}});
  std::vector<RingElement> sum(encoding.layout().size());
  for (int node = 0; node < 1000; ++node) AddInto(sum, encoded);
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded, DecodeSum(encoding, sum, /*update_count=*/1, {}));
  EXPECT_EQ(decoded.metrics->examples, 2'147'483'000.0);
  // Exact up to double's rounding: the cap is a whole number of units here.
  EXPECT_DOUBLE_EQ(decoded.metrics->loss_sum, 2'147'483'000.0 * kMeanLossMax);
}

TEST(UpdateMetricsTest, SmallLossesOfManyNodesAreNotLost) {
  // With 2^20 nodes a unit is far above each node's loss; the rounding keeps the mean.
  const UpdateEncoding encoding =
      Encoding(0, {.node_count_max = 1 << 20, .range = 1.0, .weight_cap = 2047}, true);
  ASSERT_LT(encoding.loss_scale_bits(), 0);
  const double unit = std::pow(2.0, -encoding.loss_scale_bits());
  std::vector<RingElement> sum(encoding.layout().size());
  for (uint64_t node = 0; node < 10'000; ++node) {
    AddInto(
        sum,
        Encode(encoding,
               {.delta = {}, .example_count = 1, .metrics = MetricSums{60, 30, 0.2 * unit}}, node));
  }
  ASSERT_OK_AND_ASSIGN(const DecodedSum decoded, DecodeSum(encoding, sum, /*update_count=*/1, {}));
  // Binomial(10000, 0.2): standard deviation 40.
  EXPECT_NEAR(decoded.metrics->loss_sum / unit, 2000.0, 4 * 40.0);
}

TEST(UpdateMetricsTest, UnsoundMetricsAreRefused) {
  const UpdateEncoding encoding =
      Encoding(0, {.node_count_max = 8, .range = 1.0, .weight_cap = 100}, true);
  std::vector<RingElement> out(encoding.layout().size());
  for (const MetricSums& metrics :
       {MetricSums{10, 5, std::nan("")}, MetricSums{10, 11, 1}, MetricSums{10, -1, 1},
        MetricSums{std::numeric_limits<double>::infinity(), 1, 1}, MetricSums{-1, -1, 1}}) {
    EXPECT_THAT(
        EncodeUpdate(encoding, {.delta = {}, .example_count = 1, .metrics = metrics}, Key(1), out),
        StatusIs(kInvalid, HasSubstr("metrics must be finite")));
  }
}

}  // namespace
}  // namespace skerry
