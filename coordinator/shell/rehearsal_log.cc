#include "coordinator/shell/rehearsal_log.h"

#include <utility>

namespace skerry {
namespace {

void NoteOnce(std::optional<Instant>& instant, Instant now) {
  if (!instant.has_value()) instant = now;
}

std::optional<double> Between(const std::optional<Instant>& from,
                              const std::optional<Instant>& to) {
  if (!from.has_value() || !to.has_value()) return std::nullopt;
  return Seconds(*to - *from);
}

}  // namespace

void RehearsalLog::Observe(const RoundMachine& machine, Instant now) {
  const RoundData& data = machine.data();
  for (const auto& [node, state] : data.nodes) {
    nodes_[node].has_joined |= state.has_joined;
  }
  for (const auto& [node, participant] : data.participants) {
    Times& times = nodes_[node];
    times.is_in_cohort = true;
    times.has_lost_session |= participant.has_lost_session;
    times.participation = participant.participation;
    times.reason = participant.reason;
    // A small upload comes in one piece, so a step may pass unseen: then it took no time.
    switch (participant.participation) {
      case Participation::kAccepted:
        NoteOnce(times.accepted, now);
        [[fallthrough]];
      case Participation::kUploading:
        NoteOnce(times.uploading, now);
        [[fallthrough]];
      case Participation::kTraining:
        NoteOnce(times.working, now);
        [[fallthrough]];
      case Participation::kTasked:
        NoteOnce(times.tasked, now);
        break;
      case Participation::kInvited:
      case Participation::kFailed:
      case Participation::kCut:
      case Participation::kSurplus:
        break;
    }
  }
}

Rehearsal RehearsalLog::Result(const Roster& roster, std::string failure) const {
  Rehearsal rehearsal;
  rehearsal.failure = std::move(failure);
  for (const RosterNode& node : roster.nodes()) {
    RehearsedNode row;
    row.node = node.id.value();
    row.process = roster.ProcessOf(node).name.value();
    if (const auto found = nodes_.find(node.id); found != nodes_.end()) {
      const Times& times = found->second;
      row.is_in_cohort = times.is_in_cohort;
      row.has_joined = times.has_joined;
      row.has_lost_session = times.has_lost_session;
      row.participation = times.participation;
      row.reason = times.reason;
      row.ready_s = Between(times.tasked, times.working);
      row.work_s = Between(times.working, times.uploading);
      row.upload_s = Between(times.uploading, times.accepted);
    }
    rehearsal.nodes.push_back(std::move(row));
  }
  return rehearsal;
}

}  // namespace skerry
