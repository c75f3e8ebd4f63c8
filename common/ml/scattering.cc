#include "common/ml/scattering.h"

#include <cmath>
#include <numbers>

namespace skerry {
namespace {

constexpr double kWidth = 0.8;
constexpr double kFrequency = 0.75 * std::numbers::pi;

int64_t HalfOf(const at::Tensor& filter) { return filter.size(-1) / 2; }

// The L wavelets of one scale.
at::Tensor Wavelets(int64_t scale, int64_t angles) {
  const double width = kWidth * std::ldexp(1.0, static_cast<int>(scale));
  const double frequency = kFrequency / std::ldexp(1.0, static_cast<int>(scale));
  const double slant = 4.0 / static_cast<double>(angles);
  const auto half = static_cast<int64_t>(std::ceil(2.5 * width / std::min(1.0, slant)));
  const int64_t side = 2 * half + 1;
  at::Tensor filters = at::empty({angles, 2, side, side}, at::kDouble);
  for (int64_t angle = 0; angle < angles; ++angle) {
    const double turn = std::numbers::pi * static_cast<double>(angle) / static_cast<double>(angles);
    at::Tensor envelope = at::empty({side, side}, at::kDouble);
    at::Tensor real = at::empty({side, side}, at::kDouble);
    auto envelope_at = envelope.accessor<double, 2>();
    auto real_at = real.accessor<double, 2>();
    const at::Tensor imaginary = filters[angle][1];
    auto imaginary_at = imaginary.accessor<double, 2>();
    for (int64_t i = 0; i < side; ++i) {
      for (int64_t j = 0; j < side; ++j) {
        const auto y = static_cast<double>(i - half);
        const auto x = static_cast<double>(j - half);
        const double along = std::cos(turn) * x + std::sin(turn) * y;
        const double across = slant * (std::cos(turn) * y - std::sin(turn) * x);
        const double height = std::exp(-(along * along + across * across) / (2 * width * width)) *
                              slant / (2 * std::numbers::pi * width * width);
        envelope_at[i][j] = height;
        real_at[i][j] = height * std::cos(frequency * along);
        imaginary_at[i][j] = height * std::sin(frequency * along);
      }
    }
    filters[angle][0] = real - envelope * (real.sum() / envelope.sum());
  }
  return filters.view({2 * angles, 1, side, side}).to(at::kFloat);
}

at::Tensor Gaussian(double width) {
  const auto half = static_cast<int64_t>(std::ceil(4 * width));
  const at::Tensor line = at::arange(-half, half + 1, at::kDouble).div(width).square().mul(-0.5);
  const at::Tensor heights = line.exp() / line.exp().sum();
  return at::outer(heights, heights).view({1, 1, 2 * half + 1, 2 * half + 1}).to(at::kFloat);
}

// | maps * wavelets | at every `stride`-th pixel: each of the maps (N x 1 x H x W) becomes L.
at::Tensor Moduli(const at::Tensor& maps, const at::Tensor& wavelets, int64_t stride) {
  const at::Tensor parts = at::conv2d(maps, wavelets, {}, stride, HalfOf(wavelets));
  return parts.view({parts.size(0), parts.size(1) / 2, 2, parts.size(2), parts.size(3)})
      .square()
      .sum(2)
      .sqrt();
}

at::Tensor AsImages(const at::Tensor& maps) {
  return maps.reshape({-1, 1, maps.size(-2), maps.size(-1)});
}

}  // namespace

Scattering::Scattering(const LayerConfig& layer) : scales_(layer.scales), angles_(layer.angles) {
  for (int64_t scale = 0; scale < scales_; ++scale) {
    wavelets_.push_back(Wavelets(scale, angles_));
    averages_.push_back(Gaussian(kWidth * std::ldexp(1.0, static_cast<int>(scales_ - 1 - scale))));
  }
}

at::Tensor Scattering::Apply(const at::Tensor& images) const {
  const int64_t count = images.size(0) * images.size(1);
  const at::Tensor image = AsImages(images);
  std::vector<at::Tensor> second;
  std::vector<at::Tensor> maps = {Smooth(image, 0)};
  for (int64_t scale = 0; scale < scales_; ++scale) {
    const at::Tensor first = Moduli(image, wavelets_[static_cast<size_t>(scale)], 1L << scale);
    maps.push_back(Smooth(first, scale));
    for (int64_t next = scale + 1; next < scales_; ++next) {
      // On the coarser grid a wider wavelet is a narrower one.
      const auto step = static_cast<size_t>(next - scale);
      second.push_back(Smooth(Moduli(AsImages(first), wavelets_[step], 1L << step), next));
    }
  }
  maps.insert(maps.end(), second.begin(), second.end());
  for (at::Tensor& map : maps) map = map.view({count, -1, map.size(-2), map.size(-1)});
  const at::Tensor all = at::cat(maps, 1);
  return all.view({images.size(0), -1, all.size(2), all.size(3)});
}

// Averages maps at the resolution 2^-r and takes them to 2^-J.
at::Tensor Scattering::Smooth(const at::Tensor& maps, int64_t resolution) const {
  const at::Tensor& average = averages_[static_cast<size_t>(resolution)];
  return at::conv2d(AsImages(maps), average, {}, 1L << (scales_ - resolution), HalfOf(average));
}

}  // namespace skerry
