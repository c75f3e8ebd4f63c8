#include "common/ml/patches.h"

#include <algorithm>

namespace skerry {

void UnfoldPatches(const PatchGeometry& geometry, const float* image, float* patches) {
  const int64_t row_values = geometry.kernel * geometry.channels;
  for (int64_t out_y = 0; out_y < geometry.output_height(); ++out_y) {
    for (int64_t out_x = 0; out_x < geometry.output_width(); ++out_x) {
      const int64_t x = out_x * geometry.stride - geometry.padding;
      // The kernel's columns [begin, end) lie inside of the image.
      const int64_t begin = std::clamp<int64_t>(-x, 0, geometry.kernel);
      const int64_t end = std::clamp<int64_t>(geometry.width - x, begin, geometry.kernel);
      for (int64_t kernel_y = 0; kernel_y < geometry.kernel; ++kernel_y, patches += row_values) {
        const int64_t y = out_y * geometry.stride - geometry.padding + kernel_y;
        if (y < 0 || y >= geometry.height) {
          std::fill_n(patches, row_values, 0.0f);
          continue;
        }
        std::fill_n(patches, begin * geometry.channels, 0.0f);
        std::copy_n(image + (y * geometry.width + x + begin) * geometry.channels,
                    (end - begin) * geometry.channels, patches + begin * geometry.channels);
        std::fill_n(patches + end * geometry.channels, (geometry.kernel - end) * geometry.channels,
                    0.0f);
      }
    }
  }
}

}  // namespace skerry
