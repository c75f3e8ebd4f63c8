// A tokenizer.json, a zero byte and a text. What is encoded decodes, id by id to the same as at
// once, and every id has a token; files and texts that are refused say why.
#include <algorithm>

#include "agent/tokenizer/tokenizer.h"
#include "common/base/status.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const std::string_view input = fuzz::AsText({data, size});
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = end == input.size() ? "" : input.substr(end + 1);
  const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Parse(input.substr(0, end), "", "file");
  if (!tokenizer.ok()) {
    fuzz::CheckRefusal(tokenizer.status(), 4096 + 2 * size);  // tokens are in it
    return 0;
  }
  const absl::StatusOr<std::vector<int32_t>> ids = tokenizer->Encode(text);
  if (!ids.ok()) {
    fuzz::CheckRefusal(ids.status());
    return 0;
  }
  StreamingDecoder stream = tokenizer->Stream();
  std::string streamed;
  for (const int32_t id : *ids) {
    SKERRY_ASSERT(id >= 0 && id < tokenizer->vocab_size());
    const absl::StatusOr<std::string> part = stream.Push(id);
    SKERRY_ASSERT(part.ok());
    streamed += *part;
  }
  streamed += stream.Finish();
  const absl::StatusOr<std::string> decoded = tokenizer->Decode(*ids);
  SKERRY_ASSERT(decoded.ok() && *decoded == streamed);
  return 0;
}
