#include "common/privacy/spending.h"

#include <algorithm>

namespace skerry {
namespace {

void Merge(const SpentEvent& spent, std::vector<SpentEvent>& events) {
  const auto same = std::find_if(events.begin(), events.end(), [&](const SpentEvent& candidate) {
    return IsSameMechanism(candidate, spent);
  });
  if (same == events.end()) {
    events.push_back(spent);
  } else {
    same->event.steps += spent.event.steps;
  }
}

}  // namespace

bool IsSameMechanism(const SpentEvent& a, const SpentEvent& b) {
  return a.unit == b.unit && a.event.noise_multiplier == b.event.noise_multiplier &&
         a.event.sampling.amplifying_rate() == b.event.sampling.amplifying_rate() &&
         a.event.adjacency == b.event.adjacency;
}

std::vector<PrivacyEvent> UnderOneRelation(const std::vector<SpentEvent>& spent) {
  const bool is_mixed = std::any_of(spent.begin(), spent.end(), [&](const SpentEvent& one) {
    return one.unit != spent.front().unit || one.event.adjacency != spent.front().event.adjacency;
  });
  std::vector<PrivacyEvent> events;
  events.reserve(spent.size());
  for (const SpentEvent& one : spent) {
    events.push_back(one.event);
    if (is_mixed) events.back().adjacency = Adjacency::kReplaceOne;
  }
  return events;
}

bool Spending::Add(const Charge& charge) {
  RunSpending& run = accounts_[{charge.data_id, charge.node}][charge.run];
  if (!run.releases.insert(charge.release).second) return false;
  Merge({.unit = charge.unit, .event = charge.event}, run.events);
  ++charge_count_;
  return true;
}

bool Spending::Has(const Charge& charge) const {
  const RunSpending* run = Find(charge.data_id, charge.node, charge.run);
  return run != nullptr && run->releases.contains(charge.release);
}

std::vector<SpentEvent> Spending::EventsOf(const std::string& data_id, const NodeId& node) const {
  std::vector<SpentEvent> events;
  const auto account = accounts_.find({data_id, node});
  if (account == accounts_.end()) return events;
  for (const auto& [id, run] : account->second) {
    for (const SpentEvent& spent : run.events) Merge(spent, events);
  }
  return events;
}

std::vector<SpentEvent> Spending::EventsOf(const std::string& data_id, const NodeId& node,
                                           const RunId& run) const {
  const RunSpending* found = Find(data_id, node, run);
  return found == nullptr ? std::vector<SpentEvent>() : found->events;
}

std::optional<ReleaseKey> Spending::NewestOf(const std::string& data_id, const NodeId& node,
                                             const RunId& run) const {
  const RunSpending* found = Find(data_id, node, run);
  if (found == nullptr) return std::nullopt;
  return *found->releases.rbegin();
}

const Spending::RunSpending* Spending::Find(const std::string& data_id, const NodeId& node,
                                            const RunId& run) const {
  const auto account = accounts_.find({data_id, node});
  if (account == accounts_.end()) return nullptr;
  const auto found = account->second.find(run);
  return found == account->second.end() ? nullptr : &found->second;
}

}  // namespace skerry
