#include "coordinator/shell/check_command.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "common/config/privacy_rules.h"
#include "common/config/secagg_rules.h"
#include "common/ml/model.h"
#include "common/ml/trainer.h"
#include "common/privacy/privacy_plan.h"
#include "common/privacy/secret_cohorts.h"
#include "common/secagg/job_encoding.h"
#include "coordinator/shell/guarantee.h"

namespace skerry {
namespace {

std::string RoundOf(const JobConfig& job) {
  if (HasSecretCohorts(job)) {
    return fmt::format("{:g} of {} nodes are drawn on average, {} updates are needed at least",
                       ExpectedCohort(job), job.round.nodes, SecretCohortBounds(job).smallest);
  }
  return fmt::format("{} nodes are invited, {} updates complete it, {} are needed",
                     InvitedCount(job.round), CohortSize(job.round),
                     job.secagg.enabled
                         ? UpdatesNeeded(job.round, job.secagg, InvitedCount(job.round))
                         : job.round.quorum);
}

// How many nodes secure aggregation needs; empty without it.
std::string SessionOf(const JobConfig& job) {
  if (!job.secagg.enabled) return "";
  const int64_t nodes = InvitedCount(job.round);
  const int64_t needed = UpdatesNeeded(job.round, job.secagg, nodes);
  const int64_t smallest = SmallestSession(job.round, job.secagg, nodes);
  const SessionShape shape = ShapeOfSession(job.secagg, nodes);
  const std::string graph =
      shape.is_complete ? fmt::format(
                              "t = {} of them open the sum; each shares masks\n"
                              "#   with k = {} others (complete graph)",
                              shape.threshold, shape.degree)
                        : fmt::format(
                              "each shares masks with k = {} others, next\n"
                              "#   to it on a random ring (Harary graph), of which t = {} open its "
                              "secrets; the graph leaks with\n#   a probability of 2^-{} at most",
                              shape.degree, shape.threshold, kGraphSecurityBits);
  return fmt::format(
      "# secagg: n = {} nodes exchange keys, {}.\n"
      "#   {} updates are needed, so {} may drop out. Nodes whose keys are late are left out "
      "while\n"
      "#   {} remain; {} of these are needed then.\n",
      nodes, graph, needed, std::max<int64_t>(nodes - needed, 0), smallest,
      UpdatesNeeded(job.round, job.secagg, smallest));
}

// How cohorts are drawn and what an insider's epsilon is; empty unless they are secret.
std::string SecretCohortNumbers(const JobConfig& job) {
  if (!HasSecretCohorts(job)) return "";
  const CohortBounds bounds = SecretCohortBounds(job);
  const double shown = ShownCoinProbability(job) * static_cast<double>(job.round.count);
  std::string text = fmt::format(
      "#   to somebody who does not see the cohorts; to an insider at most {:.4g}\n"
      "#   cohorts outside {} to {} are skipped and paid for; {:.2g} of the rounds would show a\n"
      "#   node's coin by that, which is counted\n",
      InsiderEpsilonOf(job, job.round.count), bounds.smallest, bounds.largest, shown);
  if (job.privacy.placement == NoisePlacement::kDistributed) {
    text += fmt::format(
        "#   the coordinator fills the noise up to that of {} shares: {:.4g} times a trusted\n"
        "#   curator's, so that no model tells how many nodes were there\n",
        bounds.largest,
        std::sqrt(static_cast<double>(bounds.largest) / static_cast<double>(NoisySurvivors(job))));
  }
  return text;
}

// The noise of a job and what it costs; empty without differential privacy. Sampling noise takes a
// core 50 ns a value, a clipped gradient of the small models 0.1 ms.
std::string PrivacyNumbers(const JobConfig& job, int64_t parameters) {
  const PrivacyConfig& privacy = job.privacy;
  if (!privacy.enabled) return "";
  const bool is_record = privacy.unit == PrivacyUnit::kRecord;
  const int64_t steps = job.round.count * StepsPerRound(job);
  std::string text = fmt::format(
      "# privacy: noise multiplier {:.4g}{}, {} noisy step{}{} in {} rounds give\n"
      "#   epsilon {:.4g} at delta {:g}\n",
      *privacy.noise_multiplier,
      is_record ? fmt::format(", Poisson samples of rate {:g}", privacy.sampling.rate) : "", steps,
      steps == 1 ? "" : "s", HasSecretCohorts(job) ? "" : " of each node", job.round.count,
      *privacy.epsilon, privacy.delta);
  text += SecretCohortNumbers(job);
  if (privacy.placement == NoisePlacement::kDistributed && !HasSecretCohorts(job)) {
    const auto invited = static_cast<double>(InvitedCount(job.round));
    const auto noisy = static_cast<double>(NoisySurvivors(job));
    text += fmt::format(
        "#   each node adds so much noise that {:.0f} honest ones suffice: with all {:.0f} there\n"
        "#   it is {:.4g} times a trusted curator's\n",
        noisy, invited, std::sqrt(invited / noisy));
  }
  if (const auto& clip = privacy.adaptive_clip) {
    text += fmt::format(
        "#   the clip norm begins at {:g} and follows the {:g} quantile of the update norms, up to "
        "{:g};\n#   noise of {:.4g} on the nodes' bits leaves {:.4g} as the updates' multiplier\n",
        clip->initial, clip->target_quantile, privacy.clip_norm, ClipBitNoise(job),
        UpdateNoiseMultiplier(job));
  }
  const bool is_central = privacy.placement == NoisePlacement::kCoordinator;
  if (is_central) {
    text += "#   the coordinator adds it to each sum, 1 time a trusted curator's\n";
  }
  const double samples = static_cast<double>(steps) * static_cast<double>(parameters);
  const double gradients = is_record ? static_cast<double>(steps) * privacy.sampling.rate *
                                           static_cast<double>(privacy.records) /
                                           static_cast<double>(job.round.nodes)
                                     : 0.0;
  const double hours = (samples * 5e-8 + gradients * 1e-4) / 3600;
  text +=
      fmt::format("#   {} draws {:.3g} values of noise{}, about {:.2g} hours of a core{}\n",
                  is_central ? "it" : "a node", samples,
                  is_record ? fmt::format(" and clips {:.3g} gradients", gradients) : "", hours,
                  hours > 1 ? ":\n#   a long time; fewer rounds or a smaller rate shorten it" : "");
  if (!is_record) {
    const double ratio = NoiseToSignal(job, parameters);
    text += fmt::format(
        "#   the mean update's noise is {:.3g} times the clip norm{}\n", ratio,
        ratio > kNoiseToSignalMax
            ? fmt::format(": above {:g} training hardly learns.\n#   {:.0f} nodes a round would do",
                          kNoiseToSignalMax,
                          std::ceil(ratio * ExpectedCohort(job) / kNoiseToSignalMax))
            : "");
  }
  return text;
}

// What the numbers of a job mean, as comments below it: the whole output is still a job file.
absl::StatusOr<std::string> Consequences(const JobConfig& job) {
  SKERRY_ASSIGN_OR_RETURN(const ParameterLayoutPtr layout, LayoutOf(job.model));
  SKERRY_ASSIGN_OR_RETURN(const UpdateEncoding encoding, EncodingOf(job, layout->element_count()));
  SKERRY_RETURN_IF_ERROR(Trainer::Create(job, {}).status());
  const double upload_mb =
      static_cast<double>(encoding.layout().size() * sizeof(RingElement)) / 1e6;
  return fmt::format(
      "# model: {} parameters in {} tensors; a node's upload has {:.3g} MB\n"
      "# round: {}\n"
      "# encoding: updates are rounded to multiples of 2^-{} ({:.2g}) within +-{:g}\n"
      "{}{}",
      layout->element_count(), layout->tensors().size(), upload_mb, RoundOf(job),
      encoding.scale_bits(), 1.0 / static_cast<double>(uint64_t{1} << encoding.scale_bits()),
      job.encoding.range,
      SessionOf(job) + PrivacyNumbers(job, static_cast<int64_t>(layout->element_count())),
      GuaranteeComment(job));
}

}  // namespace

int CheckCommand(const std::string& job_path, const std::vector<std::string>& overrides) {
  absl::StatusOr<JobConfig> job = LoadJob(job_path, overrides);
  if (job.ok()) {
    if (const absl::Status completed = CompletePrivacy(*job); !completed.ok()) job = completed;
  }
  if (!job.ok()) {
    LogError(std::string(job.status().message()));
    return 2;
  }
  const absl::StatusOr<std::string> consequences = Consequences(*job);
  if (!consequences.ok()) {
    LogError(fmt::format("{}: {}", job_path, std::string(consequences.status().message())));
    return 2;
  }
  std::fputs(ResolvedYaml(*job).c_str(), stdout);
  std::fputs(consequences->c_str(), stdout);
  return 0;
}

}  // namespace skerry
