// What a person is shown of a run, as plain data: filled by the coordinator's shell from the round
// machine while it works, or from run.db when it does not. Every display (live view, plain lines,
// closing table, status) is a pure function of it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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
  bool is_skipped = false;                // a secret cohort of which no sum could be made
};

// What a run with differential privacy promises and has spent.
struct PrivacyView {
  double epsilon_max = 0;  // the job's budget
  double delta = 0;
  double epsilon_spent = 0;  // an upper bound, for the job's observer
  // Secret cohorts: of somebody who sees them. At most, as if one node had been in each, unless the
  // view is for insiders: then of the node that was in most.
  std::optional<double> epsilon_insider{};
  uint64_t release_count = 0;  // charged
  uint64_t skipped_count = 0;  // of these, rounds that were skipped
  double noise_planned = 0;    // noise multiplier with as few honest survivors as may be
  std::optional<double> noise_realised{};  // with those that the newest release had
  std::optional<double> clip_norm{};       // of the newest release, if the job's is adaptive
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
  std::string model_sha256;              // of the newest model
  std::optional<PrivacyView> privacy{};  // of a run with differential privacy

  // Cohorts are secret and this view is for others than insiders: nodes, counts, traffic and the
  // time of a round are absent (HideCohorts).
  bool hides_cohorts = false;

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

// Who looks at a run whose cohorts are secret. Of other runs everybody sees the same.
enum class Audience {
  kEverybody,
  kInsiders,  // may know who was in a cohort, and so has the insider's epsilon
};

// Whether `history` must be shown to `audience` without its cohorts.
bool HidesCohorts(const RunHistory& history, Audience audience);

// A run that nobody works on, as run.db has it.
RunView ViewOf(const RunHistory& history, Audience audience = Audience::kEverybody);

// None without differential privacy.
std::optional<PrivacyView> PrivacyViewOf(const RunHistory& history, Audience audience);
void AddCharge(const BudgetCharged& charge, PrivacyView& privacy);

// Takes out of a view with secret cohorts what tells, or depends on, who is in one. Of the events
// those stay that are about the run.
void HideCohorts(RunView& view);
bool IsEventOfTheRun(std::string_view kind);

}  // namespace skerry
