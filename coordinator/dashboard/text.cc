#include "coordinator/dashboard/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace skerry {
namespace {

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 1;
  bool is_valid = true;
};

CodePoint DecodeFirst(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const size_t length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {0, 1, false};
  char32_t value = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 1, false};
    value = (value << 6) | (byte(i) & 0x3f);
  }
  const bool is_overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool is_surrogate = value >= 0xd800 && value < 0xe000;
  if (is_overlong || is_surrogate || value > 0x10ffff) return {0, 1, false};
  return {value, length, true};
}

// The wide and the zero-width blocks that turn up in names; a full table is not worth its size.
size_t WidthOf(char32_t value) {
  if (value >= 0x300 && value < 0x370) return 0;  // combining marks
  const bool is_wide = (value >= 0x1100 && value < 0x1160) || (value >= 0x2e80 && value < 0xa4d0) ||
                       (value >= 0xac00 && value < 0xd7a4) || (value >= 0xf900 && value < 0xfb00) ||
                       (value >= 0xfe30 && value < 0xfe70) || (value >= 0xff00 && value < 0xff61) ||
                       (value >= 0x1f300 && value < 0x1faff) || value >= 0x20000;
  return is_wide ? 2 : 1;
}

// Invisible characters that reorder or hide what follows them.
bool IsFormatting(char32_t value) {
  return (value >= 0x200b && value <= 0x200f) || (value >= 0x2028 && value <= 0x202e) ||
         (value >= 0x2060 && value <= 0x206f) || value == 0xfeff;
}

}  // namespace

std::string BytesText(double bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  const int digits = unit == 0 || bytes >= 99.95 ? 0 : 1;
  return fmt::format("{:.{}f} {}", bytes, digits, kUnits[unit]);
}

std::string DurationText(Duration duration) {
  const double seconds = Seconds(duration);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string MetricText(std::string_view metric, double value) {
  if (std::isnan(value)) return "not a number";
  if (metric == "accuracy") return fmt::format("{:.2f} %", 100 * value);
  return fmt::format("{:.4f}", value);
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const CodePoint point = DecodeFirst(text);
    width += WidthOf(point.value);
    text.remove_prefix(point.bytes);
  }
  return width;
}

std::string FitText(std::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::string result;
  size_t used = 0;
  while (!text.empty()) {
    const CodePoint point = DecodeFirst(text);
    if (used + WidthOf(point.value) > width - 1) break;
    used += WidthOf(point.value);
    result += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return result + "…";
}

std::string PadRight(std::string_view text, size_t width) {
  std::string result = FitText(text, width);
  result.append(width - DisplayWidth(result), ' ');
  return result;
}

std::string PadLeft(std::string_view text, size_t width) {
  std::string fitted = FitText(text, width);
  return std::string(width - DisplayWidth(fitted), ' ') + fitted;
}

bool NaturalLess(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::string_view whole_a = a;
  const std::string_view whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (!is_digit(a.front()) || !is_digit(b.front())) {
      if (a.front() != b.front()) return a.front() < b.front();
      a.remove_prefix(1);
      b.remove_prefix(1);
      continue;
    }
    const auto take_number = [&](std::string_view& text) {
      text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
      size_t length = 0;
      while (length < text.size() && is_digit(text[length])) ++length;
      const std::string_view number = text.substr(0, length);
      text.remove_prefix(length);
      return number;
    };
    const std::string_view number_a = take_number(a);
    const std::string_view number_b = take_number(b);
    if (number_a.size() != number_b.size()) return number_a.size() < number_b.size();
    if (number_a != number_b) return number_a < number_b;
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // 01 and 1: any order, but always the same
}

std::string PlainText(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const CodePoint point = DecodeFirst(text);
    const bool is_control = point.value < 0x20 || (point.value >= 0x7f && point.value < 0xa0);
    if (!point.is_valid) {
      result += '?';
    } else if (is_control) {
      result += ' ';
    } else if (!IsFormatting(point.value)) {
      result += text.substr(0, point.bytes);
    }
    text.remove_prefix(point.bytes);
  }
  return result;
}

}  // namespace skerry
