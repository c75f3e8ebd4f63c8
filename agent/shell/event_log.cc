#include "agent/shell/event_log.h"

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/protocol/codec.h"

namespace skerry {
namespace {

std::string Reason(const SessionEvent& event) {
  std::string text = protocol::Describe(event.reason);
  if (!event.detail.empty()) text += ": " + event.detail;
  return text;
}

}  // namespace

void EventLog::Info(const std::string& text) const {
  if (!is_quiet_) LogInfo(text);
}

void EventLog::LinkDown(const std::string& reason) {
  if (reason == last_link_down_) return;
  last_link_down_ = reason;
  LogWarning(fmt::format("no link to the coordinator: {}; trying again", reason));
}

void EventLog::Event(const SessionEvent& event) {
  const std::string& node = event.node.value();
  const uint64_t round = event.round.value();
  switch (event.kind) {
    case SessionEventKind::kJobAccepted:
      last_link_down_.clear();
      Info(fmt::format("joined run {}", event.detail));
      return;
    case SessionEventKind::kJobRefused:
      LogError(fmt::format("this site refuses the job: {}", event.detail));
      return;
    case SessionEventKind::kNodeJoined:
      LogDebug(fmt::format("{} joined", node));
      return;
    case SessionEventKind::kNodeRefused:
      LogError(fmt::format("the coordinator refuses {}: {}", node, Reason(event)));
      return;
    case SessionEventKind::kTurnedAway:
      LogError(fmt::format("turned away by the coordinator: {}", Reason(event)));
      return;
    case SessionEventKind::kRoundBegun:
      Info(fmt::format("round {}: {} of our nodes train", round, event.count));
      return;
    case SessionEventKind::kBudgetShort:
      LogWarning(fmt::format("{} (and nodes with its history) will stop after {} more updates: {}",
                             node, event.count, event.detail));
      return;
    case SessionEventKind::kNodeFailed:
      LogError(fmt::format("{} cannot train in {}: {}", node,
                           round == 0 ? "this job" : fmt::format("round {}", round),
                           Reason(event)));
      return;
    case SessionEventKind::kNodeTrained:
      // Private training computes no loss: it would be a second, unprotected look at the data.
      Info(fmt::format("round {}: {} trained{}", round, node,
                       event.value == 0 ? "" : fmt::format(", loss {:.4f}", event.value)));
      return;
    case SessionEventKind::kUploadAccepted:
      LogDebug(fmt::format("round {}: update of {} accepted", round, node));
      return;
    case SessionEventKind::kUploadRefused:
      LogWarning(fmt::format("round {}: update of {} refused: {}", round, node, Reason(event)));
      return;
    case SessionEventKind::kRoundEnded:
      LogDebug(fmt::format("round {} {}", round, event.count == 1 ? "committed" : "given up"));
      return;
    case SessionEventKind::kJobEnded:
      if (event.count == 1) {
        Info("the job is complete");
      } else {
        LogWarning(fmt::format("the job has ended: {}", event.detail));
      }
      return;
    case SessionEventKind::kMessageIgnored:
      LogDebug(fmt::format("ignored: {}", event.detail));
      return;
  }
}

}  // namespace skerry
