#include "coordinator/shell/run_display.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/protocol/codec.h"
#include "coordinator/dashboard/status_file.h"

namespace skerry {
namespace {

constexpr Duration kDrawInterval = std::chrono::milliseconds(250);
constexpr Duration kStatusInterval = std::chrono::seconds(1);
// Shown one by one; the counts tell of the others.
constexpr size_t kNodesShownMax = 64;
constexpr size_t kEventsKeptMax = 200;

RoundView ViewOf(const RoundCommitted& committed, const std::optional<RoundTraffic>& traffic) {
  RoundView round;
  round.round = committed.round.value();
  round.is_skipped = committed.is_skipped;
  round.invited = committed.participants.size();
  for (const ParticipantRecord& participant : committed.participants) {
    if (participant.participation == Participation::kAccepted) ++round.accepted;
  }
  if (traffic.has_value()) {
    round.seconds = Seconds(traffic->wall);
    round.bytes_sent = traffic->bytes_sent;
    round.bytes_received = traffic->bytes_received;
  }
  return round;
}

}  // namespace

RunDisplay::RunDisplay(const RunHistory& history, std::unique_ptr<TerminalView> terminal)
    : view_(skerry::ViewOf(history)), terminal_(std::move(terminal)) {
  view_.status = RunStatus::kRunning;
  view_.status_detail.clear();
  for (const RoundView& round : view_.rounds) {
    bytes_sent_committed_ += round.bytes_sent;
    bytes_received_committed_ += round.bytes_received;
  }
}

void RunDisplay::Show(std::span<const Record> records, const std::optional<RoundTraffic>& traffic) {
  for (const Record& record : records) {
    if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
      view_.rounds.push_back(ViewOf(*committed, traffic));
      bytes_sent_committed_ += view_.rounds.back().bytes_sent;
      bytes_received_committed_ += view_.rounds.back().bytes_received;
    } else if (const auto* evaluation = std::get_if<EvaluationRecorded>(&record)) {
      for (RoundView& round : view_.rounds) {
        if (round.round == evaluation->version.value()) round.metrics = evaluation->metrics;
      }
    } else if (const auto* event = std::get_if<EventRecorded>(&record)) {
      view_.events.push_back({event->round.value(), event->kind, event->node, event->detail});
      if (view_.events.size() > 2 * kEventsKeptMax) {
        view_.events.erase(view_.events.begin(), view_.events.end() - kEventsKeptMax);
        view_.events_dropped += kEventsKeptMax + 1;
      }
    } else if (const auto* charge = std::get_if<BudgetCharged>(&record)) {
      if (view_.privacy) AddCharge(*charge, *view_.privacy);
    } else if (const auto* ended = std::get_if<RunEnded>(&record)) {
      view_.status = ended->status;
      view_.status_detail = ended->detail;
    }
  }
}

void RunDisplay::Update(const RoundMachine& machine, const Membership& membership,
                        const RoundTraffic& under_way, Instant now) {
  if (started_at_.has_value() && now - drawn_at_ < kDrawInterval) return;
  drawn_at_ = now;
  Fill(machine, membership, under_way, now);
  if (terminal_ != nullptr) terminal_->Update(view_);
  if (now - status_written_at_ < kStatusInterval) return;
  status_written_at_ = now;
  if (const absl::Status status = WriteStatusFile(view_.run_dir, view_); !status.ok()) {
    LogWarning(std::string(status.message()));
  }
}

void RunDisplay::Finish(const RoundMachine& machine, const Membership& membership,
                        const RoundTraffic& under_way, Instant now) {
  Fill(machine, membership, under_way, now);
  if (terminal_ != nullptr) terminal_->Update(view_);
  terminal_.reset();
  if (view_.refusals.empty()) return;
  std::string text;
  for (const auto& [reason, count] : view_.refusals) {
    text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", count, reason);
  }
  LogInfo("refused in all: " + text);
}

void RunDisplay::Fill(const RoundMachine& machine, const Membership& membership,
                      const RoundTraffic& under_way, Instant now) {
  if (!started_at_.has_value()) {
    started_at_ = now;
    measured_at_ = now;
  }
  const RoundData& data = machine.data();
  view_.round = data.round.value();
  view_.round_count = RoundCount(data.policy);
  view_.phase = std::string(machine.phase_name());
  view_.waiting_for = machine.WaitingFor(now);
  view_.node_count = data.roster.size();
  view_.node_connected_count = membership.node_count();
  view_.quorum = data.quorum;
  for (size_t i = 0; i < kParticipationCount; ++i) view_.participation_counts[i] = data.counts[i];
  view_.nodes.clear();
  for (const auto& [node, participant] : data.participants) {
    if (view_.nodes.size() == kNodesShownMax) break;
    view_.nodes.push_back(
        {node.value(), participant.participation, participant.permille, participant.reason});
  }
  view_.refusals.clear();
  for (const auto* rejects : {&membership.rejects(), &data.rejects}) {
    for (const auto& [reason, count] : *rejects) {
      view_.refusals[protocol::Describe(reason)] += count;
    }
  }
  view_.bytes_sent = bytes_sent_committed_ + under_way.bytes_sent;
  view_.bytes_received = bytes_received_committed_ + under_way.bytes_received;
  if (const double seconds = Seconds(now - measured_at_); seconds >= 1.0) {
    view_.bytes_sent_per_s = static_cast<double>(view_.bytes_sent - sent_measured_) / seconds;
    view_.bytes_received_per_s =
        static_cast<double>(view_.bytes_received - received_measured_) / seconds;
    measured_at_ = now;
    sent_measured_ = view_.bytes_sent;
    received_measured_ = view_.bytes_received;
  }
  view_.elapsed = now - *started_at_;
  view_.round_elapsed = now - data.round_started_at;
  view_.model_sha256 = data.model_sha256;
  if (data.policy.secret_cohorts != nullptr) HideCohorts(view_);
}

}  // namespace skerry
