// Watches a rehearsal's one round: when each node got how far. Owned by the shell's thread.
#pragma once

#include <map>
#include <optional>

#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/config/job_config.h"
#include "common/identity/roster.h"
#include "coordinator/dashboard/rehearsal_table.h"
#include "coordinator/round/round_machine.h"

namespace skerry {

class RehearsalLog {
 public:
  // After everything that may have changed the round.
  void Observe(const RoundMachine& machine, Instant now);

  // The nodes of `roster` in their order. `failure` is why the round was not completed.
  Rehearsal Result(const Roster& roster, std::string failure) const;

 private:
  struct Times {
    bool has_joined = false;
    bool has_lost_session = false;
    bool is_in_cohort = false;
    Participation participation = Participation::kInvited;
    std::string reason;
    std::optional<Instant> tasked;
    std::optional<Instant> working;
    std::optional<Instant> uploading;
    std::optional<Instant> accepted;
  };
  std::map<NodeId, Times> nodes_;
};

}  // namespace skerry
