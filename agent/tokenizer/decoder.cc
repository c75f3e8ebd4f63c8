#include "agent/tokenizer/decoder.h"

#include <charconv>
#include <functional>
#include <optional>

#include <fmt/format.h>

#include "agent/tokenizer/byte_level.h"
#include "agent/tokenizer/utf8.h"
#include "common/base/status.h"

namespace skerry {

// Of a token: after Fuse and ByteLevel all text is one, which comes in parts.
struct DecoderStream::Chunk {
  std::string text;
  bool begins_token = true;
  bool ends_token = true;
};

class DecoderStream::Stage {
 public:
  using Sink = std::function<void(const Chunk&)>;
  virtual ~Stage() = default;
  virtual void Take(const Chunk& chunk, const Sink& sink) = 0;
  virtual void End(const Sink&) {}
};

namespace {

using Chunk = DecoderStream::Chunk;
using Stage = DecoderStream::Stage;

constexpr int64_t kStripMax = 1 << 20;

std::string ReplaceAll(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string result;
  size_t end = 0;
  for (size_t at = text.find(pattern); at != std::string_view::npos; at = text.find(pattern, end)) {
    result += text.substr(end, at - end);
    result += content;
    end = at + pattern.size();
  }
  result += text.substr(end);
  return result;
}

bool IsOneCharacter(std::string_view text) {
  size_t position = 0;
  const std::u16string units = Utf16Of(text);
  if (units.empty()) return false;
  NextCharacter(units, position);
  return position == units.size();
}

// Gathers the parts of a token for a stage that must see it whole.
class WholeTokens : public Stage {
 public:
  void Take(const Chunk& chunk, const Sink& sink) final {
    if (chunk.begins_token) token_.clear();
    token_ += chunk.text;
    if (chunk.ends_token) TakeToken(token_, sink);
  }

 protected:
  virtual void TakeToken(const std::string& token, const Sink& sink) = 0;

 private:
  std::string token_;
};

class ReplaceStage : public WholeTokens {
 public:
  explicit ReplaceStage(const Decoder::Replace& step) : step_(step) {}

 protected:
  void TakeToken(const std::string& token, const Sink& sink) override {
    sink({ReplaceAll(token, step_.pattern, step_.content)});
  }

 private:
  Decoder::Replace step_;
};

// A pattern of one character is never cut by the parts of a token, so it need not wait for all.
class ReplaceCharacterStage : public Stage {
 public:
  explicit ReplaceCharacterStage(const Decoder::Replace& step) : step_(step) {}
  void Take(const Chunk& chunk, const Sink& sink) override {
    Chunk replaced = chunk;
    replaced.text = ReplaceAll(chunk.text, step_.pattern, step_.content);
    sink(replaced);
  }

 private:
  Decoder::Replace step_;
};

// Runs of tokens <0x00> to <0xFF> are UTF-8. As in the reference implementation a run that is not
// valid as a whole gives one U+FFFD for each byte, so that nothing of a run is certain before its
// end.
class ByteFallbackStage : public WholeTokens {
 public:
  void End(const Sink& sink) override { EndRun(sink); }

 protected:
  void TakeToken(const std::string& token, const Sink& sink) override {
    if (const std::optional<char> byte = ByteOf(token)) {
      run_ += *byte;
      return;
    }
    EndRun(sink);
    sink({token});
  }

 private:
  static std::optional<char> ByteOf(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    uint8_t byte = 0;
    const auto [end, error] = std::from_chars(&token[3], &token[5], byte, 16);
    if (error != std::errc() || end != &token[5]) return std::nullopt;
    return static_cast<char>(byte);
  }

  void EndRun(const Sink& sink) {
    if (run_.empty()) return;
    if (FirstInvalidUtf8(run_).has_value()) {
      for (size_t i = 0; i < run_.size(); ++i) sink({"\xef\xbf\xbd"});
    } else {
      sink({run_});
    }
    run_.clear();
  }

  std::string run_;
};

// Makes all tokens one.
class FuseStage : public Stage {
 public:
  void Take(const Chunk& chunk, const Sink& sink) override {
    sink({chunk.text, is_first_, false});
    is_first_ = false;
  }
  void End(const Sink& sink) override { sink({"", is_first_, true}); }

 private:
  bool is_first_ = true;
};

// Takes up to so many of one character from both ends of a token.
class StripStage : public Stage {
 public:
  explicit StripStage(const Decoder::Strip& step) : step_(step) {
    AppendUtf8(step.content, content_);
  }
  void Take(const Chunk& chunk, const Sink& sink) override {
    if (chunk.begins_token) {
      start_left_ = step_.start;
      held_ = 0;
    }
    std::string_view text = chunk.text;
    while (start_left_ > 0 && text.starts_with(content_)) {
      text.remove_prefix(content_.size());
      --start_left_;
    }
    if (!text.empty()) start_left_ = 0;
    // What may turn out to be the token's end is held back.
    std::string out = Repeated(held_);
    out += text;
    held_ = 0;
    while (held_ < step_.stop && out.ends_with(content_)) {
      out.resize(out.size() - content_.size());
      ++held_;
    }
    sink({std::move(out), chunk.begins_token, chunk.ends_token});
  }

 private:
  std::string Repeated(int64_t count) const {
    std::string text;
    for (int64_t i = 0; i < count; ++i) text += content_;
    return text;
  }

  Decoder::Strip step_;
  std::string content_;
  int64_t start_left_ = 0;
  int64_t held_ = 0;
};

class ByteLevelStage : public WholeTokens {
 public:
  void End(const Sink& sink) override { sink({utf8_.Finish(), is_first_, true}); }

 protected:
  void TakeToken(const std::string& token, const Sink& sink) override {
    sink({utf8_.Push(BytesOfToken(token)), is_first_, false});
    is_first_ = false;
  }

 private:
  LossyUtf8 utf8_;
  bool is_first_ = true;
};

class MetaspaceStage : public Stage {
 public:
  explicit MetaspaceStage(const Decoder::Metaspace& step) : step_(step) {}
  void Take(const Chunk& chunk, const Sink& sink) override {
    Chunk replaced = chunk;
    const bool drops = is_first_ && step_.drops_first;
    replaced.text = ReplaceAll(chunk.text, step_.replacement, drops ? "" : " ");
    if (chunk.ends_token) is_first_ = false;
    sink(replaced);
  }

 private:
  Decoder::Metaspace step_;
  bool is_first_ = true;
};

class JoinStage : public Stage {
 public:
  void Take(const Chunk& chunk, const Sink& sink) override {
    sink({is_first_ ? chunk.text : " " + chunk.text});
    is_first_ = false;
  }

 private:
  bool is_first_ = true;
};

struct MakeStage {
  std::unique_ptr<Stage> operator()(const Decoder::Replace& step) const {
    if (IsOneCharacter(step.pattern)) return std::make_unique<ReplaceCharacterStage>(step);
    return std::make_unique<ReplaceStage>(step);
  }
  std::unique_ptr<Stage> operator()(const Decoder::ByteFallback&) const {
    return std::make_unique<ByteFallbackStage>();
  }
  std::unique_ptr<Stage> operator()(const Decoder::Fuse&) const {
    return std::make_unique<FuseStage>();
  }
  std::unique_ptr<Stage> operator()(const Decoder::Strip& step) const {
    return std::make_unique<StripStage>(step);
  }
  std::unique_ptr<Stage> operator()(const Decoder::ByteLevel&) const {
    return std::make_unique<ByteLevelStage>();
  }
  std::unique_ptr<Stage> operator()(const Decoder::Metaspace& step) const {
    return std::make_unique<MetaspaceStage>(step);
  }
  std::unique_ptr<Stage> operator()(const Decoder::Join&) const {
    return std::make_unique<JoinStage>();
  }
};

}  // namespace

absl::StatusOr<Decoder> Decoder::Parse(const JsonView& json) {
  Decoder decoder;
  if (json.is_null()) {
    decoder.steps_.push_back(Join{});
  } else {
    SKERRY_RETURN_IF_ERROR(decoder.Add(json));
  }
  return decoder;
}

absl::Status Decoder::Add(const JsonView& json) {
  SKERRY_ASSIGN_OR_RETURN(const std::string type, json.Type());
  if (type == "Sequence") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "decoders"}));
    SKERRY_ASSIGN_OR_RETURN(const std::vector<JsonView> parts, json.At("decoders").Elements());
    for (const JsonView& part : parts) SKERRY_RETURN_IF_ERROR(Add(part));
    return absl::OkStatus();
  }
  if (type == "ByteLevel") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
    steps_.push_back(ByteLevel{});
    return absl::OkStatus();
  }
  if (type == "Replace") return AddReplace(json);
  if (type == "Strip") return AddStrip(json);
  if (type == "Metaspace") return AddMetaspace(json);
  if (type == "ByteFallback" || type == "Fuse") {
    SKERRY_RETURN_IF_ERROR(json.Only({"type"}));
    steps_.push_back(type == "Fuse" ? Step(Fuse{}) : Step(ByteFallback{}));
    return absl::OkStatus();
  }
  return json.UnknownType(type,
                          "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip");
}

absl::Status Decoder::AddReplace(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"type", "pattern", "content"}));
  SKERRY_RETURN_IF_ERROR(json.At("pattern").Only({"String"}));
  const JsonView pattern_json = json.At("pattern").At("String");
  SKERRY_ASSIGN_OR_RETURN(std::string pattern, pattern_json.Text());
  if (pattern.empty()) return pattern_json.Error("must not be empty");
  SKERRY_ASSIGN_OR_RETURN(std::string content, json.At("content").Text());
  steps_.push_back(Replace{std::move(pattern), std::move(content)});
  return absl::OkStatus();
}

absl::Status Decoder::AddStrip(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(json.Only({"type", "content", "start", "stop"}));
  SKERRY_ASSIGN_OR_RETURN(const std::string content, json.At("content").Text());
  if (!IsOneCharacter(content)) return json.At("content").Error("expected one character");
  Strip strip;
  size_t position = 0;
  strip.content = NextCharacter(Utf16Of(content), position);
  SKERRY_ASSIGN_OR_RETURN(strip.start, json.At("start").Count(kStripMax));
  SKERRY_ASSIGN_OR_RETURN(strip.stop, json.At("stop").Count(kStripMax));
  steps_.push_back(strip);
  return absl::OkStatus();
}

absl::Status Decoder::AddMetaspace(const JsonView& json) {
  SKERRY_RETURN_IF_ERROR(
      json.Only({"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"}));
  Metaspace metaspace;
  SKERRY_ASSIGN_OR_RETURN(metaspace.replacement, json.TextOr("replacement", "▁"));
  if (!IsOneCharacter(metaspace.replacement)) {
    return json.At("replacement").Error("expected one character");
  }
  SKERRY_ASSIGN_OR_RETURN(const bool has_prefix, json.BoolOr("add_prefix_space", true));
  SKERRY_ASSIGN_OR_RETURN(const std::string scheme,
                          json.TextOr("prepend_scheme", has_prefix ? "always" : "never"));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return json.At("prepend_scheme").Error("expected always, first or never");
  }
  metaspace.drops_first = scheme != "never";
  steps_.push_back(std::move(metaspace));
  return absl::OkStatus();
}

DecoderStream::DecoderStream(const Decoder& decoder) {
  for (const Decoder::Step& step : decoder.steps()) {
    stages_.push_back(std::visit(MakeStage(), step));
  }
}

DecoderStream::~DecoderStream() = default;
DecoderStream::DecoderStream(DecoderStream&&) noexcept = default;
DecoderStream& DecoderStream::operator=(DecoderStream&&) noexcept = default;

// Runs a chunk through the stages from `stage` on.
void DecoderStream::Feed(size_t stage, const Chunk& chunk, std::string& text) {
  if (stage == stages_.size()) {
    text += chunk.text;
    return;
  }
  stages_[stage]->Take(chunk, [&](const Chunk& next) { Feed(stage + 1, next, text); });
}

std::string DecoderStream::Push(std::string_view token) {
  std::string text;
  Feed(0, Chunk{std::string(token)}, text);
  return text;
}

std::string DecoderStream::Finish() {
  std::string text;
  for (size_t i = 0; i < stages_.size(); ++i) {
    stages_[i]->End([&](const Chunk& chunk) { Feed(i + 1, chunk, text); });
  }
  return text;
}

}  // namespace skerry
