#include "agent/inference/number_formats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/bytes.h"

namespace skerry {
namespace {

// Conversions of whole arrays are loops over these, so that the compiler makes vectors of them.
inline float HalfToFloat(uint16_t bits) {
  // Subnormals and normals alike: place the bits in a float and multiply the exponent's bias away.
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  const bool is_special = (bits & 0x7c00u) == 0x7c00u;
  const uint32_t special = magnitude | 0x7f800000u;
  const uint32_t body = is_special ? special : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(body | sign);
}

std::array<float, 256> E4m3Table() {
  std::array<float, 256> table{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15;
    const int mantissa = code & 7;
    double value =
        exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    if (exponent == 15 && mantissa == 7) value = std::numeric_limits<double>::quiet_NaN();
    table[static_cast<size_t>(code)] = static_cast<float>(code < 128 ? value : -value);
  }
  return table;
}

const std::array<float, 256> kE4m3 = E4m3Table();

template <typename Word>
std::optional<size_t> FindExponent(const void* data, size_t count, Word mask) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  constexpr size_t kBlock = 4096;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = begin + std::min(kBlock, count - begin);
    size_t found = 0;
    for (size_t i = begin; i < end; ++i) {
      found += (LoadLittleEndian<Word>(bytes + i * sizeof(Word)) & mask) == mask ? 1u : 0u;
    }
    if (found == 0) continue;
    for (size_t i = begin; i < end; ++i) {
      if ((LoadLittleEndian<Word>(bytes + i * sizeof(Word)) & mask) == mask) return i;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<NumberFormat> FindFormat(std::string_view dtype) {
  if (dtype == "F32") return NumberFormat::kF32;
  if (dtype == "BF16") return NumberFormat::kBf16;
  if (dtype == "F16") return NumberFormat::kF16;
  if (dtype == "F8_E4M3") return NumberFormat::kF8E4m3;
  return std::nullopt;
}

std::string_view NameOf(NumberFormat format) {
  switch (format) {
    case NumberFormat::kF32:
      return "F32";
    case NumberFormat::kBf16:
      return "BF16";
    case NumberFormat::kF16:
      return "F16";
    case NumberFormat::kF8E4m3:
      return "F8_E4M3";
  }
  return "";
}

float FromHalf(uint16_t bits) { return HalfToFloat(bits); }
float FromE4m3(uint8_t bits) { return kE4m3[bits]; }

uint16_t ToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);  // NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u;
  return static_cast<uint16_t>(sign | rounded >> 13);
}

void ReadNumbers(NumberFormat format, const void* data, size_t first, std::span<float> out) {
  const auto* bytes = static_cast<const uint8_t*>(data) + first * BytesOf(format);
  float* to = out.data();
  const size_t count = out.size();
  switch (format) {
    case NumberFormat::kF32:
      std::memcpy(to, bytes, count * sizeof(float));
      return;
    case NumberFormat::kBf16:
      for (size_t i = 0; i < count; ++i) {
        to[i] = std::bit_cast<float>(
            static_cast<uint32_t>(LoadLittleEndian<uint16_t>(bytes + 2 * i)) << 16);
      }
      return;
    case NumberFormat::kF16:
      for (size_t i = 0; i < count; ++i) {
        to[i] = HalfToFloat(LoadLittleEndian<uint16_t>(bytes + 2 * i));
      }
      return;
    case NumberFormat::kF8E4m3:
      for (size_t i = 0; i < count; ++i) to[i] = kE4m3[bytes[i]];
      return;
  }
}

std::optional<size_t> FindNotFinite(NumberFormat format, const void* data, size_t count) {
  switch (format) {
    case NumberFormat::kF32:
      return FindExponent<uint32_t>(data, count, 0x7f800000u);
    case NumberFormat::kBf16:
      return FindExponent<uint16_t>(data, count, uint16_t{0x7f80u});
    case NumberFormat::kF16:
      return FindExponent<uint16_t>(data, count, uint16_t{0x7c00u});
    case NumberFormat::kF8E4m3:
      return FindExponent<uint8_t>(data, count, uint8_t{0x7fu});
  }
  return std::nullopt;
}

}  // namespace skerry
