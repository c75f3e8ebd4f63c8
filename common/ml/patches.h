// A convolution as a product: the window below each position of its output, side by side.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skerry {

// Of one image, channels last.
struct PatchGeometry {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t kernel = 0;
  int64_t stride = 1;
  int64_t padding = 0;

  int64_t output_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int64_t output_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  int64_t position_count() const { return output_height() * output_width(); }
  int64_t patch_size() const { return kernel * kernel * channels; }
};

// Writes position_count() rows of patch_size() values, ordered kernel row, kernel column, channel;
// zeros outside of the image. `image` is height x width x channels.
void UnfoldPatches(const PatchGeometry& geometry, const float* image, float* patches);

}  // namespace skerry
