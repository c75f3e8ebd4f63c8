#include "agent/tokenizer/unicode_regex.h"

#include <limits>

#include <fmt/format.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "agent/tokenizer/utf8.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// ICU's unit is about a millisecond of work; its default is no limit. One match over a megabyte of
// one class takes a hundredth of this.
constexpr int32_t kTimeLimit = 10'000;
constexpr size_t kUnitsMax = std::numeric_limits<int32_t>::max();

int32_t Units(size_t count) {
  return static_cast<int32_t>(count);
}  // callers have checked the size

// A view of `text`, not a copy.
icu::UnicodeString Alias(std::u16string_view text) {
  return icu::UnicodeString(false, text.data(), Units(text.size()));
}

absl::Status MatchError(UErrorCode code) {
  return absl::ResourceExhaustedError(
      fmt::format("a split expression gave up on this text ({})", u_errorName(code)));
}

}  // namespace

struct UnicodeRegex::Compiled {
  std::unique_ptr<icu::RegexPattern> pattern;
};

absl::StatusOr<UnicodeRegex> UnicodeRegex::Compile(std::string_view expression) {
  if (expression.size() > kUnitsMax) return absl::InvalidArgumentError("expression is too long");
  UErrorCode code = U_ZERO_ERROR;
  UParseError place;
  const std::u16string units = Utf16Of(expression);
  auto compiled = std::make_shared<Compiled>();
  compiled->pattern.reset(icu::RegexPattern::compile(Alias(units), 0, place, code));
  if (U_FAILURE(code)) {
    return absl::InvalidArgumentError(fmt::format("not a regular expression: {} at character {}",
                                                  u_errorName(code), place.offset));
  }
  return UnicodeRegex(std::move(compiled));
}

absl::StatusOr<UnicodeRegex> UnicodeRegex::CompileLiteral(std::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("a pattern must not be empty");
  // Escaped here: ICU's flag for literals is slow for one character and not the same everywhere.
  std::string expression;
  for (const char c : text) {
    const bool is_special =
        std::string_view("\\^$.|?*+()[]{}-&#").find(c) != std::string_view::npos;
    if (is_special) expression += '\\';
    expression += c;
  }
  return Compile(expression);
}

absl::Status UnicodeRegex::FindAll(std::u16string_view text, const std::vector<TextRange>& parts,
                                   std::vector<std::vector<TextRange>>& matches) const {
  matches.assign(parts.size(), {});
  if (text.size() > kUnitsMax) return absl::ResourceExhaustedError("the text is too long");
  UErrorCode code = U_ZERO_ERROR;
  const icu::UnicodeString alias = Alias(text);
  const std::unique_ptr<icu::RegexMatcher> matcher(compiled_->pattern->matcher(alias, code));
  if (U_FAILURE(code)) return MatchError(code);
  matcher->setTimeLimit(kTimeLimit, code);
  for (size_t i = 0; i < parts.size(); ++i) {
    // A region has ends of its own (anchoring, opaque bounds) by default.
    matcher->region(Units(parts[i].begin), Units(parts[i].end), code);
    std::vector<TextRange>& found = matches[i];
    while (matcher->find(code)) {
      const TextRange match{static_cast<size_t>(matcher->start(code)),
                            static_cast<size_t>(matcher->end(code))};
      const bool touches = !found.empty() && found.back().end == match.begin;
      if (match.begin == match.end && touches) continue;
      found.push_back(match);
    }
    if (U_FAILURE(code)) return MatchError(code);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> NormalizeNfc(std::string_view text) {
  UErrorCode code = U_ZERO_ERROR;
  const icu::Normalizer2* const nfc = icu::Normalizer2::getNFCInstance(code);
  std::string result;
  icu::StringByteSink<std::string> sink(&result);
  if (text.size() > kUnitsMax) return absl::ResourceExhaustedError("the text is too long");
  if (U_SUCCESS(code)) {
    nfc->normalizeUTF8(0, icu::StringPiece(text.data(), Units(text.size())), sink, nullptr, code);
  }
  if (U_FAILURE(code)) {
    return absl::InternalError(fmt::format("ICU cannot normalize: {}", u_errorName(code)));
  }
  return result;
}

bool IsSpaceCharacter(char32_t character) {
  return u_hasBinaryProperty(static_cast<UChar32>(character), UCHAR_WHITE_SPACE) != 0;
}

bool IsWordCharacter(char32_t character) {
  const auto point = static_cast<UChar32>(character);
  return u_hasBinaryProperty(point, UCHAR_ALPHABETIC) != 0 ||
         u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL) != 0 ||
         (U_GET_GC_MASK(point) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

}  // namespace skerry
