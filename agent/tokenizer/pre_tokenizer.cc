#include "agent/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/tokenizer/byte_level.h"
#include "agent/tokenizer/normalizer.h"
#include "agent/tokenizer/utf8.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// What "use_regex" of ByteLevel stands for: GPT-2's expression.
constexpr std::string_view kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Rewrites every piece; what lies between pieces goes.
template <typename Rewrite>
void RewritePieces(TextPieces& text, Rewrite rewrite) {
  std::u16string rewritten;
  rewritten.reserve(text.text.size());
  const std::u16string_view view = text.text;
  for (TextRange& piece : text.pieces) {
    const size_t begin = rewritten.size();
    rewrite(view.substr(piece.begin, piece.end - piece.begin), rewritten);
    piece = {begin, rewritten.size()};
  }
  text.text = std::move(rewritten);
}

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Parse(const JsonView& json) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null()) SKERRY_RETURN_IF_ERROR(pre_tokenizer.Add(json));
  return pre_tokenizer;
}

absl::Status PreTokenizer::Add(const JsonView& json) {
  SKERRY_ASSIGN_OR_RETURN(const std::string type, json.Type());
  if (type == "Sequence") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "pretokenizers"}));
    SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> parts, json.At("pretokenizers").Elements());
    for (const JsonView& part : parts) SKERRY_RETURN_IF_ERROR(Add(part));
    return absl::OkStatus();
  }
  if (type == "Split") return AddSplit(json);
  if (type == "ByteLevel") return AddByteLevel(json);
  if (type == "Digits") return AddDigits(json);
  if (type == "Metaspace") return AddMetaspace(json);
  return json.UnknownType(type, "ByteLevel, Digits, Metaspace, Sequence, Split");
}

absl::StatusOr<PreTokenizer::Behavior> PreTokenizer::ParseBehavior(const JsonView& json) {
  SKERRY_ASSIGN_OR_RETURN(const std::string name, json.Text());
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Contiguous") return Behavior::kContiguous;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  return json.Error("expected Isolated, Removed, Contiguous, MergedWithPrevious or MergedWithNext");
}

absl::Status PreTokenizer::AddSplit(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"type", "pattern", "behavior", "invert"}));
  SKERRY_ASSIGN_OR_RETURN(UnicodeRegex pattern, ParsePattern(json.At("pattern")));
  SKERRY_ASSIGN_OR_RETURN(const Behavior behavior, ParseBehavior(json.At("behavior")));
  SKERRY_ASSIGN_OR_RETURN(const bool is_inverted, json.BoolOr("invert", false));
  steps_.push_back(Split{std::move(pattern), behavior, is_inverted});
  return absl::OkStatus();
}

absl::Status PreTokenizer::AddByteLevel(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  SKERRY_ASSIGN_OR_RETURN(const bool has_prefix, json.BoolOr("add_prefix_space", true));
  SKERRY_ASSIGN_OR_RETURN(const bool has_regex, json.BoolOr("use_regex", true));
  if (has_prefix) steps_.push_back(Prefix{u" ", false});
  if (has_regex) {
    SKERRY_ASSIGN_OR_RETURN(UnicodeRegex pattern, UnicodeRegex::Compile(kGpt2Expression));
    steps_.push_back(Split{std::move(pattern), Behavior::kIsolated, false});
  }
  steps_.push_back(MapBytes{});
  return absl::OkStatus();
}

absl::Status PreTokenizer::AddDigits(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"type", "individual_digits"}));
  SKERRY_ASSIGN_OR_RETURN(const bool is_individual, json.BoolOr("individual_digits", false));
  SKERRY_ASSIGN_OR_RETURN(UnicodeRegex pattern, UnicodeRegex::Compile(R"(\p{N})"));
  steps_.push_back(Split{std::move(pattern),
                         is_individual ? Behavior::kIsolated : Behavior::kContiguous, false});
  return absl::OkStatus();
}

// Older files say add_prefix_space, newer ones prepend_scheme, some both.
absl::Status PreTokenizer::AddMetaspace(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(
      json.Only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}));
  SKERRY_ASSIGN_OR_RETURN(const std::string replacement, json.TextOr("replacement", "▁"));
  SKERRY_ASSIGN_OR_RETURN(const bool has_prefix, json.BoolOr("add_prefix_space", true));
  SKERRY_ASSIGN_OR_RETURN(const std::string scheme,
                          json.TextOr("prepend_scheme", has_prefix ? "always" : "never"));
  SKERRY_ASSIGN_OR_RETURN(const bool is_split, json.BoolOr("split", true));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return json.At("prepend_scheme").Error("expected always, first or never");
  }
  if (!has_prefix && scheme != "never") {
    return json.Error("add_prefix_space is false, so prepend_scheme must be never");
  }
  absl::StatusOr<UnicodeRegex> pattern = UnicodeRegex::CompileLiteral(replacement);
  if (!pattern.ok()) {
    return json.At("replacement").Error(std::string(pattern.status().message()));
  }
  const std::u16string units = Utf16Of(replacement);
  steps_.push_back(ReplaceSpaces{units});
  if (scheme != "never") steps_.push_back(Prefix{units, scheme == "first"});
  if (is_split) steps_.push_back(Split{*std::move(pattern), Behavior::kMergedWithNext, false});
  return absl::OkStatus();
}

absl::Status PreTokenizer::Apply(TextPieces& text) const {
  for (const Step& step : steps_) {
    SKERRY_RETURN_IF_ERROR(std::visit([&](const auto& kind) { return Run(kind, text); }, step));
  }
  return absl::OkStatus();
}

absl::Status PreTokenizer::Run(const Split& step, TextPieces& text) {
  std::vector<std::vector<TextRange>> matches;
  SKERRY_RETURN_IF_ERROR(step.pattern.FindAll(text.text, text.pieces, matches));
  std::vector<TextRange> pieces;
  pieces.reserve(text.pieces.size());
  std::vector<Part> parts;
  for (size_t i = 0; i < text.pieces.size(); ++i) {
    parts.clear();
    size_t end = text.pieces[i].begin;
    for (const TextRange& match : matches[i]) {
      if (end != match.begin) parts.push_back({{end, match.begin}, step.is_inverted});
      parts.push_back({match, !step.is_inverted});
      end = match.end;
    }
    if (end != text.pieces[i].end) {
      parts.push_back({{end, text.pieces[i].end}, step.is_inverted});
    }
    const size_t count = pieces.size();
    AppendParts(parts, step.behavior, pieces);
    const bool lost_begin = pieces.size() == count || pieces[count].begin != text.pieces[i].begin;
    if (i == 0 && lost_begin) text.begins_input = false;
  }
  text.pieces = std::move(pieces);
  return absl::OkStatus();
}

// The rules of the reference implementation's NormalizedString::split.
void PreTokenizer::AppendParts(const std::vector<Part>& parts, Behavior behavior,
                               std::vector<TextRange>& pieces) {
  const size_t first = pieces.size();
  bool is_after_match = false;
  switch (behavior) {
    case Behavior::kIsolated:
      for (const Part& part : parts) pieces.push_back(part.range);
      break;
    case Behavior::kRemoved:
      for (const Part& part : parts) {
        if (!part.is_match) pieces.push_back(part.range);
      }
      break;
    case Behavior::kContiguous:
      for (const Part& part : parts) {
        if (pieces.size() > first && part.is_match == is_after_match) {
          pieces.back().end = part.range.end;
        } else {
          pieces.push_back(part.range);
        }
        is_after_match = part.is_match;
      }
      break;
    case Behavior::kMergedWithPrevious:
      for (const Part& part : parts) {
        if (part.is_match && !is_after_match && pieces.size() > first) {
          pieces.back().end = part.range.end;
        } else {
          pieces.push_back(part.range);
        }
        is_after_match = part.is_match;
      }
      break;
    case Behavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_match && !is_after_match && pieces.size() > first) {
          pieces.back().begin = part->range.begin;
        } else {
          pieces.push_back(part->range);
        }
        is_after_match = part->is_match;
      }
      std::reverse(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end());
      break;
  }
  const auto is_empty = [](const TextRange& range) { return range.begin == range.end; };
  pieces.erase(
      std::remove_if(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end(), is_empty),
      pieces.end());
}

absl::Status PreTokenizer::Run(const Prefix& step, TextPieces& text) {
  bool is_first = text.begins_input;
  RewritePieces(text, [&](std::u16string_view piece, std::u16string& rewritten) {
    const bool is_wanted = is_first || !step.only_at_input_begin;
    if (is_wanted && !piece.starts_with(step.text)) rewritten += step.text;
    rewritten += piece;
    is_first = false;
  });
  return absl::OkStatus();
}

absl::Status PreTokenizer::Run(const ReplaceSpaces& step, TextPieces& text) {
  RewritePieces(text, [&](std::u16string_view piece, std::u16string& rewritten) {
    for (const char16_t unit : piece) {
      if (unit == u' ') {
        rewritten += step.content;
      } else {
        rewritten += unit;
      }
    }
  });
  return absl::OkStatus();
}

absl::Status PreTokenizer::Run(const MapBytes&, TextPieces& text) {
  RewritePieces(text, [](std::u16string_view piece, std::u16string& rewritten) {
    rewritten += ByteLevelOf(piece);
  });
  return absl::OkStatus();
}

}  // namespace skerry
