#include "agent/inference/generator.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {

absl::Status Generator::Check(const GenerationRequest& request) const {
  SKERRY_RETURN_IF_ERROR(request.sampling.Validate());
  if (request.prompt.empty()) {
    return absl::InvalidArgumentError("the prompt has no token: there is nothing to go on from");
  }
  const auto positions = static_cast<size_t>(model_.config().positions_max);
  if (request.prompt.size() > positions || request.tokens_max > positions - request.prompt.size()) {
    return absl::InvalidArgumentError(
        fmt::format("a prompt of {} tokens and {} more do not fit into the model's {} positions",
                    request.prompt.size(), request.tokens_max, positions));
  }
  return absl::OkStatus();
}

absl::StatusOr<Generation> Generator::Generate(const GenerationRequest& request) {
  SKERRY_RETURN_IF_ERROR(Check(request));
  Generation result;
  // The last token is always computed: its logits choose the next one.
  const std::span<const int64_t> known = cache_.tokens();
  const size_t reusable =
      request.keeps_logits ? 0 : std::min(known.size(), request.prompt.size() - 1);
  while (result.reused_tokens < reusable &&
         known[result.reused_tokens] == request.prompt[result.reused_tokens]) {
    ++result.reused_tokens;
  }
  cache_.Truncate(result.reused_tokens);
  const std::span<const int64_t> prompt = std::span(request.prompt).subspan(result.reused_tokens);
  SKERRY_ASSIGN_OR_RETURN(std::span<const float> logits,
                          model_.Forward(prompt, cache_,
                                         request.keeps_logits ? LanguageModel::Logits::kAll
                                                              : LanguageModel::Logits::kLast));
  const auto vocabulary = static_cast<size_t>(model_.config().vocabulary);
  if (request.keeps_logits) result.prompt_logits.assign(logits.begin(), logits.end());
  logits = logits.last(vocabulary);

  Sampler sampler(request.sampling, Rng(request.seed));
  const std::vector<int64_t>& ends = model_.config().end_ids;
  while (result.tokens.size() < request.tokens_max) {
    const int64_t token = sampler.Choose(logits);
    const bool is_end =
        !request.ignores_end && std::find(ends.begin(), ends.end(), token) != ends.end();
    if (is_end) {
      result.finish_reason = FinishReason::kEndOfText;
    } else {
      result.tokens.push_back(token);
      if (request.keeps_logits) {
        result.step_logits.insert(result.step_logits.end(), logits.begin(), logits.end());
      }
    }
    const bool goes_on = !request.on_token || request.on_token(token);
    if (is_end) return result;
    if (!goes_on) {
      result.finish_reason = FinishReason::kStopped;
      return result;
    }
    if (result.tokens.size() == request.tokens_max) break;
    SKERRY_ASSIGN_OR_RETURN(logits,
                            model_.Forward({&token, 1}, cache_, LanguageModel::Logits::kLast));
  }
  return result;
}

}  // namespace skerry
