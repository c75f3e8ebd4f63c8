// How fast one core draws discrete Gaussian noise for a million parameters from the operating
// system's generator, by sigma. The median of 11 runs.
//
//   skerry_noise_bench
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "common/base/clock.h"
#include "common/crypto/random_bits.h"
#include "common/privacy/discrete_gaussian.h"

namespace skerry {
namespace {

constexpr size_t kElements = 1'000'000;
constexpr size_t kRuns = 11;

double MedianSeconds(const DiscreteGaussian& noise, std::span<uint32_t> ring) {
  std::array<double, kRuns> times{};
  for (double& seconds : times) {
    const Instant begin = SystemClock().Now();
    noise.AddTo(ring, SystemRandom());
    seconds = Seconds(SystemClock().Now() - begin);
  }
  std::sort(times.begin(), times.end());
  return times[kRuns / 2];
}

}  // namespace
}  // namespace skerry

int main() {
  using namespace skerry;
  std::vector<uint32_t> ring(kElements);
  std::printf("\nDiscrete Gaussian noise, one core (goal: 10 M samples/s)\n\n");
  std::printf("| sigma | M samples/s |\n|---:|---:|\n");
  for (const double sigma : {0.5, 1.0, 4.0, 16.0, 1024.0, 16384.0, 262144.0}) {
    const DiscreteGaussian noise = *DiscreteGaussian::Create(*NoiseVariance::AtLeast(sigma));
    std::printf("| %g | %.1f |\n", sigma, kElements / MedianSeconds(noise, ring) / 1e6);
  }
}
