#include "coordinator/dashboard/privacy_marks.h"

#include "common/config/privacy_rules.h"

namespace skerry {

std::string_view NameOf(Disclosure disclosure) {
  switch (disclosure) {
    case Disclosure::kPrivate:
      return "private";
    case Disclosure::kPublic:
      return "public";
    case Disclosure::kNotPrivate:
      return "not private";
    case Disclosure::kNotShown:
      break;
  }
  return "not shown";
}

std::vector<FigureMark> MarksOf(const JobConfig& job) {
  const bool is_secret = HasSecretCohorts(job);
  const bool is_shared = job.privacy.placement == NoisePlacement::kDistributed;
  // What depends on who was there, which only secret cohorts keep back.
  const auto of_nodes = [&](std::string figure, std::string why) {
    return FigureMark{std::move(figure),
                      is_secret ? Disclosure::kNotShown : Disclosure::kNotPrivate, std::move(why)};
  };
  std::vector<FigureMark> marks = {
      {"model, update norm", Disclosure::kPrivate,
       "follow from the noisy updates, which epsilon is about"},
      {"accuracy, auc, f1, mae, loss", Disclosure::kPublic,
       "the model on the coordinator's own test set, which no node's data is in"},
      {"epsilon, delta, planned noise", Disclosure::kPublic, "follow from the job and the rounds"}};
  if (job.privacy.adaptive_clip.has_value()) {
    marks.push_back({"clip norm", Disclosure::kPrivate,
                     "follows from the nodes' noisy bits, which epsilon is about, too"});
  }
  marks.push_back(
      is_shared && !is_secret
          ? of_nodes("realised noise", "follows from how many nodes survived")
          : FigureMark{"realised noise", Disclosure::kPublic, "the same whoever takes part"});
  marks.push_back(of_nodes("participation, accepted, surplus",
                           "who took part and when is seen by the coordinator as it happens"));
  marks.push_back(of_nodes("failed, cut, reasons, events of nodes",
                           "a node that cannot read its data, or whose numbers are not finite, "
                           "says so"));
  marks.push_back(
      of_nodes("mean time of a node, time of a round", "a node with more data takes longer"));
  marks.push_back(is_secret ? of_nodes("traffic", "grows with the cohort")
                            : FigureMark{"traffic", Disclosure::kPublic,
                                         "all updates have one size, but for nodes that fail"});
  if (is_secret) {
    marks.push_back({"skipped rounds", Disclosure::kPrivate,
                     "tell that a cohort was small, which is part of epsilon"});
  }
  return marks;
}

}  // namespace skerry
