#include "common/config/privacy_rules.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/config/config_words.h"
#include "common/config/secagg_rules.h"

namespace skerry {
namespace {

// With one honest node only, the others know its part of the sum.
constexpr int64_t kHonestNodesMin = 2;
// Larger cohorts are skipped, one in 700 rounds.
constexpr double kCohortDeviations = 3;

void CheckUnits(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const PrivacyConfig& privacy = job.privacy;
  if (privacy.unit == PrivacyUnit::kRecord && privacy.records < 1) {
    diagnostics.Add("privacy.records",
                    "is missing: say how many training records all nodes have together. It must be "
                    "a public number, because it decides which delta protects anybody");
    return;
  }
  const int64_t units = UnitCount(job);
  if (privacy.delta * static_cast<double>(units) < 1.0) return;
  diagnostics.Add(
      "privacy.delta",
      fmt::format("must be below 1 / {} ({:.3g}), got {:.3g}: with so large a delta one of the {} "
                  "{} may be published outright. A tenth of that is usual",
                  units, 1.0 / static_cast<double>(units), privacy.delta, units,
                  privacy.unit == PrivacyUnit::kRecord ? "records" : "nodes"));
}

void CheckPlacement(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const PrivacyConfig& privacy = job.privacy;
  if (privacy.unit == PrivacyUnit::kRecord && privacy.placement == NoisePlacement::kCoordinator) {
    diagnostics.Add("privacy.placement",
                    "coordinator is for whole nodes: only there is what one unit contributes "
                    "clipped once and summed once. Set it to distributed, which has nearly the "
                    "same noise and trusts nobody with it, or to agent, or privacy.unit to client");
    return;
  }
  if (privacy.unit == PrivacyUnit::kClient && privacy.placement == NoisePlacement::kAgent) {
    diagnostics.Add("privacy.placement",
                    "agent protects records, not whole nodes: set it to distributed, or to "
                    "coordinator if the nodes trust it with the noise, or privacy.unit to record");
    return;
  }
  if (privacy.placement != NoisePlacement::kDistributed) return;
  if (!job.secagg.enabled) {
    diagnostics.Add("privacy.placement",
                    "distributed adds a share of the noise at each node, which protects only the "
                    "sum: set secagg.enabled to true, or placement to agent");
    return;
  }
  if (job.secagg.min_survivors <= job.secagg.colluders) {
    diagnostics.Add("secagg.min_survivors",
                    fmt::format("is {}, but {} of the survivors may conspire and know their own "
                                "noise: raise it above secagg.colluders, as far as drop-outs allow",
                                job.secagg.min_survivors, job.secagg.colluders));
  }
}

void CheckSampling(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const bool is_record = job.privacy.unit == PrivacyUnit::kRecord;
  const bool is_fixed = job.privacy.sampling.scheme == SamplingScheme::kFixed;
  if (is_record && is_fixed) {
    diagnostics.Add("privacy.sampling.scheme",
                    "fixed has no guarantee for records: batches of a fixed size are not Poisson "
                    "samples, and their privacy is not what the formulas say. Use poisson");
  }
  const bool is_public = job.privacy.observer == PrivacyObserver::kPublic;
  if (!is_record && !is_fixed && !is_public) {
    diagnostics.Add("privacy.sampling.scheme",
                    "poisson needs secret cohorts for unit client, and protects from those only "
                    "who cannot see them: set privacy.observer to public, or this to fixed, which "
                    "claims no amplification");
  }
  if (!is_record && is_fixed && is_public) {
    diagnostics.Add("privacy.sampling.scheme",
                    "fixed means cohorts of one size, and what is known of Poisson samples does "
                    "not hold for those: with privacy.observer public it must be poisson, and "
                    "privacy.sampling.rate the probability with which a node is drawn");
  }
}

// What a cohort of secret coins excludes. Nodes that drop out are not replaced by any job.
void CheckSecretCohorts(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const RoundConfig& round = job.round;
  if (job.privacy.unit == PrivacyUnit::kRecord) {
    diagnostics.Add("privacy.observer",
                    "public is for whole nodes, whose cohorts can be drawn in secret. Which "
                    "records a node has drawn is its own secret in any case and counts for every "
                    "observer: leave it out, or set privacy.unit to client");
    return;
  }
  if (round.over_selection != 1.0) {
    diagnostics.Add("round.over_selection",
                    fmt::format("is {:g}, but whether a node is in a secret cohort is for its own "
                                "coin to say: an update that comes too late to be counted would "
                                "tell who was faster. Leave it out",
                                round.over_selection));
  }
  if (round.cohort_fraction != 1.0) {
    diagnostics.Add("round.cohort_fraction",
                    fmt::format("is {:g}, but a cohort of a fixed size is no Poisson sample: leave "
                                "it out, and set privacy.sampling.rate to the probability with "
                                "which a node is drawn",
                                round.cohort_fraction));
  }
  if (!diagnostics.IsSound({"round", "secagg", "privacy"})) return;
  const double expected = ExpectedCohort(job);
  const CohortBounds bounds = SecretCohortBounds(job);
  if (expected >= static_cast<double>(bounds.smallest)) return;
  diagnostics.Add(
      "privacy.sampling.rate",
      fmt::format(
          "{:g} draws {:g} of {} nodes on average, but a cohort of fewer than {} is skipped "
          "and paid for (round.quorum, secagg.min_survivors, secagg.dropout_tolerance): "
          "most rounds would learn nothing. Raise it, or lower those",
          job.privacy.sampling.rate, expected, round.nodes, bounds.smallest));
}

void CheckAdaptiveClip(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const PrivacyConfig& privacy = job.privacy;
  if (!privacy.adaptive_clip.has_value()) return;
  if (privacy.unit != PrivacyUnit::kClient) {
    diagnostics.Add("privacy.adaptive_clip",
                    "follows the norms of whole updates: it is for unit client. Leave it out, or "
                    "set privacy.unit to client");
    return;
  }
  if (privacy.adaptive_clip->initial <= privacy.clip_norm) return;
  diagnostics.Add("privacy.adaptive_clip.initial",
                  fmt::format("must be at most privacy.clip_norm {:g}, which the clip never "
                              "exceeds, got {:g}",
                              privacy.clip_norm, privacy.adaptive_clip->initial));
}

void CheckRest(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  if (!job.privacy.epsilon && !job.privacy.noise_multiplier) {
    diagnostics.Add("privacy.epsilon",
                    "is missing: give epsilon, or noise_multiplier, from which it follows");
  }
  if (job.evaluation.on_nodes) {
    diagnostics.Add("evaluation.on_nodes",
                    "is true, but metrics of the nodes' data are not in the privacy budget: set it "
                    "to false; the coordinator's own test set is not affected");
  }
  if (job.strategy.name == StrategyName::kFedProx) {
    diagnostics.Add("strategy.name", "fedprox changes local steps, which privacy prescribes");
  }
  if (job.training.local_epochs == 0 && !IsGradientRound(job.privacy)) {
    diagnostics.Add("training.local_epochs",
                    "is 0, so nothing would be learned from the data, and its budget charged all "
                    "the same: set it to 1 or more, or privacy.enabled to false");
  }
}

}  // namespace

int64_t UnitCount(const JobConfig& job) {
  return job.privacy.unit == PrivacyUnit::kRecord ? job.privacy.records : job.round.nodes;
}

int64_t NoisySurvivors(const JobConfig& job) {
  if (job.privacy.placement != NoisePlacement::kDistributed) return 1;
  return std::max<int64_t>(job.secagg.min_survivors - job.secagg.colluders, 1);
}

double ClipBitNoise(const JobConfig& job) {
  return job.privacy.adaptive_clip->bit_noise.value_or(ExpectedCohort(job) / 20);
}

double UpdateNoiseMultiplier(const JobConfig& job) {
  const double z = *job.privacy.noise_multiplier;
  if (!job.privacy.adaptive_clip.has_value()) return z;
  const double bits = 2 * ClipBitNoise(job);
  return z < bits ? 1 / std::sqrt(1 / (z * z) - 1 / (bits * bits)) : HUGE_VAL;
}

bool HasSecretCohorts(const JobConfig& job) {
  return job.privacy.enabled && job.privacy.observer == PrivacyObserver::kPublic;
}

double ExpectedCohort(const JobConfig& job) {
  if (!HasSecretCohorts(job)) return static_cast<double>(CohortSize(job.round));
  return job.privacy.sampling.rate * static_cast<double>(job.round.nodes);
}

CohortBounds SecretCohortBounds(const JobConfig& job) {
  const int64_t nodes = job.round.nodes;
  CohortBounds bounds{.smallest = job.round.quorum, .largest = nodes};
  if (job.secagg.enabled) {
    bounds.smallest = std::max(SmallestSession(job.round, job.secagg, nodes),
                               job.secagg.colluders + kHonestNodesMin);
  }
  if (job.privacy.placement == NoisePlacement::kDistributed) {
    const double expected = ExpectedCohort(job);
    const double deviation = std::sqrt(expected * (1 - job.privacy.sampling.rate));
    const auto usual = static_cast<int64_t>(std::ceil(expected + kCohortDeviations * deviation));
    bounds.largest = std::clamp(usual, std::min(bounds.smallest, nodes), nodes);
  }
  return bounds;
}

int64_t StepsPerRound(const JobConfig& job) {
  if (job.privacy.placement != NoisePlacement::kAgent) return 1;
  const double epochs = static_cast<double>(job.training.local_epochs);
  return std::max<int64_t>(std::llround(epochs / job.privacy.sampling.rate), 1);
}

void CheckPrivacyRules(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  if (!job.privacy.enabled) return;
  if (diagnostics.IsSound({"privacy.delta", "privacy.records", "round.nodes"})) {
    CheckUnits(job, diagnostics);
  }
  if (diagnostics.IsSound({"privacy.placement", "privacy.unit", "secagg"})) {
    CheckPlacement(job, diagnostics);
  }
  if (diagnostics.IsSound({"privacy.sampling", "privacy.unit"})) CheckSampling(job, diagnostics);
  if (diagnostics.IsSound({"privacy.adaptive_clip", "privacy.unit", "privacy.clip_norm"})) {
    CheckAdaptiveClip(job, diagnostics);
  }
  if (HasSecretCohorts(job) && diagnostics.IsSound({"privacy.observer", "privacy.unit"})) {
    CheckSecretCohorts(job, diagnostics);
  }
  if (diagnostics.IsSound({"privacy.epsilon", "privacy.noise_multiplier"})) {
    CheckRest(job, diagnostics);
  }
}

}  // namespace skerry
