// What a simulated run leaves behind: what was made durable, and what the simulation saw that no
// rule allows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "common/base/clock.h"
#include "common/secagg/ring.h"
#include "coordinator/round/records.h"

namespace skerry {

// Where a process can be killed: between two steps of what it does.
struct KillPlace {
  RoundId round;
  std::string_view phase;  // the coordinator's
  std::string_view step;   // what the process is about to do, "send"
};

struct RunLog {
  // ---- durable: outlives the coordinator's process ---------------------------------------------
  RestoredRun standing;  // what a restart is told
  std::map<RoundId, RoundStarted> started;
  std::vector<RoundCommitted> committed;
  std::map<ModelVersion, SharedModel> models;  // checkpoint files
  std::optional<RunEnded> ended;
  std::vector<RingElement> sealed_sum;  // of the open round's session, masked
  std::vector<BudgetCharged> charges;   // the coordinator's privacy ledger
  // Sums with the coordinator's noise on them, and that noise.
  struct NoisySum {
    std::vector<NodeId> survivors;
    std::vector<RingElement> sum;
    std::vector<RingElement> noise;
  };
  std::map<std::pair<RoundId, AttemptId>, NoisySum> noisy_sums;

  // ---- durable: outlives the agents' processes --------------------------------------------------
  std::set<std::tuple<NodeId, RoundId, AttemptId>> site_charges;  // the sites' privacy ledgers

  // ---- seen -------------------------------------------------------------------------------------
  // Finished trainings by node, round, attempt and incarnation of the process.
  std::map<std::tuple<NodeId, RoundId, AttemptId, int>, int> trainings;
  // Offers by node, round and attempt: the bytes that were offered, by their id.
  std::map<std::tuple<NodeId, RoundId, AttemptId>, std::set<uint64_t>> offers;
  std::map<ProcessName, uint64_t> upload_bytes;  // handed to the link in offers and chunks
  int charges_lost = 0;  // paid for, and the process crashed before anything could leave
  // In the order in which each process came to them; the coordinator's name is empty.
  std::map<ProcessName, std::vector<KillPlace>> places;
  std::string_view phase = "down";  // of the coordinator
  Duration down{};                  // time without a coordinator
  int coordinator_crashes = 0;
  int sessions_continued = 0;  // by a restarted coordinator
  uint64_t noise_draws = 0;    // of the coordinator, lost ones included
  int attempts_given_up = 0;
  int dropped_members = 0;  // gave shares but no update
  int agent_crashes = 0;
  int links_broken = 0;
  std::vector<std::string> violations;
};

}  // namespace skerry
