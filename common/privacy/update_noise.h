// Exact noise for an encoded update or a sum of them: one standard deviation for all parameters,
// another one for the clip bit behind them if there is one. A value; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/privacy/discrete_gaussian.h"

namespace skerry {

class UpdateNoise {
 public:
  // In units of the encoding. `bit_sigma` 0: the update has no clip bit. Fails as
  // NoiseVariance::AtLeast does.
  static absl::StatusOr<UpdateNoise> Create(double sigma, double bit_sigma = 0);

  // Adds an independent draw to each element, modulo 2^32.
  void AddTo(std::span<uint32_t> update, RandomBits& random) const;

 private:
  explicit UpdateNoise(DiscreteGaussian parameters) : parameters_(std::move(parameters)) {}

  DiscreteGaussian parameters_;
  std::optional<DiscreteGaussian> bit_;
};

}  // namespace skerry
