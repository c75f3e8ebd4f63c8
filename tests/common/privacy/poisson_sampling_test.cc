#include "common/privacy/poisson_sampling.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/privacy/chi_squared.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

long double BinomialProbability(int successes, int trials, long double rate) {
  const auto k = static_cast<long double>(successes);
  const auto n = static_cast<long double>(trials);
  return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) +
                  k * std::log(rate) + (n - k) * std::log1p(-rate));
}

class PoissonSamplingTest : public testing::TestWithParam<double> {};

// How many of forty take part, over many draws.
TEST_P(PoissonSamplingTest, SizeIsBinomial) {
  constexpr int kRows = 40;
  constexpr int kDraws = 60'000;
  constexpr double kExpectedMin = 10;
  const double rate = GetParam();
  ASSERT_OK_AND_ASSIGN(const PoissonSampling sampling, PoissonSampling::Create(rate));
  SeededRandom random(1);
  std::vector<uint64_t> sizes(kRows + 1);
  for (int draw = 0; draw < kDraws; ++draw) ++sizes[sampling.Draw(kRows, random).size()];

  // Sizes that are rare at either end share a bin.
  std::vector<uint64_t> counts;
  std::vector<long double> probabilities;
  uint64_t count = 0;
  long double probability = 0;
  for (int size = 0; size <= kRows; ++size) {
    count += sizes[static_cast<size_t>(size)];
    probability += BinomialProbability(size, kRows, rate);
    if (probability * kDraws < kExpectedMin) continue;
    counts.push_back(std::exchange(count, 0));
    probabilities.push_back(std::exchange(probability, 0.0L));
  }
  counts.back() += count;
  probabilities.back() += probability;
  EXPECT_LT(ChiSquaredDeviations(counts, probabilities), 5);
}

TEST_P(PoissonSamplingTest, EachPositionIsEquallyLikelyAndNeighboursAreIndependent) {
  constexpr uint32_t kRows = 200'000;
  ASSERT_OK_AND_ASSIGN(const PoissonSampling sampling, PoissonSampling::Create(GetParam()));
  SeededRandom random(2);
  std::vector<bool> takes_part(kRows);
  for (const uint32_t position : sampling.Draw(kRows, random)) takes_part[position] = true;

  std::vector<uint64_t> pairs(4);
  for (size_t i = 0; i < kRows; i += 2)
    ++pairs[(takes_part[i] ? 2u : 0u) + (takes_part[i + 1] ? 1u : 0u)];
  const long double rate = GetParam();
  const std::vector<long double> probabilities = {(1 - rate) * (1 - rate), (1 - rate) * rate,
                                                  rate * (1 - rate), rate * rate};
  EXPECT_LT(ChiSquaredDeviations(pairs, probabilities), 5);
}

INSTANTIATE_TEST_SUITE_P(Rates, PoissonSamplingTest, testing::Values(0.02, 0.1, 1.0 / 3, 0.9));

TEST(PoissonSamplingEdgesTest, RateOneTakesAllAndATinyOneNone) {
  ASSERT_OK_AND_ASSIGN(const PoissonSampling all, PoissonSampling::Create(1.0));
  ASSERT_OK_AND_ASSIGN(const PoissonSampling none,
                       PoissonSampling::Create(std::numeric_limits<double>::denorm_min()));
  SeededRandom random(3);
  std::vector<uint32_t> every(1000);
  std::iota(every.begin(), every.end(), 0u);

  EXPECT_EQ(all.Draw(1000, random), every);
  EXPECT_THAT(none.Draw(1000, random), testing::IsEmpty());
  EXPECT_THAT(all.Draw(0, random), testing::IsEmpty());
}

TEST(PoissonSamplingEdgesTest, TwoDrawsDiffer) {
  ASSERT_OK_AND_ASSIGN(const PoissonSampling half, PoissonSampling::Create(0.5));

  EXPECT_NE(half.Draw(200, SystemRandom()), half.Draw(200, SystemRandom()));
}

TEST(PoissonSamplingEdgesTest, RatesThatAreNoProbabilityAreRefused) {
  for (const double rate : {0.0, -0.1, 1.0000001, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(PoissonSampling::Create(rate).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace skerry
