#include "agent/tokenizer/tokenizer.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "agent/tokenizer/added_tokens.h"
#include "agent/tokenizer/bpe.h"
#include "agent/tokenizer/decoder.h"
#include "agent/tokenizer/json_view.h"
#include "agent/tokenizer/normalizer.h"
#include "agent/tokenizer/post_processor.h"
#include "agent/tokenizer/pre_tokenizer.h"
#include "agent/tokenizer/utf8.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// The largest published ones have 30 MB.
constexpr size_t kFileBytesMax = size_t{256} << 20;
constexpr std::string_view kTokenizerName = "tokenizer.json";
constexpr std::string_view kConfigName = "tokenizer_config.json";

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, const std::string& name) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    // It quotes the file, control characters as eight.
    const std::string reason = std::string(error.what()).substr(0, 200);
    return absl::InvalidArgumentError(fmt::format("{}: not JSON: {}", name, reason));
  }
}

}  // namespace

struct Tokenizer::Tables {
  BpeModel model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
  std::optional<int32_t> bos_id;
  std::optional<int32_t> eos_id;

  std::optional<int32_t> IdOf(std::string_view token) const {
    if (const AddedToken* const found = added.Find(token)) return found->id;
    return model.IdOf(token);
  }
  const std::string* TokenOf(int32_t id) const {
    if (const AddedToken* const found = added.Find(id)) return &found->content;
    return model.TokenOf(id);
  }

  absl::Status ReadConfig(const JsonView& config);
  absl::StatusOr<std::optional<int32_t>> SpecialId(const JsonView& token) const;
  absl::Status EncodeText(std::string_view text, bool begins_input,
                          std::vector<int32_t>& ids) const;
  absl::Status EncodeNormalized(std::string_view text, bool begins_input,
                                std::vector<int32_t>& ids) const;
};

// "<s>", or an object with it under "content", or null.
absl::StatusOr<std::optional<int32_t>> Tokenizer::Tables::SpecialId(const JsonView& token) const {
  if (token.is_null()) return std::nullopt;
  const JsonView content = token.json().is_object() ? token.At("content") : token;
  SKERRY_ASSIGN_OR_RETURN(const std::string text, content.Text());
  const std::optional<int32_t> id = IdOf(text);
  if (!id.has_value()) return content.Error(fmt::format("\"{}\" is no token", text));
  return id;
}

// The file describes a Python class with many keys; of these four, what is written in it wins over
// the template in tokenizer.json, as it does there.
absl::Status Tokenizer::Tables::ReadConfig(const JsonView& config) {
  if (!config.json().is_object()) return config.Error("expected an object");
  SKERRY_ASSIGN_OR_RETURN(bos_id, SpecialId(config.At("bos_token")));
  SKERRY_ASSIGN_OR_RETURN(eos_id, SpecialId(config.At("eos_token")));
  const auto apply = [&](std::string_view key, std::optional<int32_t> id,
                         std::vector<int32_t>& ids) -> absl::Status {
    const JsonView value = config.At(key);
    if (value.is_null()) return absl::OkStatus();
    SKERRY_ASSIGN_OR_RETURN(const bool is_added, value.Bool());
    ids.clear();
    if (!is_added) return absl::OkStatus();
    if (!id.has_value()) return value.Error("is true, but there is no such token");
    ids.push_back(*id);
    return absl::OkStatus();
  };
  SKERRY_RETURN_IF_ERROR(apply("add_bos_token", bos_id, post_processor.before));
  return apply("add_eos_token", eos_id, post_processor.after);
}

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    SKERRY_ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kFileBytesMax));
    return Parse(json, "", path);
  }
  const std::string json_path = (fs::path(path) / kTokenizerName).string();
  const std::string config_path = (fs::path(path) / kConfigName).string();
  SKERRY_ASSIGN_OR_RETURN(const std::string json, ReadFile(json_path, kFileBytesMax));
  absl::StatusOr<std::string> config = ReadFile(config_path, kFileBytesMax);
  if (absl::IsNotFound(config.status())) return Parse(json, "", json_path);
  if (!config.ok()) return config.status();
  return Parse(json, *config, json_path);
}

absl::StatusOr<Tokenizer> Tokenizer::Parse(std::string_view json, std::string_view config,
                                           const std::string& name) {
  SKERRY_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJson(json, name));
  const JsonView root(document, name);
  SKERRY_RETURN_IF_ERROR(
      root.Only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                 "post_processor", "decoder", "model"}));
  for (const std::string_view key : {"truncation", "padding"}) {
    if (!root.At(key).is_null()) return root.At(key).Error("is not supported; it must be null");
  }
  SKERRY_ASSIGN_OR_RETURN(const std::string version, root.TextOr("version", "1.0"));
  if (version != "1.0") return root.At("version").Error("expected \"1.0\"");

  SKERRY_ASSIGN_OR_RETURN(BpeModel model, BpeModel::Parse(root.At("model")));
  SKERRY_ASSIGN_OR_RETURN(Normalizer normalizer, Normalizer::Parse(root.At("normalizer")));
  SKERRY_ASSIGN_OR_RETURN(PreTokenizer splits, PreTokenizer::Parse(root.At("pre_tokenizer")));
  SKERRY_ASSIGN_OR_RETURN(AddedTokens added,
                          AddedTokens::Parse(root.At("added_tokens"), model, normalizer));
  SKERRY_ASSIGN_OR_RETURN(PostProcessor post, PostProcessor::Parse(root.At("post_processor")));
  SKERRY_ASSIGN_OR_RETURN(Decoder decoder, Decoder::Parse(root.At("decoder")));
  auto tables = std::make_shared<Tables>(
      Tables{std::move(model), std::move(normalizer), std::move(splits), std::move(added),
             std::move(post), std::move(decoder), std::nullopt, std::nullopt});
  for (const std::vector<int32_t>* ids :
       {&tables->post_processor.before, &tables->post_processor.after}) {
    for (const int32_t id : *ids) {
      if (tables->TokenOf(id) != nullptr) continue;
      return root.At("post_processor").Error(fmt::format("id {} is no token", id));
    }
  }
  if (!config.empty()) {
    const std::string config_name =
        (std::filesystem::path(name).parent_path() / kConfigName).string();
    SKERRY_ASSIGN_OR_RETURN(const nlohmann::json config_json, ParseJson(config, config_name));
    SKERRY_RETURN_IF_ERROR(tables->ReadConfig(JsonView(config_json, config_name)));
  }
  return Tokenizer(std::move(tables));
}

absl::Status Tokenizer::Tables::EncodeNormalized(std::string_view text, bool begins_input,
                                                 std::vector<int32_t>& ids) const {
  TextPieces pieces;
  pieces.text = Utf16Of(text);
  pieces.pieces = {{0, pieces.text.size()}};
  pieces.begins_input = begins_input;
  SKERRY_RETURN_IF_ERROR(pre_tokenizer.Apply(pieces));
  const std::u16string_view view = pieces.text;
  for (const TextRange& piece : pieces.pieces) {
    SKERRY_RETURN_IF_ERROR(model.Encode(view.substr(piece.begin, piece.end - piece.begin), ids));
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::Tables::EncodeText(std::string_view text, bool begins_input,
                                           std::vector<int32_t>& ids) const {
  std::string buffer;
  if (!normalizer.is_identity()) {
    SKERRY_ASSIGN_OR_RETURN(buffer, normalizer.Apply(text));
    text = buffer;
  }
  for (const auto& segment : added.Split(text, AddedTokens::Stage::kNormalized)) {
    if (segment.id.has_value()) {
      ids.push_back(*segment.id);
    } else {
      SKERRY_RETURN_IF_ERROR(EncodeNormalized(segment.text, begins_input, ids));
    }
    begins_input = false;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text,
                                                       const EncodeOptions& options) const {
  if (const std::optional<size_t> offset = FirstInvalidUtf8(text)) {
    return absl::InvalidArgumentError(
        fmt::format("the text is not UTF-8 at byte {} (0x{:02X}) of {}", *offset,
                    static_cast<uint8_t>(text[*offset]), text.size()));
  }
  std::vector<int32_t> ids;
  bool begins_input = true;
  for (const auto& segment : tables_->added.Split(text, AddedTokens::Stage::kRaw)) {
    if (segment.id.has_value()) {
      ids.push_back(*segment.id);
    } else {
      SKERRY_RETURN_IF_ERROR(tables_->EncodeText(segment.text, begins_input, ids));
    }
    begins_input = false;
  }
  if (!options.add_special) return ids;
  const std::vector<int32_t>& before = tables_->post_processor.before;
  const std::vector<int32_t>& after = tables_->post_processor.after;
  const bool begins_itself =
      ids.size() >= before.size() && std::equal(before.begin(), before.end(), ids.begin());
  if (!begins_itself) ids.insert(ids.begin(), before.begin(), before.end());
  ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

struct StreamingDecoder::State {
  std::shared_ptr<const Tokenizer::Tables> tables;
  DecodeOptions options;
  DecoderStream stream;
  size_t position = 0;
};

absl::StatusOr<std::string> Tokenizer::Decode(std::span<const int32_t> ids,
                                              const DecodeOptions& options) const {
  StreamingDecoder stream = Stream(options);
  std::string text;
  for (const int32_t id : ids) {
    SKERRY_ASSIGN_OR_RETURN(const std::string part, stream.Push(id));
    text += part;
  }
  return text + stream.Finish();
}

StreamingDecoder Tokenizer::Stream(const DecodeOptions& options) const {
  return StreamingDecoder(std::make_unique<StreamingDecoder::State>(
      StreamingDecoder::State{tables_, options, DecoderStream(tables_->decoder)}));
}

std::optional<int32_t> Tokenizer::bos_id() const { return tables_->bos_id; }
std::optional<int32_t> Tokenizer::eos_id() const { return tables_->eos_id; }

int32_t Tokenizer::vocab_size() const {
  return std::max(tables_->model.id_end(), tables_->added.id_end());
}

std::optional<int32_t> Tokenizer::IdOf(std::string_view token) const {
  return tables_->IdOf(token);
}

std::optional<std::string> Tokenizer::TokenOf(int32_t id) const {
  const std::string* const token = tables_->TokenOf(id);
  if (token == nullptr) return std::nullopt;
  return *token;
}

StreamingDecoder::StreamingDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
StreamingDecoder::~StreamingDecoder() = default;
StreamingDecoder::StreamingDecoder(StreamingDecoder&&) noexcept = default;
StreamingDecoder& StreamingDecoder::operator=(StreamingDecoder&&) noexcept = default;

absl::StatusOr<std::string> StreamingDecoder::Push(int32_t id) {
  const size_t position = state_->position++;
  const std::string* const token = state_->tables->TokenOf(id);
  if (token == nullptr) {
    if (state_->options.unknown_id == UnknownId::kSkip) return std::string();
    return absl::InvalidArgumentError(
        fmt::format("id {} (number {} of the list) has no token; ids end at {}", id, position + 1,
                    std::max(state_->tables->model.id_end(), state_->tables->added.id_end()) - 1));
  }
  const AddedToken* const added = state_->tables->added.Find(id);
  if (state_->options.skip_special && added != nullptr && added->is_special) return std::string();
  return state_->stream.Push(*token);
}

std::string StreamingDecoder::Finish() { return state_->stream.Finish(); }

}  // namespace skerry
