// What a person is shown of a run, as plain data: filled by the coordinator's shell from the round
// machine while it works, or from run.db when it does not. Every display (live view, plain lines,
// closing table, status) is a pure function of it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/round/records.h"
#include "coordinator/store/run_history.h"

namespace skerry {

// One node in the current round.
struct NodeView {
  std::string node;
  Participation participation = Participation::kInvited;
  uint32_t permille = 0;  // of its training
  std::string note;       // a reason, or "left 12 s ago"; may be empty
};

// One committed round.
struct RoundView {
  uint64_t round = 0;
  uint64_t invited = 0;
  uint64_t accepted = 0;
  double seconds = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  std::map<std::string, double> metrics;  // of the model it made; empty if it was not evaluated
};

struct EventView {
  uint64_t round = 0;
  std::string kind;
  std::string node;
  std::string detail;
};

struct RunView {
  std::string job_name;
  std::string run_id;
  std::string run_dir;
  RunStatus status = RunStatus::kRunning;
  std::string status_detail;

  uint64_t round = 0;  // the current one; the last one when the run has ended
  uint64_t round_count = 0;
  std::string phase;        // RoundMachine::phase_name()
  std::string waiting_for;  // RoundMachine::WaitingFor(), "waiting for ..."; empty: does not wait

  uint64_t node_count = 0;  // in the roster
  uint64_t node_connected_count = 0;
  uint64_t quorum = 0;
  std::array<uint64_t, kParticipationCount> participation_counts{};  // of the current round
  std::vector<NodeView> nodes;  // of the current round; may be a part of them

  std::vector<RoundView> rounds;  // committed, oldest first
  std::vector<EventView> events;  // newest last; only the tail is shown
  uint64_t events_dropped = 0;    // older ones that are not in `events` any more

  // Connections, joins and messages that were refused since the coordinator started, by the reason
  // in words.
  std::map<std::string, uint64_t> refusals{};

  uint64_t bytes_sent = 0;  // by the coordinator
  uint64_t bytes_received = 0;
  double bytes_sent_per_s = 0;
  double bytes_received_per_s = 0;
  Duration elapsed{};
  Duration round_elapsed{};
  std::string model_sha256;             // of the newest model
  std::optional<double> epsilon_spent;  // of the privacy budget; absent without charges

  uint64_t count_of(Participation participation) const {
    return participation_counts[static_cast<size_t>(participation)];
  }
};

// How much of the current round is done, 0 to 1: training counts for most of a node's part.
double RoundProgress(const RunView& view);

// The rounds to come at the pace of the last five; empty before the first commit and after the end.
std::optional<Duration> EstimateTimeLeft(const RunView& view);

// The metric that names a model's quality, best known first: accuracy, auc, f1, mae. Empty if the
// run has only a loss.
std::string HeadlineMetric(const RunView& view);

// The newest value of a metric and the one before it.
struct MetricTrend {
  double newest = 0;
  std::optional<double> previous;
};
std::optional<MetricTrend> TrendOf(const RunView& view, const std::string& metric);

// A run that nobody works on, as run.db has it.
RunView ViewOf(const RunHistory& history);

}  // namespace skerry
