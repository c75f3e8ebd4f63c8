#include "common/ml/scattering.h"

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace skerry {
namespace {

using Image = std::vector<std::vector<double>>;

int64_t Ceil(double value) { return static_cast<int64_t>(std::ceil(value)); }

double At(const Image& image, int64_t y, int64_t x) {
  const auto height = static_cast<int64_t>(image.size());
  const auto width = static_cast<int64_t>(image[0].size());
  if (y < 0 || y >= height || x < 0 || x >= width) return 0.0;
  return image[static_cast<size_t>(y)][static_cast<size_t>(x)];
}

// The convolution's sum over the window, pixel by pixel, for any function of the offset. LibTorch's
// "convolution" is a correlation, which for | . | of Morlet wavelets and for Gaussians is the same.
template <typename Filter>
auto Filtered(const Image& image, int64_t half, int64_t stride, const Filter& filter) {
  using Value = decltype(filter(0.0, 0.0));
  std::vector<std::vector<Value>> output;
  for (int64_t y = 0; y < static_cast<int64_t>(image.size()); y += stride) {
    output.emplace_back();
    for (int64_t x = 0; x < static_cast<int64_t>(image[0].size()); x += stride) {
      Value sum{};
      for (int64_t v = -half; v <= half; ++v) {
        for (int64_t u = -half; u <= half; ++u) {
          sum += At(image, y + v, x + u) * filter(static_cast<double>(u), static_cast<double>(v));
        }
      }
      output.back().push_back(sum);
    }
  }
  return output;
}

struct Transform {
  int64_t scales;
  int64_t angles;

  // | image * psi | on the grid of `resolution` (pixels 2^resolution apart), at that of `scale`.
  Image Modulus(const Image& image, int64_t resolution, int64_t scale, int64_t angle) const {
    const double pixel = std::ldexp(1.0, static_cast<int>(resolution));
    const double width = 0.8 * std::ldexp(1.0, static_cast<int>(scale)) / pixel;
    const double frequency =
        0.75 * std::numbers::pi / std::ldexp(1.0, static_cast<int>(scale)) * pixel;
    const double slant = 4.0 / static_cast<double>(angles);
    const double turn = std::numbers::pi * static_cast<double>(angle) / static_cast<double>(angles);
    const int64_t half = Ceil(2.5 * width / std::min(1.0, slant));
    const auto gabor = [&](double u, double v, double wave) {
      const double along = u * std::cos(turn) + v * std::sin(turn);
      const double across = v * std::cos(turn) - u * std::sin(turn);
      const double envelope =
          std::exp(-(along * along + slant * slant * across * across) / (2 * width * width));
      return slant / (2 * std::numbers::pi * width * width) * envelope *
             std::polar(1.0, wave * along);
    };
    std::complex<double> wave_sum;
    std::complex<double> envelope_sum;
    for (int64_t v = -half; v <= half; ++v) {
      for (int64_t u = -half; u <= half; ++u) {
        wave_sum += gabor(static_cast<double>(u), static_cast<double>(v), frequency);
        envelope_sum += gabor(static_cast<double>(u), static_cast<double>(v), 0.0);
      }
    }
    const auto complex =
        Filtered(image, half, int64_t{1} << (scale - resolution), [&](double u, double v) {
          return gabor(u, v, frequency) - wave_sum / envelope_sum * gabor(u, v, 0.0);
        });
    Image modulus;
    for (const auto& row : complex) {
      modulus.emplace_back();
      for (const auto& value : row) modulus.back().push_back(std::abs(value));
    }
    return modulus;
  }

  Image Average(const Image& image, int64_t resolution) const {
    const double width = 0.8 * std::ldexp(1.0, static_cast<int>(scales - 1 - resolution));
    const int64_t half = Ceil(4 * width);
    double total = 0.0;
    const auto gauss = [&](double u, double v) {
      return std::exp(-(u * u + v * v) / (2 * width * width));
    };
    for (int64_t v = -half; v <= half; ++v) {
      for (int64_t u = -half; u <= half; ++u) {
        total += gauss(static_cast<double>(u), static_cast<double>(v));
      }
    }
    return Filtered(image, half, int64_t{1} << (scales - resolution),
                    [&](double u, double v) { return gauss(u, v) / total; });
  }

  std::vector<Image> Maps(const Image& image) const {
    std::vector<Image> maps = {Average(image, 0)};
    for (int64_t j = 0; j < scales; ++j) {
      for (int64_t l = 0; l < angles; ++l) maps.push_back(Average(Modulus(image, 0, j, l), j));
    }
    for (int64_t j = 0; j < scales; ++j) {
      for (int64_t k = j + 1; k < scales; ++k) {
        for (int64_t l = 0; l < angles; ++l) {
          const Image first = Modulus(image, 0, j, l);
          for (int64_t m = 0; m < angles; ++m) {
            maps.push_back(Average(Modulus(first, j, k, m), k));
          }
        }
      }
    }
    return maps;
  }
};

Image RandomImage(Rng& rng, size_t height, size_t width) {
  Image image(height, std::vector<double>(width));
  for (auto& row : image) {
    for (double& value : row) value = rng.Uniform();
  }
  return image;
}

at::Tensor TensorOf(const std::vector<Image>& channels) {
  const at::Tensor tensor =
      at::empty({1, static_cast<int64_t>(channels.size()), static_cast<int64_t>(channels[0].size()),
                 static_cast<int64_t>(channels[0][0].size())});
  float* to = tensor.data_ptr<float>();
  for (const Image& channel : channels) {
    for (const auto& row : channel) {
      for (const double value : row) *to++ = static_cast<float>(value);
    }
  }
  return tensor;
}

class ScatteringTest : public testing::TestWithParam<Transform> {};

TEST_P(ScatteringTest, EqualsTheDefinitionPixelByPixel) {
  Rng rng(7);
  const Transform& transform = GetParam();
  const std::vector<Image> channels = {RandomImage(rng, 11, 14), RandomImage(rng, 11, 14)};

  const Scattering scattering(
      {.kind = LayerKind::kScattering, .scales = transform.scales, .angles = transform.angles});
  const at::Tensor features = scattering.Apply(TensorOf(channels));

  std::vector<Image> expected = transform.Maps(channels[0]);
  const std::vector<Image> of_second = transform.Maps(channels[1]);
  expected.insert(expected.end(), of_second.begin(), of_second.end());
  const at::Tensor expected_features = TensorOf(expected);
  ASSERT_EQ(features.sizes(), expected_features.sizes());
  EXPECT_LT((features - expected_features).abs().max().item<float>(), 2e-6f);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ScatteringTest,
                         testing::Values(Transform{1, 1}, Transform{1, 8}, Transform{2, 3},
                                         Transform{3, 2}),
                         [](const auto& test) {
                           return "Scales" + std::to_string(test.param.scales) + "Angles" +
                                  std::to_string(test.param.angles);
                         });

TEST(ScatteringTest, FindsTheDirectionOfStripes) {
  Image stripes(16,
                std::vector<double>(16));  // change along x: the wavelets of angle 0 and scale 0
  for (auto& row : stripes) {
    for (size_t x = 0; x < row.size(); ++x) {
      row[x] = 0.5 + 0.5 * std::cos(0.75 * std::numbers::pi * static_cast<double>(x));
    }
  }
  const Scattering scattering({.kind = LayerKind::kScattering, .scales = 1, .angles = 4});

  const at::Tensor middle = scattering.Apply(TensorOf({stripes})).select(2, 4).select(2, 4)[0];

  EXPECT_EQ(middle.slice(0, 1).argmax().item<int64_t>(), 0);  // after the average
}

}  // namespace
}  // namespace skerry
