#include "coordinator/selection/cohort.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "common/base/rng.h"

namespace skerry {

std::vector<NodeId> SelectCohort(std::span<const NodeId> roster, uint64_t seed, RoundId round,
                                 size_t count) {
  if (count >= roster.size()) return {roster.begin(), roster.end()};
  // Floyd's sampling without replacement (Bentley and Floyd, CACM 30(9), 1987): `count` draws, no
  // copy of the roster.
  Rng rng = Rng::Derive(seed, "cohort", round.value());
  absl::flat_hash_set<size_t> taken;
  taken.reserve(count);
  std::vector<size_t> indices;
  indices.reserve(count);
  for (size_t last = roster.size() - count; last < roster.size(); ++last) {
    const size_t drawn = static_cast<size_t>(rng.Below(last + 1));
    const size_t index = taken.contains(drawn) ? last : drawn;
    taken.insert(index);
    indices.push_back(index);
  }
  std::sort(indices.begin(), indices.end());
  std::vector<NodeId> cohort;
  cohort.reserve(count);
  for (const size_t index : indices) cohort.push_back(roster[index]);
  return cohort;
}

}  // namespace skerry
