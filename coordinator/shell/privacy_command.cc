#include "coordinator/shell/privacy_command.h"

#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"

namespace skerry {
namespace {

struct Result {
  double epsilon = 0.0;
  double noise_multiplier = 0.0;
  Accountant accountant = Accountant::kPld;
};

absl::StatusOr<Result> Account(const PrivacyCommandOptions& options) {
  if (options.noise_multiplier.has_value() == options.epsilon.has_value()) {
    return absl::InvalidArgumentError(
        "give either --noise-multiplier, to get epsilon, or --epsilon, to get the noise "
        "multiplier");
  }
  const Sampling sampling = Sampling::Poisson(options.sampling_rate);
  Result result{.accountant = options.accountant.value_or(BestAccountant(sampling))};
  if (options.noise_multiplier) {
    result.noise_multiplier = *options.noise_multiplier;
  } else {
    SKERRY_ASSIGN_OR_RETURN(result.noise_multiplier,
                            NoiseMultiplierFor({.epsilon = *options.epsilon,
                                                .delta = options.delta,
                                                .sampling = sampling,
                                                .steps = options.steps,
                                                .adjacency = options.adjacency},
                                               result.accountant));
  }
  // Also of a computed noise multiplier, whose epsilon may be a little below the one asked for.
  const PrivacyEvent event{.noise_multiplier = result.noise_multiplier,
                           .sampling = sampling,
                           .steps = options.steps,
                           .adjacency = options.adjacency};
  SKERRY_ASSIGN_OR_RETURN(result.epsilon,
                          EpsilonFor({&event, 1}, options.delta, result.accountant));
  return result;
}

std::string AdjacencyName(Adjacency adjacency) {
  return adjacency == Adjacency::kAddRemove ? "add_remove" : "replace_one";
}

std::string Json(const Result& result, const PrivacyCommandOptions& options) {
  return fmt::format(
      "{{\"epsilon\":{},\"delta\":{},\"noise_multiplier\":{},\"sampling_rate\":{},\"steps\":{},"
      "\"accountant\":\"{}\",\"adjacency\":\"{}\"}}\n",
      result.epsilon, options.delta, result.noise_multiplier, options.sampling_rate, options.steps,
      NameOf(result.accountant), AdjacencyName(options.adjacency));
}

std::string Table(const Result& result, const PrivacyCommandOptions& options) {
  // Every digit of the multiplier, as it is copied into jobs.
  return fmt::format(
      "epsilon           {:.6g} at delta {:g}\n"
      "noise multiplier  {}: the noise's standard deviation over the clip norm\n"
      "sampling rate     {:g}{}\n"
      "steps             {}\n"
      "accountant        {}\n"
      "adjacency         {}\n",
      result.epsilon, options.delta, result.noise_multiplier, options.sampling_rate,
      options.sampling_rate < 1.0
          ? ": Poisson, and only for an observer who does not learn who was sampled"
          : ": everyone, or cohorts of a fixed size",
      options.steps, NameOf(result.accountant), AdjacencyName(options.adjacency));
}

}  // namespace

int PrivacyCommand(const PrivacyCommandOptions& options) {
  const absl::StatusOr<Result> result = Account(options);
  if (!result.ok()) {
    LogError(std::string(result.status().message()));
    return 2;
  }
  const std::string text = options.is_json ? Json(*result, options) : Table(*result, options);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace skerry
