#include "agent/tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <queue>
#include <utility>

#include <fmt/format.h>

#include "absl/container/flat_hash_map.h"
#include "agent/tokenizer/utf8.h"
#include "common/base/status.h"

namespace skerry {
namespace {

constexpr int32_t kNone = -1;
// Far above any vocabulary; keeps ids and what depends on the highest one within reason.
constexpr int32_t kIdMax = (1 << 26) - 1;

struct Merge {
  int32_t rank = 0;
  int32_t id = kNone;  // of the merged token
};

uint64_t PairKey(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

absl::string_view Abseil(std::string_view text) { return {text.data(), text.size()}; }

// A token of the text so far; those that were merged into their left neighbour have no id.
struct Symbol {
  int32_t id = kNone;
  int32_t previous = kNone;
  int32_t next = kNone;
};

struct Candidate {
  int32_t rank = 0;
  int32_t position = 0;
  int32_t id = kNone;
  // Lowest rank first, then leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

struct BpeModel::Tables {
  absl::flat_hash_map<std::string, int32_t> id_of;
  absl::flat_hash_map<int32_t, const std::string*> token_of;  // keys of the vocabulary of the file
  std::vector<std::string> tokens;
  absl::flat_hash_map<char32_t, int32_t> id_of_character;
  absl::flat_hash_map<uint64_t, Merge> merges;
  std::array<int32_t, 256> id_of_byte = {};
  bool falls_back_to_bytes = false;  // only if all bytes have a token
  bool ignores_merges = false;
  bool fuses_unknown = false;
  int32_t unknown_id = kNone;
  int32_t id_end = 0;

  std::optional<int32_t> Find(std::string_view token) const {
    const auto found = id_of.find(Abseil(token));
    if (found == id_of.end()) return std::nullopt;
    return found->second;
  }
  const Merge* FindMerge(int32_t left, int32_t right) const {
    const auto found = merges.find(PairKey(left, right));
    return found == merges.end() ? nullptr : &found->second;
  }

  absl::Status ReadVocabulary(const JsonView& json);
  absl::Status ReadMerges(const JsonView& json);
  absl::Status ReadFallbacks(const JsonView& json);
  absl::Status AppendSymbols(std::u16string_view piece, std::vector<Symbol>& symbols) const;
  void MergeAll(std::vector<Symbol>& symbols) const;
};

absl::Status BpeModel::Tables::ReadVocabulary(const JsonView& json) {
  if (!json.json().is_object()) return json.Error("expected an object of tokens and ids");
  tokens.reserve(json.json().size());  // so that pointers to its elements stay valid
  for (const auto& [token, id_json] : json.json().items()) {
    if (!id_json.is_number_unsigned() || id_json.get<uint64_t>() > kIdMax) {
      return json.At(token).Count(kIdMax).status();
    }
    const auto id = id_json.get<int32_t>();
    tokens.push_back(token);
    const auto [other, is_new] = token_of.emplace(id, &tokens.back());
    if (!is_new) {
      return json.Error(fmt::format("id {} is both \"{}\" and \"{}\"", id, *other->second, token));
    }
    id_of.emplace(token, id);
    id_end = std::max(id_end, id + 1);
    const std::u16string units = Utf16Of(token);
    size_t end = 0;
    if (units.empty()) continue;
    const char32_t character = NextCharacter(units, end);
    if (end == units.size()) id_of_character.emplace(character, id);
  }
  return absl::OkStatus();
}

// A merge is "a b" in older files and ["a", "b"] in newer ones, where tokens may hold spaces.
absl::Status BpeModel::Tables::ReadMerges(const JsonView& json) {
  if (!json.json().is_array()) return json.Error("expected an array of merges");
  if (json.json().size() > static_cast<size_t>(kIdMax)) return json.Error("too many merges");
  merges.reserve(json.json().size());
  int32_t rank = 0;
  for (const nlohmann::json& entry : json.json()) {
    const auto bad = [&](std::string_view problem) {
      return json.Error(fmt::format("merge {}: {}", rank, problem));
    };
    std::string left;
    std::string right;
    if (entry.is_string()) {
      const auto& text = entry.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        return bad(fmt::format("expected two tokens and one space between, got \"{}\"", text));
      }
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      left = entry[0].get<std::string>();
      right = entry[1].get<std::string>();
    } else {
      return bad("expected \"a b\" or [\"a\", \"b\"]");
    }
    const std::optional<int32_t> left_id = Find(left);
    const std::optional<int32_t> right_id = Find(right);
    left += right;
    const std::optional<int32_t> merged_id = Find(left);
    if (!left_id.has_value() || !right_id.has_value() || !merged_id.has_value()) {
      const std::string unknown = !left_id.has_value() ? left.substr(0, left.size() - right.size())
                                  : !right_id.has_value() ? right
                                                          : left;
      return bad(fmt::format("\"{}\" is not in the vocabulary", unknown));
    }
    merges.insert_or_assign(PairKey(*left_id, *right_id), Merge{rank, *merged_id});
    ++rank;
  }
  return absl::OkStatus();
}

absl::Status BpeModel::Tables::ReadFallbacks(const JsonView& json) {
  SKERRY_ASSIGN_OR_RETURN(ignores_merges, json.BoolOr("ignore_merges", false));
  SKERRY_ASSIGN_OR_RETURN(fuses_unknown, json.BoolOr("fuse_unk", false));
  SKERRY_ASSIGN_OR_RETURN(falls_back_to_bytes, json.BoolOr("byte_fallback", false));
  if (falls_back_to_bytes) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const std::string token = fmt::format("<0x{:02X}>", byte);
      const std::optional<int32_t> id = Find(token);
      if (!id.has_value()) {
        return json.At("byte_fallback")
            .Error(fmt::format("is true, but the vocabulary lacks \"{}\"", token));
      }
      id_of_byte[byte] = *id;
    }
  }
  const JsonView unknown = json.At("unk_token");
  if (unknown.is_null()) return absl::OkStatus();
  SKERRY_ASSIGN_OR_RETURN(const std::string token, unknown.Text());
  const std::optional<int32_t> id = Find(token);
  if (!id.has_value()) {
    return unknown.Error(fmt::format("\"{}\" is not in the vocabulary", token));
  }
  unknown_id = *id;
  return absl::OkStatus();
}

absl::StatusOr<BpeModel> BpeModel::Parse(const JsonView& json) {
  if (!json.json().is_object()) return json.Error("expected an object, the BPE model");
  SKERRY_ASSIGN_OR_RETURN(const std::string type, json.TextOr("type", "BPE"));  // old files lack it
  if (type != "BPE") return json.UnknownType(type, "BPE");
  SKERRY_RETURN_IF_ERROR(
      json.Only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                 "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"}));
  const JsonView dropout = json.At("dropout");
  if (!dropout.is_null() && dropout.json() != 0.0) {
    return dropout.Error("must be null: ids that are drawn at random are for training");
  }
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    SKERRY_ASSIGN_OR_RETURN(const std::string text, json.TextOr(key, ""));
    if (!text.empty()) return json.At(key).Error("is not supported; it must be null");
  }
  auto tables = std::make_unique<Tables>();
  SKERRY_RETURN_IF_ERROR(tables->ReadVocabulary(json.At("vocab")));
  SKERRY_RETURN_IF_ERROR(tables->ReadMerges(json.At("merges")));
  SKERRY_RETURN_IF_ERROR(tables->ReadFallbacks(json));
  return BpeModel(std::move(tables));
}

BpeModel::BpeModel(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
BpeModel::~BpeModel() = default;
BpeModel::BpeModel(BpeModel&&) noexcept = default;

std::optional<int32_t> BpeModel::IdOf(std::string_view token) const { return tables_->Find(token); }

const std::string* BpeModel::TokenOf(int32_t id) const {
  const auto found = tables_->token_of.find(id);
  return found == tables_->token_of.end() ? nullptr : found->second;
}

int32_t BpeModel::id_end() const { return tables_->id_end; }

absl::Status BpeModel::Tables::AppendSymbols(std::u16string_view piece,
                                             std::vector<Symbol>& symbols) const {
  bool is_after_unknown = false;
  std::string bytes;
  for (size_t at = 0; at < piece.size();) {
    const char32_t character = NextCharacter(piece, at);
    const auto known = id_of_character.find(character);
    if (known != id_of_character.end()) {
      symbols.push_back({.id = known->second});
      is_after_unknown = false;
      continue;
    }
    if (falls_back_to_bytes) {
      bytes.clear();
      AppendUtf8(character, bytes);
      for (const char byte : bytes) {
        symbols.push_back({.id = id_of_byte[static_cast<uint8_t>(byte)]});
      }
      is_after_unknown = false;
      continue;
    }
    if (unknown_id == kNone) {
      return absl::InvalidArgumentError(
          fmt::format("character U+{:04X} has no token, and the tokenizer has no unk_token",
                      static_cast<uint32_t>(character)));
    }
    if (!is_after_unknown || !fuses_unknown) symbols.push_back({.id = unknown_id});
    is_after_unknown = true;
  }
  return absl::OkStatus();
}

void BpeModel::Tables::MergeAll(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<int32_t>(symbols.size());
  std::priority_queue<Candidate> queue;
  const auto at = [&](int32_t position) -> Symbol& {
    return symbols[static_cast<size_t>(position)];
  };
  const auto consider = [&](int32_t left, int32_t right) {
    if (left == kNone || right == kNone) return;
    if (const Merge* merge = FindMerge(at(left).id, at(right).id)) {
      queue.push({merge->rank, left, merge->id});
    }
  };
  for (int32_t i = 0; i < count; ++i) {
    at(i).previous = i - 1;
    at(i).next = i + 1 < count ? i + 1 : kNone;
    consider(i - 1 < 0 ? kNone : i - 1, i);
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.position);
    if (left.id == kNone || left.next == kNone) continue;
    Symbol& right = at(left.next);
    // An older candidate of a pair that is no longer there.
    const Merge* merge = FindMerge(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = best.id;
    right.id = kNone;
    left.next = right.next;
    if (left.next != kNone) at(left.next).previous = best.position;
    consider(left.previous, best.position);
    consider(best.position, left.next);
  }
}

absl::Status BpeModel::Encode(std::u16string_view piece, std::vector<int32_t>& ids) const {
  if (tables_->ignores_merges) {
    if (const std::optional<int32_t> whole = tables_->Find(Utf8Of(piece))) {
      ids.push_back(*whole);
      return absl::OkStatus();
    }
  }
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  SKERRY_RETURN_IF_ERROR(tables_->AppendSymbols(piece, symbols));
  tables_->MergeAll(symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNone) ids.push_back(symbol.id);
  }
  return absl::OkStatus();
}

}  // namespace skerry
