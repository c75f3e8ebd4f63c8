// Turns tokens back into text: "decoder" of tokenizer.json. ByteLevel, ByteFallback, Fuse,
// Metaspace, Replace, Strip, or several in a row.
//
// There is one implementation, which takes token after token and gives text as soon as no later
// token can change it; decoding everything at once is the same with all tokens given, so the two
// agree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/tokenizer/json_view.h"

namespace skerry {

// Immutable after Parse; several streams may run at once.
class Decoder {
 public:
  // null joins tokens with spaces.
  static absl::StatusOr<Decoder> Parse(const JsonView& json);

  struct Replace {
    std::string pattern;  // as it stands, never a regular expression
    std::string content;
  };
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    char32_t content = U' ';
    int64_t start = 0;
    int64_t stop = 0;
  };
  struct ByteLevel {};
  struct Metaspace {
    std::string replacement;
    bool drops_first = true;
  };
  struct Join {};
  using Step = std::variant<Replace, ByteFallback, Fuse, Strip, ByteLevel, Metaspace, Join>;

  const std::vector<Step>& steps() const { return steps_; }

 private:
  absl::Status Add(const JsonView& json);
  absl::Status AddReplace(const JsonView& json);
  absl::Status AddStrip(const JsonView& json);
  absl::Status AddMetaspace(const JsonView& json);

  std::vector<Step> steps_;
};

// One text in the making. Belongs to one thread.
class DecoderStream {
 public:
  explicit DecoderStream(const Decoder& decoder);
  ~DecoderStream();
  DecoderStream(DecoderStream&&) noexcept;
  DecoderStream& operator=(DecoderStream&&) noexcept;

  // `token` is valid UTF-8. The text that is certain now, whole characters.
  std::string Push(std::string_view token);
  // The rest of the text; nothing may be pushed after it.
  std::string Finish();

  class Stage;
  struct Chunk;

 private:
  void Feed(size_t stage, const Chunk& chunk, std::string& text);

  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace skerry
