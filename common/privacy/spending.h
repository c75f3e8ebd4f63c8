// What was released of a site's data, added up: for each data set and node, and for each run which
// rounds and attempts. Memory only; ledger.h keeps it on disk.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/strong_id.h"
#include "common/config/job_config.h"
#include "common/privacy/privacy_event.h"

namespace skerry {

// One release in a run.
struct ReleaseKey {
  RoundId round;
  AttemptId attempt;
  auto operator<=>(const ReleaseKey&) const = default;
};

// One node's part in one attempt at a round. The node may release it once.
struct Charge {
  std::string data_id{};
  NodeId node{};
  RunId run{};
  ReleaseKey release{};
  PrivacyUnit unit = PrivacyUnit::kRecord;
  PrivacyEvent event{};  // all noisy steps of the release
};

struct SpentEvent {
  PrivacyUnit unit = PrivacyUnit::kRecord;
  PrivacyEvent event{};
};

// Whether both differ in their number of steps at most.
bool IsSameMechanism(const SpentEvent& a, const SpentEvent& b);

// The events as an accountant takes them, all under one relation. Differing relations, or units,
// are accounted under replace_one, which is the stronger relation, and whose unit is a record: a
// record that changes replaces what its node contributed.
std::vector<PrivacyEvent> UnderOneRelation(const std::vector<SpentEvent>& spent);

class Spending {
 public:
  // False, and nothing changes, if the release was charged before.
  bool Add(const Charge& charge);
  bool Has(const Charge& charge) const;

  // Equal mechanisms are one event with the sum of their steps.
  std::vector<SpentEvent> EventsOf(const std::string& data_id, const NodeId& node) const;
  std::vector<SpentEvent> EventsOf(const std::string& data_id, const NodeId& node,
                                   const RunId& run) const;
  // The newest release of the node in a run.
  std::optional<ReleaseKey> NewestOf(const std::string& data_id, const NodeId& node,
                                     const RunId& run) const;
  size_t charge_count() const { return charge_count_; }

 private:
  struct RunSpending {
    std::set<ReleaseKey> releases;
    std::vector<SpentEvent> events;
  };
  using Runs = std::map<RunId, RunSpending>;

  const RunSpending* Find(const std::string& data_id, const NodeId& node, const RunId& run) const;

  std::map<std::pair<std::string, NodeId>, Runs> accounts_;
  size_t charge_count_ = 0;
};

}  // namespace skerry
