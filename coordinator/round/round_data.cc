#include "coordinator/round/round_data.h"

#include <utility>

namespace skerry {

NodeState* RoundData::FindNode(const NodeId& node) {
  const auto it = nodes.find(node);
  return it == nodes.end() ? nullptr : &it->second;
}

const NodeState* RoundData::FindNode(const NodeId& node) const {
  const auto it = nodes.find(node);
  return it == nodes.end() ? nullptr : &it->second;
}

Participant* RoundData::FindParticipant(const NodeId& node) {
  const auto it = participants.find(node);
  return it == participants.end() ? nullptr : &it->second;
}

void RoundData::AddParticipant(const NodeId& node, Participant participant) {
  ++counts[static_cast<size_t>(participant.participation)];
  participants.emplace_hint(participants.end(), node, std::move(participant));
}

void RoundData::SetParticipation(Participant& participant, Participation participation) {
  --counts[static_cast<size_t>(participant.participation)];
  ++counts[static_cast<size_t>(participation)];
  participant.participation = participation;
}

void RoundData::ClearParticipants() {
  participants.clear();
  counts.fill(0);
}

}  // namespace skerry
