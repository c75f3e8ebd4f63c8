#include "coordinator/dashboard/run_view.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace skerry {
namespace {

// Parts of a node's way through a round, for the progress bar. Uploads and what follows are short
// beside training, so a bar that stands still at the end of training would look stuck.
constexpr double kTrainedShare = 0.9;
constexpr double kUploadingShare = 0.95;
constexpr size_t kPaceRounds = 5;

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
  if (view.rounds.empty() || done >= view.round_count || view.status != RunStatus::kRunning) {
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

RunView ViewOf(const RunHistory& history) {
  RunView view;
  view.job_name = history.info.job_name;
  view.run_id = history.info.run_id.value();
  view.run_dir = history.run_dir;
  view.status = history.status;
  view.status_detail = history.status_detail;
  view.round_count = history.info.rounds_planned;
  view.model_sha256 = history.info.initial_sha256;
  if (!history.charges.empty()) view.epsilon_spent = history.charges.back().epsilon_spent;

  std::set<NodeId> nodes;
  for (const RoundHistory& round : history.rounds) {
    RoundView& row = view.rounds.emplace_back();
    row.round = round.committed.round.value();
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
  }
  view.node_count = nodes.size();
  for (const TimedEvent& timed : history.events) {
    view.events.push_back(
        {timed.event.round.value(), timed.event.kind, timed.event.node, timed.event.detail});
  }
  return view;
}

}  // namespace skerry
