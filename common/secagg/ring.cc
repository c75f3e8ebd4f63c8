#include "common/secagg/ring.h"

#include "common/base/status.h"

namespace skerry {

void AddInto(std::span<RingElement> sum, std::span<const RingElement> update) {
  SKERRY_ASSERT(sum.size() == update.size());
  RingElement* to = sum.data();
  const RingElement* from = update.data();
  for (size_t i = 0; i < sum.size(); ++i) to[i] += from[i];
}

}  // namespace skerry
