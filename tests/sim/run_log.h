// What a simulated run leaves behind: what was made durable, and what the simulation saw that no
// rule allows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/secagg/ring.h"
#include "coordinator/round/records.h"

namespace skerry {

struct RunLog {
  // ---- durable: outlives the coordinator's process ---------------------------------------------
  RestoredRun standing;  // what a restart is told
  std::map<RoundId, RoundStarted> started;
  std::vector<RoundCommitted> committed;
  std::map<ModelVersion, SharedModel> models;  // checkpoint files
  std::optional<RunEnded> ended;
  std::vector<RingElement> sealed_sum;  // of the open round's session, masked
  std::vector<BudgetCharged> charges;   // the coordinator's privacy ledger

  // ---- durable: outlives the agents' processes --------------------------------------------------
  std::set<std::tuple<NodeId, RoundId, AttemptId>> site_charges;  // the sites' privacy ledgers

  // ---- seen -------------------------------------------------------------------------------------
  // Finished trainings by node, round, attempt and incarnation of the process.
  std::map<std::tuple<NodeId, RoundId, AttemptId, int>, int> trainings;
  // Offers by node, round and attempt: the bytes that were offered, by their id.
  std::map<std::tuple<NodeId, RoundId, AttemptId>, std::set<uint64_t>> offers;
  int charges_lost = 0;  // paid for, and the process crashed before anything could leave
  int coordinator_crashes = 0;
  int sessions_continued = 0;  // by a restarted coordinator
  int attempts_given_up = 0;
  int dropped_members = 0;  // gave shares but no update
  int agent_crashes = 0;
  int links_broken = 0;
  std::vector<std::string> violations;
};

}  // namespace skerry
