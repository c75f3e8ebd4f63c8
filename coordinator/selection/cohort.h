// Who is invited to a round: drawn from the roster by (seed, round) alone, never from who happens
// to be connected, so that a run can be repeated and a fast node gains nothing by coming first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/strong_id.h"

namespace skerry {

// `count` nodes of `roster` (sorted, without repeats), each set equally likely; everyone if the
// roster has no more. The result is sorted. O(count), whatever the roster's size, once it is
// sorted.
std::vector<NodeId> SelectCohort(std::span<const NodeId> roster, uint64_t seed, RoundId round,
                                 size_t count);

}  // namespace skerry
