#include "common/ml/patches.h"

#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry {
namespace {

class PatchesTest : public testing::TestWithParam<PatchGeometry> {};

// Every value by its definition.
TEST_P(PatchesTest, EachValueIsThePixelBelowTheKernelOrZero) {
  const PatchGeometry& geometry = GetParam();
  std::vector<float> image(
      static_cast<size_t>(geometry.channels * geometry.height * geometry.width));
  std::iota(image.begin(), image.end(), 1.0f);
  const auto pixel = [&](int64_t y, int64_t x, int64_t channel) {
    if (y < 0 || x < 0 || y >= geometry.height || x >= geometry.width) return 0.0f;
    return image[static_cast<size_t>((y * geometry.width + x) * geometry.channels + channel)];
  };
  std::vector<float> expected;
  for (int64_t row = 0; row < geometry.output_height(); ++row) {
    for (int64_t column = 0; column < geometry.output_width(); ++column) {
      for (int64_t i = 0; i < geometry.patch_size(); ++i) {
        const int64_t y = i / (geometry.channels * geometry.kernel);
        const int64_t x = i / geometry.channels % geometry.kernel;
        expected.push_back(pixel(row * geometry.stride - geometry.padding + y,
                                 column * geometry.stride - geometry.padding + x,
                                 i % geometry.channels));
      }
    }
  }
  std::vector<float> patches(static_cast<size_t>(geometry.position_count() * geometry.patch_size()),
                             -1.0f);

  UnfoldPatches(geometry, image.data(), patches.data());

  EXPECT_EQ(patches, expected);
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, PatchesTest,
    testing::Values(
        PatchGeometry{.channels = 1, .height = 4, .width = 5, .kernel = 2},
        PatchGeometry{
            .channels = 3, .height = 7, .width = 6, .kernel = 3, .stride = 2, .padding = 1},
        PatchGeometry{.channels = 2, .height = 3, .width = 3, .kernel = 3, .stride = 3},
        // Padding beyond the kernel: some patches see nothing of the image.
        PatchGeometry{
            .channels = 2, .height = 2, .width = 3, .kernel = 2, .stride = 1, .padding = 4},
        PatchGeometry{
            .channels = 4, .height = 1, .width = 1, .kernel = 5, .stride = 2, .padding = 2},
        PatchGeometry{.channels = 1, .height = 5, .width = 5, .kernel = 1, .stride = 4}));

}  // namespace
}  // namespace skerry
