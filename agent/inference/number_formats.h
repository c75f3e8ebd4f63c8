// Numbers as published weights store them, read as float32. All conversions are exact.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace skerry {

enum class NumberFormat { kF32, kBf16, kF16, kF8E4m3 };

inline constexpr size_t BytesOf(NumberFormat format) {
  return format == NumberFormat::kF32 ? 4 : format == NumberFormat::kF8E4m3 ? 1 : 2;
}

// As safetensors names it; none for a type that no weight here may have.
std::optional<NumberFormat> FindFormat(std::string_view dtype);
std::string_view NameOf(NumberFormat format);

// IEEE binary16.
float FromHalf(uint16_t bits);
// To the nearest binary16, ties to even; beyond its range infinity.
uint16_t ToHalf(float value);
// OCP 8-bit floating point, E4M3: no infinities, 0x7f and 0xff are NaN.
float FromE4m3(uint8_t bits);

// Values [first, first + out.size()) of an array in `format`.
void ReadNumbers(NumberFormat format, const void* data, size_t first, std::span<float> out);

// The position of the first value that is not finite.
std::optional<size_t> FindNotFinite(NumberFormat format, const void* data, size_t count);

}  // namespace skerry
