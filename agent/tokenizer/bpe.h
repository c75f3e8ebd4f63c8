// Byte-pair encoding: the vocabulary, the merges and how a piece of text becomes ids by them.
//
// Immutable after Parse, so several threads may encode at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/tokenizer/json_view.h"

namespace skerry {

class BpeModel {
 public:
  // "model" of tokenizer.json. Fails with kInvalidArgument on another type than BPE, an id twice, a
  // merge of or to a token that the vocabulary lacks.
  static absl::StatusOr<BpeModel> Parse(const JsonView& json);
  ~BpeModel();
  BpeModel(BpeModel&&) noexcept;

  // Appends the ids of one piece, which is not empty: its characters, then the merge of lowest rank
  // again and again, leftmost among equals. Time grows as n log n with the length. Fails with
  // kInvalidArgument on a character that has no token where the model has no unk_token either.
  absl::Status Encode(std::u16string_view piece, std::vector<int32_t>& ids) const;

  std::optional<int32_t> IdOf(std::string_view token) const;
  // Null if no token has this id. Lives as long as the model.
  const std::string* TokenOf(int32_t id) const;
  // One more than the highest id; 0 if there is none.
  int32_t id_end() const;

 private:
  struct Tables;
  explicit BpeModel(std::unique_ptr<const Tables> tables);
  std::unique_ptr<const Tables> tables_;
};

}  // namespace skerry
