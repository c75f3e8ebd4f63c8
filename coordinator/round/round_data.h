// What survives from phase to phase of the coordinator's rounds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/round/records.h"
#include "skerry.pb.h"

namespace skerry {

struct RoundPolicy;

// One invited node in the current round.
struct Participant {
  Participation participation = Participation::kInvited;
  std::string reason;
  uint32_t permille = 0;                       // of its training
  std::optional<uint64_t> content_id;          // of the upload being received or accepted
  Instant last_progress{};                     // sign of life the stall rule counts from
  std::optional<Duration> finished_after;

  // Neither accepted nor out of the round.
  bool is_outstanding() const {
    return participation == Participation::kInvited || participation == Participation::kTasked ||
           participation == Participation::kTraining || participation == Participation::kUploading;
  }
};

}  // namespace skerry
