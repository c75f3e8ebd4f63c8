// How fast one core draws discrete Gaussian noise for a million parameters from the operating
// system's generator, by sigma. The median of 11 runs.
//
//   skerry_noise_bench
#include <cstdint>
#include <cstdio>
#include <vector>

#include "common/crypto/random_bits.h"
#include "common/privacy/discrete_gaussian.h"
#include "tests/bench/median.h"

namespace skerry {
namespace {

constexpr size_t kElements = 1'000'000;
constexpr size_t kRuns = 11;

}  // namespace
}  // namespace skerry

int main() {
  using namespace skerry;
  std::vector<uint32_t> ring(kElements);
  std::printf("\nDiscrete Gaussian noise, one core (goal: 10 M samples/s)\n\n");
  std::printf("| sigma | M samples/s |\n|---:|---:|\n");
  for (const double sigma : {0.5, 1.0, 4.0, 16.0, 1024.0, 16384.0, 262144.0}) {
    const DiscreteGaussian noise = *DiscreteGaussian::Create(*NoiseVariance::AtLeast(sigma));
    const double seconds = MedianSeconds(kRuns, [&] { noise.AddTo(ring, SystemRandom()); });
    std::printf("| %g | %.1f |\n", sigma, kElements / seconds / 1e6);
  }
}
