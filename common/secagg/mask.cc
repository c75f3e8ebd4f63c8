#include "common/secagg/mask.h"

#include <algorithm>
#include <array>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/key_stream.h"

namespace skerry {
namespace {

// 16 KiB: all masks pass over a tile of the sum while it is in the first-level cache, so the sum
// crosses the memory bus once and not once a mask. See README.md for the size.
constexpr size_t kTileWords = 4096;

[[gnu::always_inline]] inline void CombineLoop(std::span<RingElement> tile, const RingElement* mask,
                                               bool is_subtracted) {
  RingElement* const to = tile.data();
  if (is_subtracted) {
    for (size_t i = 0; i < tile.size(); ++i) to[i] -= mask[i];
  } else {
    for (size_t i = 0; i < tile.size(); ++i) to[i] += mask[i];
  }
}

// The same loop, compiled for wider registers: the keystream comes so fast where there is VAES that
// additions of 16 bytes would take a third of the time.
#if defined(__x86_64__)
__attribute__((target("avx2"))) void CombineWide(std::span<RingElement> tile,
                                                 const RingElement* mask, bool is_subtracted) {
  CombineLoop(tile, mask, is_subtracted);
}

void Combine(std::span<RingElement> tile, const RingElement* mask, bool is_subtracted) {
  static const bool is_wide = __builtin_cpu_supports("avx2");
  is_wide ? CombineWide(tile, mask, is_subtracted) : CombineLoop(tile, mask, is_subtracted);
}
#else
void Combine(std::span<RingElement> tile, const RingElement* mask, bool is_subtracted) {
  CombineLoop(tile, mask, is_subtracted);
}
#endif

}  // namespace

void ApplyMasks(std::span<RingElement> sum, std::span<const MaskKey> masks, size_t first) {
  // One stream a key for the whole vector: keying costs as much as some kilobytes of stream.
  std::vector<KeyStream> streams;
  streams.reserve(masks.size());
  for (const MaskKey& mask : masks) streams.emplace_back(mask.key.bytes());

  alignas(64) std::array<RingElement, kTileWords> words;
  for (size_t begin = 0; begin < sum.size(); begin += kTileWords) {
    const auto tile = sum.subspan(begin, std::min(kTileWords, sum.size() - begin));
    const auto mask_words = std::span(words).first(tile.size());
    for (size_t k = 0; k < masks.size(); ++k) {
      streams[k].ReadWords(first + begin, mask_words);
      Combine(tile, mask_words.data(), masks[k].is_subtracted);
    }
  }
  WipeBytes({reinterpret_cast<uint8_t*>(words.data()), sizeof(words)});
}

}  // namespace skerry
