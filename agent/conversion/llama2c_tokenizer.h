// tokenizer.bin of llama2.c as a Hugging Face tokenizer.json that gives the same ids.
//
// The file: uint32 length of the longest token, then for each id a float32 score, an int32 length
// and that many bytes. llama2.c puts a space before the text, takes its characters (a character
// without a token as its bytes, id = byte + 3) and joins, again and again, the two neighbours whose
// joined text is the token of the highest score, leftmost among equals.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

struct Llama2cToken {
  float score = 0.0f;
  std::string text;
};

// The position is the id. Fails with kInvalidArgument on a length that the file cannot hold, text
// that is not UTF-8, a score that is no number, fewer than 259 tokens (3 special ones and all
// bytes), or a text that two ids have.
absl::StatusOr<std::vector<Llama2cToken>> ParseLlama2cTokenizer(std::string_view bytes);

// The same as tokenizer.json: a merge for every way to make a token of two, ordered by score;
// spaces as "▁", byte fallback, and ids 0, 1 and 2 as <unk>, <s> and </s>.
//
// Ids are llama2.c's for any text but these: "<unk>", "<s>" and "</s>" are recognised in a text, as
// Llama 2's tokenizer does; "▁" in a text is taken for a space; and where two tokens of one score
// overlap, the one with the lower id is joined first instead of the leftmost.
std::string TokenizerJsonOf(const std::vector<Llama2cToken>& tokens);

// Its tokenizer_config.json.
std::string TokenizerConfigJson();

}  // namespace skerry
