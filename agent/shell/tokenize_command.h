// `skerry-agent tokenize`, from options to exit code.
#pragma once

#include <istream>
#include <ostream>
#include <string>

namespace skerry {

struct TokenizeOptions {
  std::string path;  // a model's folder or a tokenizer.json
  bool is_decode = false;
  bool is_json = false;
  bool add_special = false;   // encoding: as a prompt for the model begins and ends
  bool skip_special = false;  // decoding: leave special tokens out
};

// Encodes all of `in`, byte by byte as it is, to {"ids": [...]} on `out`, whatever is_json says; or
// decodes ids, as that object, a JSON array or numbers with spaces or commas between, to text with
// nothing added, or to {"text": ...} with is_json.
// Exit codes: 0 done, 1 the input cannot be converted, 2 the tokenizer cannot be loaded.
int TokenizeCommand(const TokenizeOptions& options, std::istream& in, std::ostream& out);

}  // namespace skerry
