#include "common/crypto/wide_aes.h"

#include <algorithm>

#include "common/base/status.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace skerry {

#if defined(__x86_64__)
namespace {

constexpr size_t kRounds = 10;
constexpr size_t kBlockBytes = 16;
// Eight registers of four blocks hide the latency of the AES unit.
constexpr size_t kRegisters = WideAes::kStepBytes / sizeof(__m512i);

// The plain broadcast makes GCC 12 warn of a variable of its own header.
constexpr __mmask16 kAllLanes = 0xffff;

// One step of AES-128's key schedule (FIPS 197, section 5.2).
template <int kRoundConstant>
__attribute__((target("aes"))) void NextRoundKey(uint8_t* round_keys, size_t round) {
  auto* const keys = reinterpret_cast<__m128i*>(round_keys);
  __m128i key = _mm_loadu_si128(&keys[round - 1]);
  const __m128i assist = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, kRoundConstant), 0xff);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  _mm_storeu_si128(&keys[round], _mm_xor_si128(key, assist));
}

// Asked by hand, because __builtin_cpu_supports does not know the name in clang 14. Whether the
// operating system keeps the wide registers is asked with avx512f.
bool HasVectorAes() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_VAES) != 0;
}

}  // namespace

bool WideAes::IsSupported() {
  static const bool is_supported =
      HasVectorAes() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  return is_supported;
}

WideAes::WideAes(std::span<const uint8_t> key) : round_keys_((kRounds + 1) * kBlockBytes) {
  SKERRY_ASSERT(key.size() == kBlockBytes);
  uint8_t* const keys = round_keys_.mutable_bytes().data();
  std::copy(key.begin(), key.end(), keys);
  NextRoundKey<0x01>(keys, 1);
  NextRoundKey<0x02>(keys, 2);
  NextRoundKey<0x04>(keys, 3);
  NextRoundKey<0x08>(keys, 4);
  NextRoundKey<0x10>(keys, 5);
  NextRoundKey<0x20>(keys, 6);
  NextRoundKey<0x40>(keys, 7);
  NextRoundKey<0x80>(keys, 8);
  NextRoundKey<0x1b>(keys, 9);
  NextRoundKey<0x36>(keys, 10);
}

__attribute__((target("vaes,avx512f,avx512bw"))) void WideAes::Write(uint64_t first_block,
                                                                     std::span<uint8_t> out) const {
  SKERRY_ASSERT(out.size() % kStepBytes == 0);
  __m512i keys[kRounds + 1];
  for (size_t i = 0; i <= kRounds; ++i) {
    keys[i] =
        _mm512_maskz_broadcast_i32x4(kAllLanes, _mm_loadu_si128(reinterpret_cast<const __m128i*>(
                                                    round_keys_.bytes().data() + i * kBlockBytes)));
  }
  // The number is in the upper half of each block, last byte first until the swap.
  const auto number = static_cast<long long>(first_block);
  __m512i counter = _mm512_set_epi64(number + 3, 0, number + 2, 0, number + 1, 0, number, 0);
  const __m512i four = _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0);
  const __m512i swap = _mm512_maskz_broadcast_i32x4(
      kAllLanes, _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  for (uint8_t* to = out.data(); to != out.data() + out.size(); to += kStepBytes) {
    __m512i state[kRegisters];
    for (__m512i& blocks : state) {
      blocks = _mm512_xor_si512(_mm512_shuffle_epi8(counter, swap), keys[0]);
      counter = _mm512_add_epi64(counter, four);
    }
    for (size_t round = 1; round < kRounds; ++round) {
      for (__m512i& blocks : state) blocks = _mm512_aesenc_epi128(blocks, keys[round]);
    }
    for (size_t i = 0; i < kRegisters; ++i) {
      _mm512_storeu_si512(to + i * sizeof(__m512i),
                          _mm512_aesenclast_epi128(state[i], keys[kRounds]));
    }
  }
}

#else

bool WideAes::IsSupported() { return false; }
WideAes::WideAes(std::span<const uint8_t>) { SKERRY_ASSERT(IsSupported()); }
void WideAes::Write(uint64_t, std::span<uint8_t>) const { SKERRY_ASSERT(IsSupported()); }

#endif

}  // namespace skerry
