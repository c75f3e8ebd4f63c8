#include "common/privacy/discrete_gaussian.h"

#include <algorithm>
#include <cmath>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/privacy/chi_squared.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr size_t kDraws = 2'000'000;
constexpr double kDeviationsMax = 5;

// P(x) = exp(-x^2 / (2 sigma^2)) / sum over all integers, by the definition; from 12 sigma on
// nothing is left of it. For sigma^2 = numerator / denominator.
class ExactDistribution {
 public:
  explicit ExactDistribution(const NoiseVariance& variance)
      : variance_(static_cast<long double>(variance.numerator) /
                  static_cast<long double>(variance.denominator)),
        end_(static_cast<int64_t>(std::ceil(12 * std::sqrt(variance_))) + 1) {
    // Small terms first.
    for (int64_t x = end_; x > 0; --x) total_ += 2 * Weight(x);
    total_ += 1;
  }
  int64_t end() const { return end_; }
  long double Probability(int64_t x) const { return Weight(x) / total_; }
  // E[X^2] and E[X^4].
  long double second_moment() const {
    return Sum([](long double square) { return square; });
  }
  long double fourth_moment() const {
    return Sum([](long double square) { return square * square; });
  }

 private:
  template <typename Function>
  long double Sum(const Function& of_square) const {
    long double sum = 0;
    for (int64_t x = end_; x > 0; --x) {
      sum +=
          2 * Probability(x) * of_square(static_cast<long double>(x) * static_cast<long double>(x));
    }
    return sum;
  }
  long double Weight(int64_t x) const {
    const auto value = static_cast<long double>(x);
    return std::exp(-value * value / (2 * variance_));
  }

  long double variance_;
  int64_t end_;
  long double total_ = 0;
};

// The counts and exact probabilities of bins of equal width, those at either end merged until at
// least ten draws are expected in each.
struct Bins {
  std::vector<uint64_t> counts;
  std::vector<long double> probabilities;
};

Bins BinsOf(std::span<const int64_t> draws, const ExactDistribution& exact, int64_t width) {
  const int64_t first = -((exact.end() + width - 1) / width) * width;
  const auto count = static_cast<size_t>(-2 * first / width + 1);
  std::vector<uint64_t> counts(count);
  std::vector<long double> probabilities(count);
  for (const int64_t x : draws) ++counts.at(static_cast<size_t>((x - first) / width));
  for (int64_t x = -exact.end(); x <= exact.end(); ++x) {
    probabilities[static_cast<size_t>((x - first) / width)] += exact.Probability(x);
  }
  Bins merged;
  uint64_t bin_count = 0;
  long double probability = 0;
  for (size_t i = 0; i < count; ++i) {
    bin_count += counts[i];
    probability += probabilities[i];
    if (probability * static_cast<long double>(draws.size()) < 10) continue;
    merged.counts.push_back(std::exchange(bin_count, 0));
    merged.probabilities.push_back(std::exchange(probability, 0.0L));
  }
  merged.counts.back() += bin_count;
  merged.probabilities.back() += probability;
  return merged;
}

std::vector<int64_t> Draws(const NoiseVariance& variance, uint64_t seed, size_t count = kDraws) {
  SeededRandom random(seed);
  std::vector<int64_t> draws(count);
  DiscreteGaussian::Create(variance)->Fill(draws, random);
  return draws;
}

class DiscreteGaussianTest : public testing::TestWithParam<double> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(variance_, NoiseVariance::AtLeast(GetParam()));
    width_ = std::max<int64_t>(1, static_cast<int64_t>(GetParam() / 12));
  }
  NoiseVariance variance_;
  int64_t width_ = 1;
};

TEST_P(DiscreteGaussianTest, DrawsHaveTheExactProbabilities) {
  const ExactDistribution exact(variance_);
  const Bins bins = BinsOf(Draws(variance_, 1), exact, width_);

  EXPECT_LT(ChiSquaredDeviations(bins.counts, bins.probabilities), kDeviationsMax);
}

// What bins of many values would hide.
TEST_P(DiscreteGaussianTest, LowestBitsHaveTheExactProbabilities) {
  const ExactDistribution exact(variance_);
  std::vector<uint64_t> counts(8);
  std::vector<long double> probabilities(8);
  for (const int64_t x : Draws(variance_, 2)) ++counts[static_cast<size_t>(x & 7)];
  for (int64_t x = -exact.end(); x <= exact.end(); ++x) {
    probabilities[static_cast<size_t>(x & 7)] += exact.Probability(x);
  }
  if (probabilities[4] * kDraws < 10) {  // sigma 0.5: 4 does not happen
    counts[3] += counts[4];
    probabilities[3] += probabilities[4];
    counts.erase(counts.begin() + 4);
    probabilities.erase(probabilities.begin() + 4);
  }

  EXPECT_LT(ChiSquaredDeviations(counts, probabilities), kDeviationsMax);
}

// The same draws against a sigma two per cent off: the test above can fail.
TEST_P(DiscreteGaussianTest, ChiSquaredSeesTwoPerCentOfSigma) {
  NoiseVariance wrong = variance_;
  wrong.numerator = wrong.numerator * 104 / 100;
  const ExactDistribution exact(wrong);
  const Bins bins = BinsOf(Draws(variance_, 1), exact, width_);

  EXPECT_GT(ChiSquaredDeviations(bins.counts, bins.probabilities), 3 * kDeviationsMax);
}

TEST_P(DiscreteGaussianTest, MeanVarianceAndSignAreThoseOfTheDistribution) {
  const ExactDistribution exact(variance_);
  const long double second = exact.second_moment();
  const long double fourth = exact.fourth_moment();
  long double sum = 0;
  long double squares = 0;
  long double signs = 0;
  long double nonzero = 0;
  for (const int64_t x : Draws(variance_, 3)) {
    const auto value = static_cast<long double>(x);
    sum += value;
    squares += value * value;
    signs += x > 0 ? 1 : (x < 0 ? -1 : 0);
    nonzero += x != 0 ? 1 : 0;
  }
  const long double n = kDraws;

  EXPECT_LT(std::abs(sum), kDeviationsMax * std::sqrt(n * second));
  EXPECT_LT(std::abs(squares - n * second),
            kDeviationsMax * std::sqrt(n * (fourth - second * second)));
  EXPECT_LT(std::abs(signs), kDeviationsMax * std::sqrt(nonzero));
}

TEST_P(DiscreteGaussianTest, NeighboursAreUncorrelated) {
  const std::vector<int64_t> draws = Draws(variance_, 4);
  long double products = 0;
  for (size_t i = 1; i < draws.size(); ++i) {
    products += static_cast<long double>(draws[i - 1]) * static_cast<long double>(draws[i]);
  }
  const long double second = ExactDistribution(variance_).second_moment();

  EXPECT_LT(std::abs(products), kDeviationsMax * second * std::sqrt(kDraws));
}

INSTANTIATE_TEST_SUITE_P(Sigmas, DiscreteGaussianTest,
                         testing::Values(0.5, 1.0, 4.0, 16.0, 1024.0, 16384.0, 262144.0));

// Ratios that no binary grid has.
TEST(DiscreteGaussianRatioTest, AnyRatioIsSampledExactly) {
  for (const NoiseVariance variance : {NoiseVariance{.numerator = 1, .denominator = 3},
                                       NoiseVariance{.numerator = 7, .denominator = 5},
                                       NoiseVariance{.numerator = 999'999, .denominator = 7}}) {
    const ExactDistribution exact(variance);
    const auto width = std::max<int64_t>(1, static_cast<int64_t>(variance.sigma() / 12));
    const Bins bins = BinsOf(Draws(variance, 5), exact, width);

    EXPECT_LT(ChiSquaredDeviations(bins.counts, bins.probabilities), kDeviationsMax);
  }
}

TEST(DiscreteGaussianLimitsTest, LargestSigmaDoesNotOverflow) {
  ASSERT_OK_AND_ASSIGN(const NoiseVariance variance,
                       NoiseVariance::AtLeast(NoiseVariance::kSigmaMax));
  constexpr int64_t kWidth = 1 << 20;
  constexpr double kSigma = NoiseVariance::kSigmaMax;
  constexpr int64_t kBinCount = 64;  // 4 sigma to either side
  std::vector<uint64_t> counts(kBinCount + 2);
  const std::vector<int64_t> draws = Draws(variance, 6);
  for (const int64_t x : draws) {
    const int64_t bin = (x >= 0 ? x / kWidth : -((-x + kWidth - 1) / kWidth)) + kBinCount / 2 + 1;
    ++counts[static_cast<size_t>(std::clamp<int64_t>(bin, 0, kBinCount + 1))];
  }
  // At this sigma sums and integrals of the density agree to rounding (Poisson summation), where
  // the border is taken in the middle between two integers.
  const auto cumulative = [&](int64_t below) {
    return 0.5L * std::erfc(-(static_cast<long double>(below) - 0.5L) / (kSigma * std::sqrt(2.0L)));
  };
  std::vector<long double> probabilities;
  long double last = 0;
  for (int64_t bin = 0; bin <= kBinCount; ++bin) {
    const int64_t border = (bin - kBinCount / 2) * kWidth;
    probabilities.push_back(cumulative(border) - last);
    last = cumulative(border);
  }
  probabilities.push_back(1 - last);

  EXPECT_EQ(variance.numerator, NoiseVariance::kNumeratorMax);
  EXPECT_LT(ChiSquaredDeviations(counts, probabilities), kDeviationsMax);
}

TEST(DiscreteGaussianLimitsTest, FinestRatioWithTheSmallestSigmaDrawsZeros) {
  const std::vector<int64_t> draws =
      Draws({.numerator = 1, .denominator = NoiseVariance::kDenominatorMax}, 7, 10'000);

  EXPECT_THAT(draws, testing::Each(0));
}

TEST(DiscreteGaussianLimitsTest, VariancesOutOfRangeAreRefused) {
  const auto status = [](uint64_t numerator, uint64_t denominator) {
    return DiscreteGaussian::Create({.numerator = numerator, .denominator = denominator}).status();
  };
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);

  EXPECT_THAT(status(0, 1), refused);
  EXPECT_THAT(status(1, 0), refused);
  EXPECT_THAT(status(NoiseVariance::kNumeratorMax + 1, 1 << 10), refused);
  EXPECT_THAT(status(1, NoiseVariance::kDenominatorMax + 1), refused);
  EXPECT_THAT(status((uint64_t{1} << 48) + 1, 1), refused);
  EXPECT_OK(status(uint64_t{1} << 48, 1));
  EXPECT_OK(status(NoiseVariance::kNumeratorMax, 4));
}

TEST(NoiseVarianceTest, IsTheNextOnTheGridThatIsNotBelow) {
  const auto expect = [](double sigma, uint64_t numerator, uint64_t denominator) {
    ASSERT_OK_AND_ASSIGN(const NoiseVariance variance, NoiseVariance::AtLeast(sigma));
    EXPECT_EQ(variance.numerator, numerator) << sigma;
    EXPECT_EQ(variance.denominator, denominator) << sigma;
  };

  expect(0.5, 1 << 14, 1 << 16);
  expect(3.0, 9 << 16, 1 << 16);
  expect(1.1, 79'299, 1 << 16);  // 1.21 2^16 = 79,298.56
  expect(std::nextafter(3.0, 4.0), (9 << 16) + 1, 1 << 16);
  expect(1e-200, 1, 1 << 16);
  expect(131'072.0, uint64_t{1} << 50, 1 << 16);
  expect(std::nextafter(131'072.0, 1e9), (uint64_t{1} << 49) + 1, 1 << 15);
  expect(262'144.0, uint64_t{1} << 50, 1 << 14);
  expect(NoiseVariance::kSigmaMax, uint64_t{1} << 50, 4);
}

TEST(NoiseVarianceTest, SigmasOutOfRangeAreRefused) {
  for (const double sigma :
       {0.0, -1.0, std::nextafter(NoiseVariance::kSigmaMax, 1e9), std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(NoiseVariance::AtLeast(sigma).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(DiscreteGaussianUseTest, AddToAddsTheSameDrawsModulo32Bits) {
  ASSERT_OK_AND_ASSIGN(const NoiseVariance variance, NoiseVariance::AtLeast(1024));
  const std::vector<int64_t> draws = Draws(variance, 8, 1000);
  std::vector<uint32_t> ring(1000);
  for (uint32_t i = 0; i < 1000; ++i) ring[i] = i * 4'294'967u;
  const std::vector<uint32_t> before = ring;
  SeededRandom random(8);

  DiscreteGaussian::Create(variance)->AddTo(ring, random);

  for (size_t i = 0; i < ring.size(); ++i) {
    EXPECT_EQ(static_cast<int32_t>(ring[i] - before[i]), draws[i]);
  }
}

TEST(DiscreteGaussianUseTest, EmptyVectorTakesNoRandomness) {
  ScriptedRandom none({});
  std::vector<int64_t> nothing;

  DiscreteGaussian::Create({.numerator = 1, .denominator = 1})->Fill(nothing, none);

  EXPECT_THAT(nothing, testing::IsEmpty());
}

// A process copied from another one, by fork or from one machine image, must not repeat its noise,
// nor may two calls.
TEST(DiscreteGaussianUseTest, ForkedProcessesDrawDifferentNoise) {
  const DiscreteGaussian noise =
      *DiscreteGaussian::Create({.numerator = 1'000'000, .denominator = 1});
  constexpr size_t kCount = 16;
  std::vector<std::vector<int64_t>> seen(1, std::vector<int64_t>(kCount));
  noise.Fill(seen[0], SystemRandom());  // the parent's generator has been used before the forks
  for (int child = 0; child < 2; ++child) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t process = ::fork();
    ASSERT_GE(process, 0);
    if (process == 0) {
      int64_t drawn[kCount];
      noise.Fill(drawn, SystemRandom());
      const bool is_written = ::write(ends[1], drawn, sizeof(drawn)) == sizeof(drawn);
      ::_exit(is_written ? 0 : 1);
    }
    ::close(ends[1]);
    std::vector<int64_t> drawn(kCount);
    EXPECT_EQ(::read(ends[0], drawn.data(), kCount * sizeof(int64_t)),
              static_cast<ssize_t>(kCount * sizeof(int64_t)));
    ::close(ends[0]);
    int status = -1;
    ASSERT_EQ(::waitpid(process, &status, 0), process);
    EXPECT_EQ(status, 0);
    seen.push_back(drawn);
  }
  seen.emplace_back(kCount);
  noise.Fill(seen.back(), SystemRandom());

  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

}  // namespace
}  // namespace skerry
