// Every code of the small formats, against their definitions written down another way.
#include "agent/inference/number_formats.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace skerry {
namespace {

// OCP 8-bit Floating Point Specification, revision 1.0, table 1: sign, four bits of exponent with
// the bias 7, three of mantissa; S.1111.111 is NaN, there is no infinity.
TEST(NumberFormatsTest, AllCodesOfE4m3AreThoseOfTheStandard) {
  for (int code = 0; code < 256; ++code) {
    const float got = FromE4m3(static_cast<uint8_t>(code));
    const int exponent = (code & 0x78) >> 3;
    const int mantissa = code & 0x07;
    if (exponent == 15 && mantissa == 7) {
      EXPECT_TRUE(std::isnan(got)) << code;
      continue;
    }
    const float sign = code >= 128 ? -1.0f : 1.0f;
    const float fraction = static_cast<float>(mantissa) / 8.0f;
    const float expected =
        exponent == 0 ? sign * std::pow(2.0f, -6.0f) * fraction
                      : sign * std::pow(2.0f, static_cast<float>(exponent - 7)) * (1.0f + fraction);
    EXPECT_EQ(got, expected) << code;
  }
  // The examples of table 2.
  EXPECT_EQ(FromE4m3(0x7e), 448.0f);
  EXPECT_EQ(FromE4m3(0x08), 0x1p-6f);
  EXPECT_EQ(FromE4m3(0x07), 0.875f * 0x1p-6f);
  EXPECT_EQ(FromE4m3(0x01), 0x1p-9f);
  EXPECT_TRUE(std::signbit(FromE4m3(0x80)));
}

TEST(NumberFormatsTest, EveryHalfIsReadAsTheCompilerReadsItAndWrittenBack) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const auto bits = static_cast<uint16_t>(code);
    const auto expected = static_cast<float>(std::bit_cast<_Float16>(bits));
    const float got = FromHalf(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(got)) << code;
      EXPECT_TRUE(std::isnan(FromHalf(ToHalf(got)))) << code;
      continue;
    }
    EXPECT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected)) << code;
    EXPECT_EQ(ToHalf(got), bits) << code;
  }
}

TEST(NumberFormatsTest, HalvesAreRoundedAsTheCompilerRoundsThem) {
  uint32_t bits = 1;
  for (int i = 0; i < 2'000'000; ++i) {
    bits = bits * 1'664'525u + 1'013'904'223u;
    const float value = std::bit_cast<float>(bits);
    if (std::isnan(value)) continue;
    ASSERT_EQ(ToHalf(value), std::bit_cast<uint16_t>(static_cast<_Float16>(value))) << value;
  }
  // Ties, the largest number, and what is beyond it.
  for (const float value : {0x1.002p0f, 0x1.006p0f, 65504.0f, 65519.9f, 65520.0f, 0x1p-25f,
                            0x1.8p-24f, -0x1p-24f, 0.0f, -0.0f}) {
    EXPECT_EQ(ToHalf(value), std::bit_cast<uint16_t>(static_cast<_Float16>(value))) << value;
  }
}

TEST(NumberFormatsTest, NumbersThatAreNotFiniteAreFoundInEachFormat) {
  const std::vector<float> finite(10'000, std::numeric_limits<float>::max());
  EXPECT_FALSE(FindNotFinite(NumberFormat::kF32, finite.data(), finite.size()));
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    std::vector<float> values = finite;
    values[9'876] = bad;
    EXPECT_EQ(FindNotFinite(NumberFormat::kF32, values.data(), values.size()), 9'876u);
  }
  const std::vector<uint16_t> bf16 = {0x7f7f, 0x0001, 0xff80};
  EXPECT_EQ(FindNotFinite(NumberFormat::kBf16, bf16.data(), bf16.size()), 2u);
  const std::vector<uint16_t> f16 = {0x7bff, 0xfc00};
  EXPECT_EQ(FindNotFinite(NumberFormat::kF16, f16.data(), f16.size()), 1u);
  const std::vector<uint8_t> f8 = {0x7e, 0xfe, 0x00, 0xff};
  EXPECT_EQ(FindNotFinite(NumberFormat::kF8E4m3, f8.data(), f8.size()), 3u);
}

}  // namespace
}  // namespace skerry
