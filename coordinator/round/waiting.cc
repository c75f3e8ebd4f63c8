#include "coordinator/round/waiting.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "coordinator/round/key_exchange.h"

namespace skerry {
namespace {

constexpr size_t kNamedMax = 5;

// Joins the first few descriptions and counts the rest.
class NameList {
 public:
  // Whether the next item is to be described at all.
  bool HasRoom() const { return count_ < kNamedMax; }
  void Add(std::string_view item) {
    if (HasRoom()) text_ += fmt::format("{}{}", count_ == 0 ? "" : ", ", item);
    ++count_;
  }
  std::string Text() const {
    if (count_ == 0) return "nobody";
    if (count_ <= kNamedMax) return text_;
    return fmt::format("{} and {} more", text_, count_ - kNamedMax);
  }

 private:
  std::string text_;
  size_t count_ = 0;
};

std::string InSeconds(Duration duration) {
  return fmt::format("{:.0f} s", std::max(0.0, Seconds(duration)));
}

std::string DescribeState(const RoundData& data, const NodeId& node,
                          const Participant& participant) {
  const NodeState* state = data.FindNode(node);
  if (state == nullptr || !state->peer) return "not connected";
  if (participant.participation != Participation::kTraining) {
    return std::string(ParticipationName(participant.participation));
  }
  return fmt::format("training, {} %", participant.permille / 10);
}

// `is_cutting`: silent nodes will be cut, and when.
std::string Outstanding(const RoundData& data, Instant now, bool is_cutting) {
  const Duration stall = data.policy.round.stall_timeout;
  NameList names;
  for (const auto& [node, participant] : data.participants) {
    if (!participant.is_outstanding()) continue;
    if (!names.HasRoom()) {
      names.Add("");
      continue;
    }
    std::string text = DescribeState(data, node, participant);
    // A node that reports now and then is not silent.
    const Duration silent = now - participant.last_progress;
    if (silent >= std::chrono::seconds(2)) text += ", silent for " + InSeconds(silent);
    if (is_cutting && silent >= stall / 2) text += "; cut in " + InSeconds(stall - silent);
    names.Add(fmt::format("{} ({})", node.value(), text));
  }
  return names.Text();
}

// How long it has lasted, if that is long enough to wonder.
std::string Lasting(Instant since, Instant now) {
  if (now - since < std::chrono::seconds(2)) return "";
  return fmt::format(", for {} so far", InSeconds(now - since));
}

std::string Describe(const Selecting& phase, const RoundData& data, Instant now) {
  const Instant end = phase.since + data.policy.round.wait_timeout;
  if (data.policy.secret_cohorts != nullptr) {
    return fmt::format(
        "waiting for the roster: it has {} nodes, cohorts are drawn from {}{}; gives up in {}",
        data.roster.size(), data.policy.secret_cohorts->nodes, Lasting(phase.since, now),
        InSeconds(end - now));
  }
  return fmt::format(
      "waiting for nodes in the roster: it has {}, a round needs {}{}; gives up in {}",
      data.roster.size(), data.policy.round.quorum, Lasting(phase.since, now),
      InSeconds(end - now));
}

std::string Describe(const Training&, const RoundData& data, Instant now) {
  const Instant end = data.last_progress + data.policy.round.wait_timeout;
  std::string text;
  if (data.secagg && data.secagg->stage() < SecAggServer::Stage::kUpdates) {
    text = fmt::format("{} with {}{}", DescribeKeyExchange(data), Outstanding(data, now, false),
                       Lasting(data.session_stage_since, now));
  } else {
    text = fmt::format("waiting for {} more of {}{}", data.quorum - data.accepted_count(),
                       Outstanding(data, now, false), Lasting(data.round_started_at, now));
  }
  if (end <= now) return text;
  // The exact end is worth a word once it comes near.
  if (end - now < data.policy.round.wait_timeout / 2) {
    return text + fmt::format("; gives up in {}", InSeconds(end - now));
  }
  return text + fmt::format("; gives up after {} without progress",
                            InSeconds(data.policy.round.wait_timeout));
}

std::string Describe(const Collecting&, const RoundData& data, Instant now) {
  return fmt::format("waiting for {}{}; goes on without who is silent for {}",
                     Outstanding(data, now, true), Lasting(*data.quorum_at, now),
                     InSeconds(data.policy.round.stall_timeout));
}

// Survivors that have not answered the present question.
std::string Unanswered(const RoundData& data, Instant now) {
  const SecAggServer& server = *data.secagg;
  const bool is_signing = server.stage() == SecAggServer::Stage::kSignatures;
  NameList names;
  for (const auto& [node, participant] : data.participants) {
    if (!server.IsSurvivor(node)) continue;
    if (is_signing ? server.HasSignature(node) : server.HasUnmaskShares(node)) continue;
    if (!names.HasRoom()) {
      names.Add("");
      continue;
    }
    const NodeState* state = data.FindNode(node);
    std::string_view what = "asked";
    if (participant.has_lost_session) what = "has lost its keys, not waited for";
    if (state == nullptr || !state->peer) what = "not connected";
    names.Add(fmt::format("{} ({})", node.value(), what));
  }
  return names.Text() + Lasting(data.session_stage_since, now);
}

std::string Describe(const Unmasking& phase, const RoundData& data, Instant now) {
  if (!phase.is_sealed) {
    return "waiting for the masked sum to be stored" + Lasting(data.session_stage_since, now);
  }
  const bool is_signing = data.secagg->stage() == SecAggServer::Stage::kSignatures;
  const SessionRoster& roster = data.secagg->roster();
  const size_t holders = roster.graph().HoldersOf(0).size();
  return fmt::format(
      "waiting for survivors to {}: {} of {}, {}{} are needed; missing: {}; stops after {}",
      is_signing ? "sign who they are" : "open the sum",
      is_signing ? data.secagg->signature_count() : data.secagg->answer_count(),
      data.secagg->survivor_count(), roster.threshold(),
      holders == roster.size() ? "" : fmt::format(" of the {} partners of each node", holders),
      Unanswered(data, now), InSeconds(data.policy.round.wait_timeout));
}

std::string Describe(const Committing& phase, const RoundData& data, Instant now) {
  return fmt::format("waiting for the commit of round {}{}", data.round.value(),
                     Lasting(phase.since, now));
}

std::string Describe(const Evaluating&, const RoundData& data, Instant) {
  return fmt::format("waiting for the evaluation of round {}'s model; then the run ends",
                     data.last_committed.value());
}

std::string Describe(const Finished&, const RoundData&, Instant) { return ""; }

}  // namespace

std::string DescribeLost(const RoundData& data) {
  NameList names;
  for (const auto& [node, participant] : data.participants) {
    if (participant.participation == Participation::kFailed ||
        participant.participation == Participation::kCut) {
      names.Add(fmt::format("{} ({})", node.value(), participant.reason));
    }
  }
  return names.Text();
}

std::string DescribeWait(const Phase& phase, const RoundData& data, Instant now) {
  return std::visit([&](const auto& current) { return Describe(current, data, now); }, phase);
}

}  // namespace skerry
