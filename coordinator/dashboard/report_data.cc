#include "coordinator/dashboard/report_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "common/config/config_words.h"
#include "coordinator/dashboard/privacy_marks.h"
#include "coordinator/dashboard/run_view.h"
#include "coordinator/dashboard/text.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

using Json = nlohmann::ordered_json;

// The promise, and how much of the privacy budget was used.
std::string GuaranteeText(const RunHistory& history) {
  if (history.charges.empty()) return history.info.guarantee;
  return fmt::format("{} Spent so far: epsilon {:.4g}, for {} releases.", history.info.guarantee,
                     history.charges.back().epsilon_spent, history.charges.size());
}

Json RunJson(const RunHistory& history, const RunView& view) {
  const RunInfo& info = history.info;
  Json sessions = Json::array();
  for (const SessionHistory& session : history.sessions) {
    sessions.push_back({{"started_unix_ms", session.started_unix_ms},
                        {"software_version", session.software_version}});
  }
  return {{"job_name", info.job_name},
          {"run_id", info.run_id.value()},
          {"status", RunStatusName(history.status)},
          {"status_detail", view.status_detail},
          {"started_unix_ms", info.started_unix_ms},
          {"ended_unix_ms",
           history.ended_unix_ms.has_value() ? Json(*history.ended_unix_ms) : Json(nullptr)},
          {"seed", std::to_string(info.seed)},  // text: JavaScript numbers end at 2^53
          {"guarantee", GuaranteeText(history)},
          {"roster_sha256", info.roster_sha256},
          {"initial_sha256", info.initial_sha256},
          {"model_sha256", history.rounds.empty() ? info.initial_sha256
                                                  : history.rounds.back().committed.model_sha256},
          {"software_version", info.software_version},
          {"rounds_planned", info.rounds_planned},
          {"node_count", view.node_count},
          {"hides_cohorts", view.hides_cohorts},
          {"sessions", std::move(sessions)},
          {"job_yaml", info.job_yaml}};
}

// More rows than this do not fit a page; the page then shows sums by state and the nodes that gave
// most trouble.
constexpr size_t kNodesInMap = 200;
constexpr size_t kNodesInTableOfMany = 50;
constexpr size_t kEventsMax = 2000;
constexpr size_t kReasonsMax = 5000;

// One letter a node and round, so that 200 nodes in 1,000 rounds take 200 KB.
char LetterOf(Participation participation) {
  switch (participation) {
    case Participation::kAccepted:
      return 'A';
    case Participation::kFailed:
      return 'F';
    case Participation::kCut:
      return 'C';
    case Participation::kSurplus:
      return 'S';
    case Participation::kInvited:
    case Participation::kTasked:
    case Participation::kTraining:
    case Participation::kUploading:
      return 'U';  // unfinished
  }
  return 'U';
}

struct NodeTotals {
  uint64_t invited = 0;
  std::map<char, uint64_t> by_letter;
  double finished_seconds = 0;
  uint64_t finished_count = 0;
  std::string last_reason;
  uint64_t trouble() const {
    const auto accepted = by_letter.find('A');
    const auto surplus = by_letter.find('S');
    return invited - (accepted == by_letter.end() ? 0 : accepted->second) -
           (surplus == by_letter.end() ? 0 : surplus->second);
  }
};

struct NodeOrder {
  bool operator()(const NodeId& a, const NodeId& b) const {
    return NaturalLess(a.value(), b.value());
  }
};
using TotalsByNode = std::map<NodeId, NodeTotals, NodeOrder>;

TotalsByNode CountByNode(const RunHistory& history) {
  TotalsByNode totals;
  for (const RoundHistory& round : history.rounds) {
    for (const ParticipantRecord& record : round.committed.participants) {
      NodeTotals& node = totals[record.node];
      ++node.invited;
      ++node.by_letter[LetterOf(record.participation)];
      if (!record.reason.empty()) node.last_reason = record.reason;
      if (record.finished_after.has_value()) {
        node.finished_seconds += Seconds(*record.finished_after);
        ++node.finished_count;
      }
    }
  }
  return totals;
}

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json NumberOrNull(const std::optional<double>& value) {
  return value.has_value() ? Number(*value) : Json(nullptr);
}

// What is promised and spent, and which figures of the page epsilon covers.
Json PrivacyJson(const RunHistory& history, const RunView& view) {
  if (!view.privacy) return nullptr;
  const PrivacyView& privacy = *view.privacy;
  Json marks = Json::array();
  for (const FigureMark& mark : MarksOf(*history.job)) {
    marks.push_back(
        {{"figure", mark.figure}, {"disclosure", NameOf(mark.disclosure)}, {"why", mark.why}});
  }
  const PrivacyConfig& config = history.job->privacy;
  return {{"epsilon_max", Number(privacy.epsilon_max)},
          {"delta", Number(privacy.delta)},
          {"epsilon_spent", Number(privacy.epsilon_spent)},
          {"epsilon_insider", NumberOrNull(privacy.epsilon_insider)},
          {"observer", WordFor(config.observer, kObserverWords)},
          {"unit", WordFor(config.unit, kPrivacyUnitWords)},
          {"placement", WordFor(config.placement, kPlacementWords)},
          {"adjacency", WordFor(config.adjacency, kAdjacencyWords)},
          {"releases", privacy.release_count},
          {"skipped", privacy.skipped_count},
          {"noise_planned", Number(privacy.noise_planned)},
          {"noise_realised", NumberOrNull(privacy.noise_realised)},
          {"clip_norm", NumberOrNull(privacy.clip_norm)},
          {"marks", std::move(marks)}};
}

// Of the round's last attempt.
Json RoundPrivacyJson(const BudgetCharged& charge, bool hides_cohorts) {
  return {
      {"epsilon", Number(charge.epsilon_spent)},
      {"epsilon_insider", NumberOrNull(charge.epsilon_insider)},
      {"noise", hides_cohorts || charge.is_skipped ? Json(nullptr) : Number(charge.noise_realised)},
      {"clip_norm", NumberOrNull(charge.clip_norm)}};
}

// A round as everybody may see it whose cohort is secret.
Json HiddenRoundJson(const RoundHistory& round) {
  return {{"round", round.committed.round.value()},
          {"skipped", round.committed.is_skipped},
          {"update_norm", Number(round.committed.update_norm)},
          {"sha256", round.committed.model_sha256}};
}

Json RoundJson(const RoundHistory& round) {
  const RoundCommitted& committed = round.committed;
  std::map<std::string, uint64_t> counts;
  for (const ParticipantRecord& record : committed.participants) {
    ++counts[std::string(1, LetterOf(record.participation))];
  }
  Json json = {{"round", committed.round.value()},
               {"attempt", committed.attempt.value()},
               {"skipped", committed.is_skipped},
               {"invited", committed.participants.size()},
               {"counts", counts},
               {"wall_s", Seconds(round.traffic.wall)},
               {"sent", round.traffic.bytes_sent},
               {"received", round.traffic.bytes_received},
               {"until_quorum_s", Seconds(committed.timings.until_quorum)},
               {"until_closed_s", Seconds(committed.timings.until_closed)},
               {"committing_s", Seconds(committed.timings.committing)},
               {"committed_unix_ms", round.committed_unix_ms},
               {"weight_sum", Number(committed.weight_sum)},
               {"clamped_sum", Number(committed.clamped_sum)},
               {"update_norm", Number(committed.update_norm)},
               {"sha256", committed.model_sha256}};
  if (committed.node_metrics.has_value() && committed.node_metrics->examples > 0) {
    const NodeMetrics& metrics = *committed.node_metrics;
    json["nodes"] = {{"accuracy", Number(metrics.correct / metrics.examples)},
                     {"loss", Number(metrics.loss_sum / metrics.examples)}};
  }
  return json;
}

Json EvaluationsJson(const RunHistory& history) {
  Json json = Json::array();
  for (const auto& [version, evaluation] : history.evaluations) {
    Json metrics = Json::object();
    for (const auto& [name, value] : evaluation.metrics) metrics[name] = Number(value);
    json.push_back(
        {{"version", version}, {"examples", evaluation.examples}, {"metrics", std::move(metrics)}});
  }
  return json;
}

Json NodesJson(const TotalsByNode& totals) {
  std::vector<std::pair<NodeId, const NodeTotals*>> order;
  for (const auto& [node, counts] : totals) order.emplace_back(node, &counts);
  if (order.size() > kNodesInMap) {
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.second->trouble() > b.second->trouble();
    });
    order.resize(kNodesInTableOfMany);
  }
  Json json = Json::array();
  for (const auto& [node, counts] : order) {
    Json letters = Json::object();
    for (const auto& [letter, count] : counts->by_letter) letters[std::string(1, letter)] = count;
    json.push_back({{"node", node.value()},
                    {"invited", counts->invited},
                    {"counts", std::move(letters)},
                    {"mean_s", counts->finished_count == 0
                                   ? Json(nullptr)
                                   : Json(counts->finished_seconds /
                                          static_cast<double>(counts->finished_count))},
                    {"last_reason", counts->last_reason}});
  }
  return json;
}

// Per round one text with a letter for each node of `totals`, ' ' if it was not invited.
Json ParticipationJson(const RunHistory& history, const TotalsByNode& totals) {
  std::map<NodeId, size_t, NodeOrder> positions;
  for (const auto& [node, counts] : totals) positions.emplace(node, positions.size());
  Json letters = Json::array();
  Json reasons = Json::array();
  for (const RoundHistory& round : history.rounds) {
    std::string row(positions.size(), ' ');
    for (const ParticipantRecord& record : round.committed.participants) {
      const size_t position = positions.at(record.node);
      row[position] = LetterOf(record.participation);
      if (record.participation != Participation::kAccepted && reasons.size() < kReasonsMax) {
        reasons.push_back({round.committed.round.value(), position,
                           ParticipationName(record.participation), record.reason});
      }
    }
    letters.push_back(std::move(row));
  }
  return {{"letters", std::move(letters)}, {"reasons", std::move(reasons)}};
}

// Of a run with secret cohorts those only that are about the run.
std::vector<TimedEvent> EventsOf(const RunHistory& history, bool hides_cohorts) {
  std::vector<TimedEvent> events = history.events;
  if (!hides_cohorts) return events;
  std::erase_if(events, [](const TimedEvent& one) { return !IsEventOfTheRun(one.event.kind); });
  for (TimedEvent& one : events) {
    one.event.node.clear();
    if (one.event.kind == "round skipped") one.event.detail.clear();
  }
  return events;
}

Json EventsJson(const std::vector<TimedEvent>& events) {
  Json json = Json::array();
  const size_t first = events.size() - std::min(events.size(), kEventsMax);
  for (size_t i = first; i < events.size(); ++i) {
    const TimedEvent& timed = events[i];
    json.push_back({{"round", timed.event.round.value()},
                    {"unix_ms", timed.unix_ms},
                    {"kind", timed.event.kind},
                    {"node", timed.event.node},
                    {"detail", timed.event.detail}});
  }
  return json;
}

// '<', '>' and '&' stand only inside JSON's texts, where an escape means the same.
std::string SafeInScript(const std::string& json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    switch (c) {
      case '<':
        safe += "\\u003c";
        break;
      case '>':
        safe += "\\u003e";
        break;
      case '&':
        safe += "\\u0026";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string ReportData(const RunHistory& history) {
  const RunView view = ViewOf(history);
  const bool is_hidden = view.hides_cohorts;
  const TotalsByNode totals = is_hidden ? TotalsByNode() : CountByNode(history);
  const std::vector<TimedEvent> events = EventsOf(history, is_hidden);
  Json json;
  json["run"] = RunJson(history, view);
  json["privacy"] = PrivacyJson(history, view);
  json["evaluations"] = EvaluationsJson(history);
  json["rounds"] = Json::array();
  std::map<RoundId, const BudgetCharged*> charges;
  for (const BudgetCharged& charge : history.charges) charges[charge.round] = &charge;
  for (const RoundHistory& round : history.rounds) {
    Json& row = json["rounds"].emplace_back(is_hidden ? HiddenRoundJson(round) : RoundJson(round));
    const auto charge = charges.find(round.committed.round);
    if (charge != charges.end()) row["privacy"] = RoundPrivacyJson(*charge->second, is_hidden);
  }
  json["nodes"] = NodesJson(totals);
  json["participation"] = totals.size() <= kNodesInMap && !is_hidden
                              ? ParticipationJson(history, totals)
                              : Json(nullptr);
  json["events"] = EventsJson(events);
  json["event_count"] = events.size();
  json["checkpoints"] = Json::array();
  for (const auto& [round, files] : history.checkpoints) {
    json["checkpoints"].push_back(
        {{"round", round.value()}, {"model", files.model}, {"state", files.state}});
  }
  return SafeInScript(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace skerry
