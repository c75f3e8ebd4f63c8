#include "common/privacy/accountant.h"

#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/privacy/analytic_gaussian.h"
#include "common/privacy/calibration.h"
#include "common/privacy/pld_accountant.h"
#include "common/privacy/rdp_accountant.h"

namespace skerry {
namespace {

absl::StatusOr<double> AnalyticEpsilonOf(std::span<const PrivacyEvent> events, double delta) {
  SKERRY_RETURN_IF_ERROR(CheckEvents(events));
  SKERRY_RETURN_IF_ERROR(CheckDelta(delta));
  double mu_squared = 0.0;
  for (const PrivacyEvent& event : events) {
    if (event.sampling.amplifying_rate() != 1.0) {
      return absl::InvalidArgumentError(
          fmt::format("the analytic accountant knows no sampling, got the rate {}: use pld",
                      event.sampling.amplifying_rate()));
    }
    const double sensitivity = event.adjacency == Adjacency::kReplaceOne ? 2.0 : 1.0;
    mu_squared +=
        static_cast<double>(event.steps) * std::pow(sensitivity / event.noise_multiplier, 2.0);
  }
  return mu_squared == 0.0 ? 0.0 : AnalyticEpsilon(std::sqrt(mu_squared), delta);
}

}  // namespace

std::string_view NameOf(Accountant accountant) {
  switch (accountant) {
    case Accountant::kPld:
      return "pld";
    case Accountant::kRdp:
      return "rdp";
    case Accountant::kAnalytic:
      break;
  }
  return "analytic";
}

Accountant BestAccountant(Sampling sampling) {
  return sampling.amplifying_rate() == 1.0 ? Accountant::kAnalytic : Accountant::kPld;
}

absl::StatusOr<double> EpsilonFor(std::span<const PrivacyEvent> events, double delta,
                                  Accountant accountant) {
  switch (accountant) {
    case Accountant::kAnalytic:
      return AnalyticEpsilonOf(events, delta);
    case Accountant::kRdp:
      return RdpEpsilon(events, delta);
    case Accountant::kPld:
      break;
  }
  SKERRY_ASSIGN_OR_RETURN(const EpsilonBounds bounds, PldEpsilon(events, delta));
  return bounds.upper;
}

absl::StatusOr<double> NoiseMultiplierFor(const CalibrationRequest& request,
                                          Accountant accountant) {
  if (!(request.epsilon > 0.0) || std::isinf(request.epsilon)) {
    return absl::InvalidArgumentError(
        fmt::format("epsilon must be above 0 and finite, got {}: nothing can be released for "
                    "nothing",
                    request.epsilon));
  }
  PrivacyEvent event{.noise_multiplier = kNoiseMultiplierMin,
                     .sampling = request.sampling,
                     .steps = request.steps,
                     .adjacency = request.adjacency};
  SKERRY_RETURN_IF_ERROR(CheckEvents({&event, 1}));
  SKERRY_RETURN_IF_ERROR(CheckDelta(request.delta));

  // Without sampling the answer is known, and sampling needs no more noise than that.
  const double sensitivity = request.adjacency == Adjacency::kReplaceOne ? 2.0 : 1.0;
  const double unsampled = sensitivity * std::sqrt(static_cast<double>(request.steps)) /
                           AnalyticMu(request.epsilon, request.delta);
  return FindNoise(
      [&](double noise_multiplier) {
        event.noise_multiplier = noise_multiplier;
        return EpsilonFor({&event, 1}, request.delta, accountant);
      },
      request.epsilon, unsampled);
}

}  // namespace skerry
