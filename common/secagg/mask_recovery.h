// Opens a masked sum: recovers, from the shares that survivors sent, the masks that still lie on
// it. Pure; runs on the coordinator's worker.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/secagg/mask.h"
#include "common/secagg/member_set.h"
#include "common/secagg/secagg_crypto.h"
#include "common/secagg/session_roster.h"

namespace skerry {

struct UnmaskAnswer {
  size_t member = 0;   // who sent it
  std::string shares;  // UnmaskShares.shares
};

struct MaskRecoveryInput {
  std::shared_ptr<const SessionRoster> roster;
  MemberSet members;    // whose masks are in the survivors' updates
  MemberSet survivors;  // whose updates are in the sum
  std::vector<UnmaskAnswer> answers;
  const SecAggCrypto* crypto = nullptr;
};

// What ApplyMasks must do to the sum of the survivors' masked updates to leave the plain sum.
//
// Every recovered secret is checked against the member's signed key or commitment. Wrong shares are
// found by trying other answers, as long as there are more than the threshold; fails with
// kFailedPrecondition, naming the member whose secret cannot be recovered, when they run out.
absl::StatusOr<std::vector<MaskKey>> RecoverMasks(const MaskRecoveryInput& input);

}  // namespace skerry
