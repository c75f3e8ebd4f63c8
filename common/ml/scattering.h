// The scattering transform of images (Bruna and Mallat, "Invariant Scattering Convolution
// Networks", IEEE TPAMI 2013): features that are good for many images and learned from none, so a
// private model on top of them has few parameters to pay noise for (Tramer and Boneh, ICLR 2021).
// Includes LibTorch; inner header of network.cc.
//
// With J scales and L angles, psi(j, l) a Morlet wavelet of width 0.8 2^j, frequency (3/4) pi /
// 2^j, slant 4 / L and angle pi l / L, and phi a Gaussian of width 0.8 2^(J-1), each channel x
// becomes
//   x * phi                                            1 map
//   | x * psi(j, l) | * phi                            J L maps, by j, then l
//   | | x * psi(j, l) | * psi(k, m) | * phi, k > j     J (J - 1) / 2 L^2 maps, by j, k, l, then m
// taken at every 2^J-th pixel. Filters are cut at 2.5 widths (phi at 4) and images continued by
// zeros; wavelets have mean zero as cut.
#pragma once

#include <vector>

#include <torch/torch.h>

#include "common/config/job_config.h"

namespace skerry {

class Scattering {
 public:
  // `layer` is of kind scattering. May throw c10::Error, as Apply may.
  explicit Scattering(const LayerConfig& layer);

  // N x C x H x W to N x C maps x ceil(H / 2^J) x ceil(W / 2^J); a channel's maps stand together.
  at::Tensor Apply(const at::Tensor& images) const;

 private:
  at::Tensor Smooth(const at::Tensor& maps, int64_t resolution) const;

  int64_t scales_;
  int64_t angles_;
  std::vector<at::Tensor> wavelets_;  // by scale: 2L x 1 x side x side, real and imaginary in turn
  std::vector<at::Tensor> averages_;  // by resolution 2^-r of what is averaged: 1 x 1 x side x side
};

}  // namespace skerry
