#include "agent/shell/infer_command.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/inference/language_model.h"
#include "agent/inference/stop_text.h"
#include "agent/tokenizer/tokenizer.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/crypto/random_bits.h"
#include "common/ml/compute.h"
#include "common/tensor/safetensors.h"

namespace skerry {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int Refuse(const absl::Status& status) {
  LogError(std::string(status.message()));
  const bool is_usage = absl::IsInvalidArgument(status) || absl::IsNotFound(status);
  return is_usage ? kExitUsage : kExitFailed;
}

struct Timings {
  Instant begun{};
  Instant loaded{};
  std::optional<Instant> first_token{};
  Instant ended{};
};

double Rate(double count, Duration duration) {
  return duration.count() > 0 ? count / Seconds(duration) : 0;
}

// What a request gave, for --json.
struct Outcome {
  const Generation& generation;
  std::optional<std::string> text;
  size_t prompt_tokens = 0;
  uint64_t cache_bytes = 0;
};

nlohmann::ordered_json Report(const Outcome& outcome, const Timings& timings) {
  constexpr const char* kReasons[] = {"length", "end_of_text", "stop"};
  const Generation& generation = outcome.generation;
  const Instant first = timings.first_token.value_or(timings.ended);
  const auto computed = static_cast<double>(outcome.prompt_tokens - generation.reused_tokens);
  // The first token comes out of the prompt.
  const size_t count = generation.tokens.size();
  const auto later = static_cast<double>(count == 0 ? 0 : count - 1);
  return {{"text", outcome.text ? nlohmann::ordered_json(*outcome.text) : nullptr},
          {"generated_ids", generation.tokens},
          {"prompt_tokens", outcome.prompt_tokens},
          {"finish_reason", kReasons[static_cast<int>(generation.finish_reason)]},
          {"cache_bytes", outcome.cache_bytes},
          {"timings",
           {{"load_s", Seconds(timings.loaded - timings.begun)},
            {"prompt_s", Seconds(first - timings.loaded)},
            {"decode_s", Seconds(timings.ended - first)},
            {"prompt_tokens_per_s", Rate(computed, first - timings.loaded)},
            {"decode_tokens_per_s", Rate(later, timings.ended - first)}}}};
}

// The generated text as it grows.
class TextOutput {
 public:
  TextOutput(const Tokenizer& tokenizer, std::vector<std::string> stops, bool is_shown)
      : decoder_(tokenizer.Stream({.skip_special = true, .unknown_id = UnknownId::kSkip})),
        stop_(std::move(stops)),
        is_shown_(is_shown) {}

  // False once a stop has come.
  bool Push(int64_t token) {
    const absl::StatusOr<std::string> piece = decoder_.Push(static_cast<int32_t>(token));
    if (piece.ok()) Show(stop_.Push(*piece));
    return !stop_.is_stopped();
  }
  std::string Finish() {
    Show(stop_.Push(decoder_.Finish()));
    Show(stop_.Finish());
    return text_;
  }

 private:
  void Show(const std::string& piece) {
    text_ += piece;
    if (!is_shown_) return;
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  }

  StreamingDecoder decoder_;
  StopText stop_;
  bool is_shown_;
  std::string text_;
};

absl::Status WriteLogits(const std::string& path, const Generation& generation,
                         int64_t vocabulary) {
  std::vector<TensorShape> shapes = {
      {.name = "logits",
       .sizes = {static_cast<int64_t>(generation.prompt_logits.size()) / vocabulary, vocabulary}}};
  if (!generation.tokens.empty()) {
    shapes.push_back({.name = "step_logits",
                      .sizes = {static_cast<int64_t>(generation.tokens.size()), vocabulary}});
  }
  SKERRY_ASSIGN_OR_RETURN(ParameterLayoutPtr layout, ParameterLayout::Create(std::move(shapes)));
  ParameterVector values(layout);
  std::ranges::copy(generation.prompt_logits, values.values().begin());
  std::ranges::copy(
      generation.step_logits,
      values.values().begin() + static_cast<std::ptrdiff_t>(generation.prompt_logits.size()));
  return WriteSafetensors(path, values);
}

absl::StatusOr<std::vector<int64_t>> PromptIds(const InferOptions& options,
                                               const std::optional<Tokenizer>& tokenizer) {
  if (!tokenizer) return options.token_ids;
  SKERRY_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                          tokenizer->Encode(*options.prompt, {.add_special = true}));
  return std::vector<int64_t>(ids.begin(), ids.end());
}

absl::Status Infer(const InferOptions& options) {
  const Clock& clock = SystemClock();
  Timings timings{.begun = clock.Now()};
  PrepareCompute(options.threads);
  std::optional<Tokenizer> tokenizer;
  if (options.prompt) {
    SKERRY_ASSIGN_OR_RETURN(tokenizer, Tokenizer::Load(options.model));
  }
  GenerationRequest request;
  SKERRY_ASSIGN_OR_RETURN(request.prompt, PromptIds(options, tokenizer));
  LanguageModelOptions model_options;
  model_options.context = request.prompt.size() + options.tokens_max;
  model_options.cache_format = options.cache_format.value_or(CacheFormat::kF32);
  SKERRY_ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model,
                          LanguageModel::Load(options.model, model_options));
  const CacheFormat format = options.cache_format.value_or(
      model->has_float32_weights() ? CacheFormat::kF32 : CacheFormat::kF16);
  Generator generator(*model, format);
  timings.loaded = clock.Now();
  request.tokens_max = options.tokens_max;
  request.sampling = options.sampling;
  request.seed = options.seed ? *options.seed : SystemRandom().NextU64();
  request.keeps_logits = !options.logits_out.empty();
  request.ignores_end = options.ignores_end || request.keeps_logits;
  std::optional<TextOutput> output;
  if (tokenizer) output.emplace(*tokenizer, options.stops, !options.is_json);
  const std::vector<int64_t>& ends = model->config().end_ids;
  request.on_token = [&](int64_t token) {
    if (!timings.first_token) timings.first_token = clock.Now();
    const bool is_end =
        !request.ignores_end && std::find(ends.begin(), ends.end(), token) != ends.end();
    if (is_end) return true;  // no part of the text, special or not
    if (output) return output->Push(token);
    if (!options.is_json) {
      std::fputs(fmt::format("{} ", token).c_str(), stdout);
      std::fflush(stdout);
    }
    return true;
  };
  SKERRY_ASSIGN_OR_RETURN(const Generation generation, generator.Generate(request));
  timings.ended = clock.Now();
  Outcome outcome{.generation = generation,
                  .text = std::nullopt,
                  .prompt_tokens = request.prompt.size(),
                  .cache_bytes = generator.cache().bytes()};
  if (output) outcome.text = output->Finish();
  if (request.keeps_logits) {
    SKERRY_RETURN_IF_ERROR(WriteLogits(options.logits_out, generation, model->config().vocabulary));
  }
  const std::string last = options.is_json ? Report(outcome, timings).dump() : std::string();
  std::puts(last.c_str());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ParseTokenIds(const std::string& text) {
  std::vector<int64_t> ids;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at != end) {
    int64_t id = 0;
    const auto [rest, error] = std::from_chars(at, end, id);
    const bool is_last = rest == end;
    if (error != std::errc() || id < 0 || (!is_last && (*rest != ',' || rest + 1 == end))) {
      return absl::InvalidArgumentError(fmt::format(
          "--token-ids must be whole numbers with commas between them, like 1,5,9, got \"{}\"",
          text.substr(0, 80)));
    }
    ids.push_back(id);
    at = is_last ? end : rest + 1;
  }
  return ids;
}

int InferCommand(const InferOptions& options) {
  const absl::Status status = Infer(options);
  return status.ok() ? 0 : Refuse(status);
}

}  // namespace skerry
