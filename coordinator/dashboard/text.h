// Small text functions of the displays: numbers for people, text cut to a width, peers' text made
// harmless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace skerry {

std::string BytesText(double bytes);          // "812 B", "12.3 MB": powers of 1,000
std::string DurationText(Duration duration);  // "0.4 s", "12 s", "3 min 05 s", "2 h 13 min"
// "86.41 %" for accuracy, four digits for all others, "not a number" for NaN.
std::string MetricText(std::string_view metric, double value);

// Columns a terminal uses for UTF-8 text without escapes.
size_t DisplayWidth(std::string_view text);
// At most `width` columns; a cut is shown by an ellipsis.
std::string FitText(std::string_view text, size_t width);
std::string PadRight(std::string_view text, size_t width);
std::string PadLeft(std::string_view text, size_t width);

// Control characters become spaces and broken UTF-8 '?', so that a peer's text cannot move the
// cursor, change colours or start a line.
std::string PlainText(std::string_view text);

// node-2 before node-10: runs of digits count as numbers.
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace skerry
