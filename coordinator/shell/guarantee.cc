#include "coordinator/shell/guarantee.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "common/config/privacy_rules.h"
#include "common/config/secagg_rules.h"
#include "common/privacy/privacy_plan.h"

namespace skerry {
namespace {

constexpr size_t kColumns = 100;

std::string SecretCohortsOf(const JobConfig& job, const std::string& promise) {
  const bool is_central = job.privacy.placement == NoisePlacement::kCoordinator;
  const double insider = InsiderEpsilonOf(job, job.round.count);
  return fmt::format(
      "Differential privacy: all that anybody sees of {} rounds who is told models and reports, "
      "and "
      "not who is in a cohort, {}. Each round draws each of {} nodes with the probability {:g}, by "
      "coins that the coordinator keeps secret. {}, the same is ({:.3g}, {:g})-private at most, "
      "for "
      "a node that would be drawn every time.{}",
      job.round.count, promise, job.round.nodes, job.privacy.sampling.rate,
      is_central ? "To those who know the cohorts, but not the sums"
                 : fmt::format("To those who know the cohorts, the coordinator with up to {} {} "
                               "among them",
                               job.secagg.colluders, job.secagg.colluders == 1 ? "node" : "nodes"),
      insider, job.privacy.delta,
      is_central ? fmt::format(" It does not protect from the coordinator, which sees {} without "
                               "noise and is trusted to add it.",
                               job.secagg.enabled ? "each sum of updates" : "each node's update")
                 : "");
}

std::string PrivacyOf(const JobConfig& job) {
  const PrivacyConfig& privacy = job.privacy;
  const bool is_record = privacy.unit == PrivacyUnit::kRecord;
  const bool is_replaced = privacy.adjacency == Adjacency::kReplaceOne;
  const std::string promise = fmt::format(
      "is ({:g}, {:g})-differentially private for each single {}, {} or not", *privacy.epsilon,
      privacy.delta, is_record ? "training record" : "node with all its data",
      is_replaced ? "replaced by another"
      : is_record ? "there"
                  : "taking part");
  if (HasSecretCohorts(job)) return SecretCohortsOf(job, promise);
  if (privacy.placement == NoisePlacement::kAgent) {
    return fmt::format(
        "Differential privacy: all that anybody outside a node, the coordinator included, sees of "
        "{} rounds {}. Each node adds the noise itself, so nobody has to be trusted for it.",
        job.round.count, promise);
  }
  const std::string_view clips = privacy.adaptive_clip ? " and each clip norm" : "";
  if (privacy.placement == NoisePlacement::kCoordinator) {
    return fmt::format(
        "Differential privacy: all that anybody but the coordinator sees of {} rounds, that is "
        "every model of this run{}, {}. It protects from those who see models and not from the "
        "coordinator, which sees {} without noise and is trusted to add it.",
        job.round.count, clips, promise,
        job.secagg.enabled ? "each sum of updates" : "each node's update");
  }
  return fmt::format(
      "Differential privacy: all that the coordinator together with up to {} {} sees of {} rounds, "
      "and so every model of this run{}, {}. No sum is opened without {} updates, whose honest "
      "nodes "
      "have put enough noise on it.",
      job.secagg.colluders, job.secagg.colluders == 1 ? "node" : "nodes", job.round.count, clips,
      promise, job.secagg.min_survivors);
}

std::string SecAggOf(const JobConfig& job) {
  // A coordinator that cheats may begin a session with fewer nodes than the job says, but not with
  // so few that no two of them are honest.
  const int64_t colluders = job.secagg.colluders;
  const int64_t fewest = std::max(kSessionNodesMin, colluders + 2);
  const int64_t updates = std::max(SessionThreshold(fewest, colluders), job.secagg.min_survivors);
  const bool is_sparse = !ShapeOfSession(job.secagg, InvitedCount(job.round)).is_complete;
  const std::string sparse =
      is_sparse ? fmt::format(
                      " With more than {} nodes masks go along a sparse graph: there the "
                      "claim is semi-malicious, that is for a coordinator that cannot "
                      "choose the random ring, which every node helps to draw; it fails "
                      "with probability 2^-{} at most in an attempt.",
                      kCompleteGraphNodesMax, kGraphSecurityBits)
                : "";
  const bool is_noise_trusted =
      job.privacy.enabled && job.privacy.placement == NoisePlacement::kCoordinator;
  const std::string open_sums =
      is_noise_trusted ? "the sum is not private before the coordinator has added the noise, "
      : job.privacy.enabled
          ? ""
          : "the sum and the model are not private in themselves (there is no differential "
            "privacy; "
            "two sums over almost the same nodes, of two rounds or of a round's at most three "
            "attempts, differ by little more than one update), ";
  return fmt::format(
      "Secure aggregation, against a coordinator that breaks the protocol and up to {} {} with "
      "it. They learn the sum of at least {} updates, at least {} of them of honest "
      "nodes (more where a site's policy asks for more){}{}, who took part and when. Of a single "
      "update they learn nothing else, if each site's own roster is right.{} "
      "Data itself never leaves a node. Not promised: {}a malicious node can poison the sum or "
      "make "
      "a round fail, and a malicious coordinator can hold a round up or announce a wrong model.",
      colluders, colluders == 1 ? "node that conspires" : "nodes that conspire", updates,
      updates - colluders, job.privacy.enabled ? "" : ", the sum of the weights",
      job.evaluation.on_nodes ? " and of the nodes' metrics" : "", sparse, open_sums);
}

std::string WithoutSecAgg(const JobConfig& job) {
  if (job.privacy.enabled && job.privacy.placement == NoisePlacement::kCoordinator) {
    return "There is no secure aggregation.";
  }
  return job.privacy.enabled
             ? "There is no secure aggregation: the coordinator sees each node's noisy update."
             : "None: this job has neither secure aggregation nor differential privacy, and the "
               "coordinator can see every node's update. Data itself never leaves a node.";
}

}  // namespace

std::string GuaranteeOf(const JobConfig& job) {
  const std::string seen = job.secagg.enabled ? SecAggOf(job) : WithoutSecAgg(job);
  return job.privacy.enabled ? PrivacyOf(job) + " " + seen : seen;
}

std::string GuaranteeComment(const JobConfig& job) {
  std::istringstream words(GuaranteeOf(job));
  std::string text;
  std::string line = "# guarantee:";
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kColumns) {
      text += line + "\n";
      line = "#  ";
    }
    line += " " + word;
  }
  return text + line + "\n";
}

}  // namespace skerry
