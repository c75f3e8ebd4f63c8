// Text to token ids and back, as a Hugging Face tokenizer.json says: byte-level BPE (DeepSeek,
// Qwen, Llama 3) and BPE with byte fallback (Llama 2). What the file asks for and this library does
// not know is refused by name when it is loaded, never skipped.
//
// Immutable and cheap to copy; several threads may use one tokenizer, or copies, at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

// What to do with an id that stands for no text: a model's vocab_size is often larger than its
// tokenizer's, and the rest of the ids can be generated too.
enum class UnknownId { kRefuse, kSkip };

struct EncodeOptions {
  // Whether to put the model's own tokens (most often the beginning of a sequence) around the text,
  // as a prompt needs. One that the text itself begins with is not put there a second time.
  bool add_special = false;
};

struct DecodeOptions {
  bool skip_special = false;  // leave out tokens that are marked as special
  UnknownId unknown_id = UnknownId::kRefuse;
};

class StreamingDecoder;

class Tokenizer {
 public:
  // `path` is a model's folder, whose tokenizer_config.json is read too if there is one, or a
  // tokenizer.json alone. Fails with kNotFound, or with kInvalidArgument naming file and field.
  static absl::StatusOr<Tokenizer> Load(const std::string& path);
  // The same from the files' contents; `config` may be empty. `name` begins every error.
  static absl::StatusOr<Tokenizer> Parse(std::string_view json, std::string_view config,
                                         const std::string& name);

  // Added tokens that stand in the text are recognised, special ones too. Fails with
  // kInvalidArgument and the offset of the first byte that is not UTF-8, or naming a character that
  // the vocabulary cannot express.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options = {}) const;

  // Valid UTF-8 always: what the ids leave unfinished becomes U+FFFD. Fails with kInvalidArgument
  // and the position of an id that has no token (unless DecodeOptions skip those).
  absl::StatusOr<std::string> Decode(std::span<const int32_t> ids,
                                     const DecodeOptions& options = {}) const;

  // The same, id by id.
  StreamingDecoder Stream(const DecodeOptions& options = {}) const;

  // From tokenizer_config.json; nothing if it names none.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  // One more than the highest id. Ids below it may still have no token.
  int32_t vocab_size() const;

  std::optional<int32_t> IdOf(std::string_view token) const;
  // As it stands in the file, for instance "Ġthe" or "▁the".
  std::optional<std::string> TokenOf(int32_t id) const;

  struct Tables;

 private:
  explicit Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}
  std::shared_ptr<const Tables> tables_;
};

// Text of generated ids as it becomes certain: whole characters, never half a UTF-8 sequence. All
// of it together is what Tokenizer::Decode gives. Belongs to one thread.
class StreamingDecoder {
 public:
  ~StreamingDecoder();
  StreamingDecoder(StreamingDecoder&&) noexcept;
  StreamingDecoder& operator=(StreamingDecoder&&) noexcept;

  // Fails as Decode does; the text so far is not touched then.
  absl::StatusOr<std::string> Push(int32_t id);
  // The rest; once, at the end.
  std::string Finish();

 private:
  friend class Tokenizer;
  struct State;
  explicit StreamingDecoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace skerry
