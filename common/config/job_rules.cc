#include "common/config/job_rules.h"

#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "common/config/config_words.h"
#include "common/config/data_section.h"
#include "common/config/model_shapes.h"
#include "common/config/privacy_rules.h"
#include "common/config/secagg_rules.h"

namespace skerry {
namespace {

constexpr int64_t kImageValues = 28 * 28;

void CheckRound(const RoundConfig& round, ConfigDiagnostics& diagnostics) {
  if (!diagnostics.IsSound({"round.nodes", "round.cohort_fraction"})) return;
  const int64_t cohort = CohortSize(round);
  if (diagnostics.IsSound({"round.quorum"}) && round.quorum > cohort) {
    diagnostics.Add("round.quorum",
                    fmt::format("must be at most {}, the cohort (cohort_fraction {} of {} nodes), "
                                "got {}",
                                cohort, round.cohort_fraction, round.nodes, round.quorum));
  }
  const double wanted = static_cast<double>(cohort) * round.over_selection;
  if (diagnostics.IsSound({"round.over_selection"}) &&
      wanted > static_cast<double>(round.nodes) + 1e-9) {
    diagnostics.Add("round.over_selection",
                    fmt::format("{} invites {} times a cohort of {}, more than the {} nodes there "
                                "are: lower it or round.cohort_fraction",
                                round.over_selection, round.over_selection, cohort, round.nodes));
  }
}

std::string Text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void CheckModelInput(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  if (!diagnostics.IsSound({"model.name", "model.layers", "model.input", "data.dataset"})) return;
  const bool is_built_in = job.model.name != ModelName::kLayers;
  const std::string_view dataset = WordFor(job.data.dataset, kDatasetWords);
  if (is_built_in && job.data.dataset == DatasetKind::kCsv) {
    diagnostics.Add("model.name",
                    fmt::format("{} takes images of 1 x 28 x 28, but data.dataset is {}: list "
                                "model.layers",
                                WordFor(job.model.name, kModelWords), dataset));
  }
  const bool is_mnist =
      job.data.dataset == DatasetKind::kFashionMnist || job.data.dataset == DatasetKind::kMnist;
  const int64_t values = std::accumulate(job.model.input.begin(), job.model.input.end(), int64_t{1},
                                         std::multiplies<>());
  if (!is_built_in && is_mnist && values != kImageValues) {
    diagnostics.Add("model.input",
                    fmt::format("must hold the {} values of a 1 x 28 x 28 image of data.dataset "
                                "{}, got {}",
                                kImageValues, dataset, Text(job.model.input)));
  }
}

// What the loss needs of the model's output; empty if it has it.
std::string LossObjection(const JobConfig& job, const std::vector<int64_t>& output) {
  const bool is_vector = output.size() == 1;
  switch (job.training.loss) {
    case LossName::kCrossEntropy:
      if (is_vector && output[0] >= 2) return "";
      return fmt::format(
          "needs a model whose output is one value for each of two or more classes, "
          "got {}",
          Text(output));
    case LossName::kBce:
    case LossName::kMse:
      if (job.model.name != ModelName::kLayers) {
        return fmt::format("needs model.layers with one output, {} has 10 classes",
                           WordFor(job.model.name, kModelWords));
      }
      if (is_vector && output[0] == 1) return "";
      return fmt::format("needs a model with the output [1], got {}", Text(output));
  }
  return "";
}

void CheckModel(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  if (!diagnostics.IsSound({"model"})) return;
  if (job.model.name == ModelName::kLayers && job.model.layers.empty()) {
    diagnostics.Add("model.layers", "must list at least one layer");
    return;
  }
  const ModelShapes shapes = InferShapes(job.model, diagnostics);
  if (!diagnostics.IsSound({"model", "training.loss"})) return;
  if (shapes.parameter_count == 0) {
    diagnostics.Add("model.layers", "must hold a layer with parameters");
  }
  const std::string objection = LossObjection(job, shapes.output);
  if (!objection.empty()) {
    diagnostics.Add("training.loss",
                    fmt::format("{} {}", WordFor(job.training.loss, kLossWords), objection));
  }
}

// Whether secure aggregation can be done among so many nodes at all.
bool CheckSessionSize(int64_t invited, ConfigDiagnostics& diagnostics) {
  if (invited > kSessionNodesMax) {
    diagnostics.Add("secagg.enabled",
                    fmt::format("is true, but a round invites {} nodes and a sum is masked among "
                                "at most {}: lower round.nodes, round.cohort_fraction or "
                                "round.over_selection",
                                invited, kSessionNodesMax));
    return false;
  }
  if (invited < kSessionNodesMin) {
    diagnostics.Add("secagg.enabled",
                    fmt::format("is true, but a round invites {} of the at least {} nodes it "
                                "takes, or one could subtract its own update from the sum: raise "
                                "round.nodes or round.cohort_fraction",
                                invited, kSessionNodesMin));
    return false;
  }
  return true;
}

// Whether the sum can be opened, with the nodes lost that the job says it can lose.
void CheckThreshold(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const int64_t cohort = CohortSize(job.round);
  const int64_t invited = InvitedCount(job.round);
  const SecAggConfig& secagg = job.secagg;
  // With one honest node only, the others know the rest of the sum.
  if (secagg.colluders > invited - 2) {
    diagnostics.Add("secagg.colluders",
                    fmt::format("must be at most {}, so that two of the {} nodes of a round are "
                                "honest, got {}: lower it or raise round.nodes or "
                                "round.cohort_fraction",
                                invited - 2, invited, secagg.colluders));
    return;
  }
  const int64_t threshold = SessionThreshold(invited, secagg.colluders);
  if (threshold > cohort) {
    diagnostics.Add("secagg.colluders",
                    fmt::format("{} of {} nodes make {} necessary to open the sum, more than the "
                                "cohort of {}: lower it or round.over_selection",
                                secagg.colluders, invited, threshold, cohort));
    return;
  }
  if (!diagnostics.IsSound({"secagg.dropout_tolerance"})) return;
  if (cohort - threshold < secagg.dropout_tolerance) {
    diagnostics.Add(
        "secagg.dropout_tolerance",
        fmt::format("is {}, but {} of {} nodes are necessary to open the sum (colluders "
                    "{}), so only {} may leave: lower it or secagg.colluders, or raise "
                    "round.nodes or round.cohort_fraction",
                    secagg.dropout_tolerance, threshold, cohort, secagg.colluders,
                    cohort - threshold));
    return;
  }
  const SessionShape shape = ShapeOfSession(secagg, invited);
  if (shape.survivors_min > cohort && !shape.is_complete) {
    diagnostics.Add(
        "secagg.dropout_tolerance",
        fmt::format(
            "is {}, but round.over_selection leaves {} of {} nodes over, and a sparse graph "
            "counts them among those that leave: raise it to {} or lower "
            "round.over_selection",
            secagg.dropout_tolerance, invited - cohort, invited, invited - cohort));
  }
}

void CheckSecAgg(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  const SecAggConfig& secagg = job.secagg;
  if (!secagg.enabled) return;
  if (diagnostics.IsSound({"secagg.ring_bits"}) && secagg.ring_bits != kRingBits) {
    diagnostics.Add("secagg.ring_bits",
                    fmt::format("must be {}, the width in which this build sums, got {}", kRingBits,
                                secagg.ring_bits));
  }
  if (!diagnostics.IsSound({"round.nodes", "round.cohort_fraction"})) return;
  const int64_t cohort = CohortSize(job.round);
  if (diagnostics.IsSound({"secagg.min_survivors"}) && secagg.min_survivors > cohort) {
    diagnostics.Add(
        "secagg.min_survivors",
        fmt::format("must be at most {}, the cohort (cohort_fraction {} of {} nodes), "
                    "got {}",
                    cohort, job.round.cohort_fraction, job.round.nodes, secagg.min_survivors));
  }
  if (!diagnostics.IsSound({"round.over_selection"})) return;
  if (!CheckSessionSize(InvitedCount(job.round), diagnostics)) return;
  if (diagnostics.IsSound({"secagg.colluders"})) CheckThreshold(job, diagnostics);
}

}  // namespace

void CheckJobRules(const JobConfig& job, ConfigDiagnostics& diagnostics) {
  CheckRound(job.round, diagnostics);
  CheckData(job.data, "data", diagnostics);
  CheckModelInput(job, diagnostics);
  CheckModel(job, diagnostics);
  CheckSecAgg(job, diagnostics);
  CheckPrivacyRules(job, diagnostics);
}

}  // namespace skerry
