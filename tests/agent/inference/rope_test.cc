// Rotations and scaled frequencies against their definitions.
#include "agent/inference/rope.h"

#include <cmath>
#include <complex>

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace skerry {
namespace {

LanguageModelConfig ConfigWith(RopeScaling scaling) {
  LanguageModelConfig config;
  config.rope_base = 10'000;
  config.rope_scaling = scaling;
  return config;
}

TEST(RopeTest, APairIsAComplexNumberTimesAUnit) {
  constexpr int64_t kDim = 8;
  Rng rng(2);
  for (const Rope::Pairs pairs : {Rope::Pairs::kHalves, Rope::Pairs::kNeighbours}) {
    Rope rope(ConfigWith({}), kDim, pairs);
    for (const int64_t position : {0, 1, 17, 4'000}) {
      std::vector<float> vectors(2 * kDim);  // two of them
      for (float& value : vectors) value = static_cast<float>(rng.Uniform() * 2 - 1);
      std::vector<float> rotated = vectors;
      rope.Rotate(position, rotated);
      for (size_t begin : {size_t{0}, size_t{kDim}}) {
        for (size_t i = 0; i < kDim / 2; ++i) {
          const bool halves = pairs == Rope::Pairs::kHalves;
          const size_t a = begin + (halves ? i : 2 * i);
          const size_t b = begin + (halves ? i + kDim / 2 : 2 * i + 1);
          const double angle = static_cast<double>(position) *
                               std::pow(10'000.0, -2.0 * static_cast<double>(i) / kDim);
          const std::complex<double> expected =
              std::complex<double>(vectors[a], vectors[b]) * std::polar(1.0, angle);
          EXPECT_NEAR(rotated[a], expected.real(), 1e-6);
          EXPECT_NEAR(rotated[b], expected.imag(), 1e-6);
        }
      }
    }
  }
}

TEST(RopeTest, AYarnRampWithoutWidthKeepsTheFirstFrequencyAndDividesTheRest) {
  // So few original positions that both ends of the ramp are at 0.
  const Rope rope(ConfigWith(YarnScaling{.factor = 4, .original_positions = 1}), 8,
                  Rope::Pairs::kNeighbours);
  for (size_t i = 0; i < 4; ++i) {
    const double plain = std::pow(10'000.0, -2.0 * static_cast<double>(i) / 8);
    EXPECT_DOUBLE_EQ(rope.frequencies()[i], i == 0 ? plain : plain / 4) << i;
  }
}

TEST(RopeTest, LinearScalingDividesEachFrequency) {
  const Rope rope(ConfigWith(LinearScaling{.factor = 8}), 8, Rope::Pairs::kHalves);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(rope.frequencies()[i],
                     std::pow(10'000.0, -2.0 * static_cast<double>(i) / 8) / 8);
  }
}

}  // namespace
}  // namespace skerry
