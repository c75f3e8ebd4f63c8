// How fast one core masks a vector: bytes of keystream added per second, by number of masks, over
// 4 MB (a million parameters). The median of 21 runs.
//
//   skerry_mask_bench
#include <cstdio>
#include <string>
#include <vector>

#include "common/crypto/key_stream.h"
#include "common/crypto/random_bits.h"
#include "common/secagg/mask.h"
#include "tests/bench/median.h"

namespace skerry {
namespace {

constexpr size_t kWords = 1'000'000;
constexpr size_t kRuns = 21;

}  // namespace
}  // namespace skerry

int main() {
  using namespace skerry;
  std::vector<RingElement> sum(kWords);
  std::printf("| masks | ms | GB/s of keystream |\n|---:|---:|---:|\n");
  for (const size_t count : {1u, 8u, 64u}) {
    std::vector<MaskKey> masks(count);
    for (MaskKey& mask : masks) mask.key = SystemRandom().DrawSecret(KeyStream::kKeyBytes);
    const double seconds = MedianSeconds(kRuns, [&] { ApplyMasks(sum, masks); });
    const double bytes = static_cast<double>(count * kWords * sizeof(RingElement));
    std::printf("| %zu | %.2f | %.2f |\n", count, seconds * 1e3, bytes / seconds / 1e9);
  }
}
