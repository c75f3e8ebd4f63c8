#include "common/ml/metrics.h"

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace skerry {
namespace {

TEST(MetricsTest, AreaUnderRocEqualsTheShareOfPairsInOrder) {
  Rng rng(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> scores;
    std::vector<bool> is_positive;
    for (uint64_t i = 0; i < 2 + rng.Below(40); ++i) {
      scores.push_back(static_cast<float>(rng.Below(8)));  // few values, so that there are ties
      is_positive.push_back(rng.Below(2) == 1);
    }
    is_positive[0] = true;
    is_positive[1] = false;

    double wins = 0;
    double pairs = 0;
    for (size_t p = 0; p < scores.size(); ++p) {
      for (size_t n = 0; n < scores.size(); ++n) {
        if (!is_positive[p] || is_positive[n]) continue;
        ++pairs;
        wins += scores[p] > scores[n] ? 1.0 : (scores[p] == scores[n] ? 0.5 : 0.0);
      }
    }

    EXPECT_DOUBLE_EQ(AreaUnderRoc(scores, is_positive), wins / pairs);
  }
}

TEST(MetricsTest, AreaUnderRocWithoutOneOfTheClassesIsOneHalf) {
  EXPECT_EQ(AreaUnderRoc({}, {}), 0.5);
  const std::vector<float> scores = {1, 2};
  EXPECT_EQ(AreaUnderRoc(scores, {true, true}), 0.5);
  EXPECT_EQ(AreaUnderRoc(scores, {false, false}), 0.5);
}

TEST(MetricsTest, CountsEqualThoseOfAConfusionMatrix) {
  constexpr size_t kClasses = 5;  // the last is neither predicted nor present
  Rng rng(4);
  ClassCounts counts(kClasses);
  double matrix[kClasses][kClasses] = {};
  for (int i = 0; i < 200; ++i) {
    const size_t predicted = rng.Below(kClasses - 1);
    const size_t actual = rng.Below(kClasses - 1);
    counts.Add(predicted, actual);
    ++matrix[predicted][actual];
  }

  double correct = 0;
  double f1_sum = 0;
  for (size_t c = 0; c < kClasses; ++c) {
    double predicted = 0;
    double actual = 0;
    for (size_t other = 0; other < kClasses; ++other) {
      predicted += matrix[c][other];
      actual += matrix[other][c];
    }
    correct += matrix[c][c];
    if (predicted == 0 || actual == 0) continue;
    const double precision = matrix[c][c] / predicted;
    const double recall = matrix[c][c] / actual;
    const double f1 = 2 * precision * recall / (precision + recall);
    EXPECT_NEAR(counts.F1(c), f1, 1e-12);
    f1_sum += f1;
  }
  EXPECT_EQ(counts.example_count(), 200u);
  EXPECT_EQ(static_cast<double>(counts.correct_count()), correct);
  EXPECT_NEAR(counts.Accuracy(), correct / 200, 1e-12);
  EXPECT_NEAR(counts.MacroF1(), f1_sum / (kClasses - 1), 1e-12);
}

TEST(MetricsTest, ClassThatIsOnlyPredictedLowersTheMean) {
  ClassCounts counts(3);
  counts.Add(0, 0);
  counts.Add(1, 0);  // class 1 has F1 0, class 2 does not take part

  EXPECT_NEAR(counts.F1(0), 2.0 / 3.0, 1e-12);
  EXPECT_EQ(counts.F1(1), 0.0);
  EXPECT_NEAR(counts.MacroF1(), 1.0 / 3.0, 1e-12);
}

TEST(MetricsTest, NothingCountedIsZero) {
  const ClassCounts counts(2);

  EXPECT_EQ(counts.Accuracy(), 0.0);
  EXPECT_EQ(counts.F1(0), 0.0);
  EXPECT_EQ(counts.MacroF1(), 0.0);
}

TEST(MetricsTest, ArgMaxIsTheFirstOfTheLargest) {
  const std::vector<float> values = {1, 3, 3, 2};
  EXPECT_EQ(ArgMax(values), 1u);
}

}  // namespace
}  // namespace skerry
