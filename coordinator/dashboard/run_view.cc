#include "coordinator/dashboard/run_view.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "common/config/privacy_rules.h"
#include "common/privacy/privacy_plan.h"

namespace skerry {
namespace {

// Parts of a node's way through a round, for the progress bar. Uploads and what follows are short
// beside training, so a bar that stands still at the end of training would look stuck.
constexpr double kTrainedShare = 0.9;
constexpr double kUploadingShare = 0.95;
constexpr size_t kPaceRounds = 5;

// Releases of which the node that was in most cohorts was a part.
int64_t MostReleasesOfANode(const RunHistory& history) {
  std::map<NodeId, int64_t> counts;
  int64_t most = 0;
  const auto count = [&](const NodeId& node) { most = std::max(most, ++counts[node]); };
  for (const BudgetCharged& charge : history.charges) {
    if (charge.is_skipped) continue;
    const uint64_t round = charge.round.value();
    if (round <= history.rounds.size()) {
      for (const auto& one : history.rounds[round - 1].committed.participants) count(one.node);
    } else if (history.open_round.has_value()) {
      for (const NodeId& node : history.open_round->invited) count(node);
    }
  }
  return most;
}

}  // namespace

double RoundProgress(const RunView& view) {
  uint64_t total = 0;
  for (const uint64_t count : view.participation_counts) total += count;
  if (total == 0) return 0;

  double permille_sum = 0;
  double training_listed = 0;
  for (const NodeView& node : view.nodes) {
    if (node.participation != Participation::kTraining) continue;
    permille_sum += std::min(node.permille, 1000u);
    training_listed += 1;
  }
  const double mean_trained =
      training_listed == 0 ? 0 : permille_sum / 1000.0 / training_listed * kTrainedShare;
  const auto count = [&](Participation participation) {
    return static_cast<double>(view.count_of(participation));
  };
  const double done = count(Participation::kAccepted) + count(Participation::kFailed) +
                      count(Participation::kCut) + count(Participation::kSurplus) +
                      count(Participation::kUploading) * kUploadingShare +
                      count(Participation::kTraining) * mean_trained;
  return done / static_cast<double>(total);
}

std::optional<Duration> EstimateTimeLeft(const RunView& view) {
  const uint64_t done = view.rounds.empty() ? 0 : view.rounds.back().round;
  if (view.hides_cohorts || view.rounds.empty() || done >= view.round_count ||
      view.status != RunStatus::kRunning) {
    return std::nullopt;
  }
  const size_t used = std::min(view.rounds.size(), kPaceRounds);
  double seconds = 0;
  for (size_t i = view.rounds.size() - used; i < view.rounds.size(); ++i) {
    seconds += view.rounds[i].seconds;
  }
  const double left =
      seconds / static_cast<double>(used) * static_cast<double>(view.round_count - done) -
      Seconds(view.round_elapsed);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::max(left, 0.0)));
}

std::string HeadlineMetric(const RunView& view) {
  std::set<std::string> present;
  for (const RoundView& round : view.rounds) {
    for (const auto& [name, value] : round.metrics) present.insert(name);
  }
  for (const char* name : {"accuracy", "auc", "f1", "mae"}) {
    if (present.contains(name)) return name;
  }
  return {};
}

std::optional<MetricTrend> TrendOf(const RunView& view, const std::string& metric) {
  std::optional<MetricTrend> trend;
  for (auto round = view.rounds.rbegin(); round != view.rounds.rend(); ++round) {
    const auto found = round->metrics.find(metric);
    if (found == round->metrics.end()) continue;
    if (trend.has_value()) {
      trend->previous = found->second;
      break;
    }
    trend = MetricTrend{found->second, std::nullopt};
  }
  return trend;
}

bool HidesCohorts(const RunHistory& history, Audience audience) {
  return audience != Audience::kInsiders && history.job.has_value() &&
         HasSecretCohorts(*history.job) && !history.job->is_rehearsal;
}

void AddCharge(const BudgetCharged& charge, PrivacyView& privacy) {
  privacy.epsilon_spent = charge.epsilon_spent;
  if (charge.epsilon_insider) privacy.epsilon_insider = charge.epsilon_insider;
  ++privacy.release_count;
  if (charge.is_skipped) {
    ++privacy.skipped_count;
  } else {
    privacy.noise_realised = charge.noise_realised;
  }
  if (charge.clip_norm) privacy.clip_norm = charge.clip_norm;
}

std::optional<PrivacyView> PrivacyViewOf(const RunHistory& history, Audience audience) {
  const bool is_charged =
      history.job.has_value() && history.job->privacy.enabled && !history.job->is_rehearsal;
  if (!is_charged) return std::nullopt;
  const PrivacyConfig& config = history.job->privacy;
  PrivacyView privacy{.epsilon_max = config.epsilon.value_or(0),
                      .delta = config.delta,
                      .noise_planned = config.noise_multiplier.value_or(0)};
  for (const BudgetCharged& charge : history.charges) AddCharge(charge, privacy);
  if (HidesCohorts(history, audience)) {
    privacy.noise_realised.reset();
  } else if (HasSecretCohorts(*history.job)) {
    privacy.epsilon_insider = InsiderEpsilonOf(*history.job, MostReleasesOfANode(history));
  }
  return privacy;
}

bool IsEventOfTheRun(std::string_view kind) {
  return kind == "round skipped" || kind == "job changed" || kind == "evaluation failed";
}

void HideCohorts(RunView& view) {
  view.hides_cohorts = true;
  const bool waits = !view.waiting_for.empty();
  view.waiting_for = waits ? fmt::format("waiting in the phase {}", view.phase) : "";
  view.quorum = 0;
  view.participation_counts.fill(0);
  view.nodes.clear();
  for (RoundView& round : view.rounds) {
    round = {.round = round.round, .metrics = round.metrics, .is_skipped = round.is_skipped};
  }
  std::erase_if(view.events, [](const EventView& event) { return !IsEventOfTheRun(event.kind); });
  for (EventView& event : view.events) {
    event.node.clear();
    if (event.kind == "round skipped") event.detail.clear();
  }
  view.refusals.clear();
  view.bytes_sent = 0;
  view.bytes_received = 0;
  view.bytes_sent_per_s = 0;
  view.bytes_received_per_s = 0;
  view.round_elapsed = {};
  if (view.status == RunStatus::kFailed) {
    view.status_detail = "`skerry-coordinator status RUN_DIR --insider` says why";
  }
  if (view.privacy) view.privacy->noise_realised.reset();
}

RunView ViewOf(const RunHistory& history, Audience audience) {
  RunView view;
  view.job_name = history.info.job_name;
  view.run_id = history.info.run_id.value();
  view.run_dir = history.run_dir;
  view.status = history.status;
  view.status_detail = history.status_detail;
  view.round_count = history.info.rounds_planned;
  view.model_sha256 = history.info.initial_sha256;
  view.privacy = PrivacyViewOf(history, audience);

  std::set<NodeId> nodes;
  for (const RoundHistory& round : history.rounds) {
    RoundView& row = view.rounds.emplace_back();
    row.round = round.committed.round.value();
    row.is_skipped = round.committed.is_skipped;
    row.invited = round.committed.participants.size();
    row.seconds = Seconds(round.traffic.wall);
    row.bytes_sent = round.traffic.bytes_sent;
    row.bytes_received = round.traffic.bytes_received;
    for (const ParticipantRecord& participant : round.committed.participants) {
      nodes.insert(participant.node);
      if (participant.participation == Participation::kAccepted) ++row.accepted;
    }
    const auto evaluation = history.evaluations.find(row.round);
    if (evaluation != history.evaluations.end()) row.metrics = evaluation->second.metrics;
    view.bytes_sent += row.bytes_sent;
    view.bytes_received += row.bytes_received;
    view.elapsed += round.traffic.wall;
    view.round = row.round;
    view.model_sha256 = round.committed.model_sha256;
  }
  if (history.open_round.has_value()) {
    view.round = history.open_round->round.value();
    nodes.insert(history.open_round->invited.begin(), history.open_round->invited.end());
    if (audience == Audience::kInsiders) {
      for (const NodeId& node : history.open_round->invited) {
        view.nodes.push_back({.node = node.value(), .note = ""});
      }
    }
  }
  view.node_count = nodes.size();
  for (const TimedEvent& timed : history.events) {
    view.events.push_back(
        {timed.event.round.value(), timed.event.kind, timed.event.node, timed.event.detail});
  }
  if (HidesCohorts(history, audience)) {
    view.node_count = static_cast<uint64_t>(history.job->round.nodes);
    HideCohorts(view);
  }
  return view;
}

}  // namespace skerry
