#include "common/privacy/update_noise.h"

#include "common/base/status.h"

namespace skerry {
namespace {

absl::StatusOr<DiscreteGaussian> NoiseOf(double sigma) {
  SKERRY_ASSIGN_OR_RETURN(const NoiseVariance variance, NoiseVariance::AtLeast(sigma));
  return DiscreteGaussian::Create(variance);
}

}  // namespace

absl::StatusOr<UpdateNoise> UpdateNoise::Create(double sigma, double bit_sigma) {
  SKERRY_ASSIGN_OR_RETURN(DiscreteGaussian parameters, NoiseOf(sigma));
  UpdateNoise noise(std::move(parameters));
  if (bit_sigma > 0) {
    SKERRY_ASSIGN_OR_RETURN(noise.bit_, NoiseOf(bit_sigma));
  }
  return noise;
}

void UpdateNoise::AddTo(std::span<uint32_t> update, RandomBits& random) const {
  const size_t parameters = update.size() - (bit_.has_value() ? 1 : 0);
  parameters_.AddTo(update.first(parameters), random);
  if (bit_.has_value()) bit_->AddTo(update.subspan(parameters), random);
}

}  // namespace skerry
