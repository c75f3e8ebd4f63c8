#include "common/secagg/session_graph.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/status.h"
#include "common/crypto/transcript.h"

namespace skerry {

SessionGraph SessionGraph::Complete(size_t member_count) {
  SessionGraph graph;
  graph.everyone_.resize(member_count);
  std::iota(graph.everyone_.begin(), graph.everyone_.end(), size_t{0});
  return graph;
}

SessionGraph SessionGraph::Ring(const std::vector<size_t>& order, size_t degree) {
  const size_t count = order.size();
  SKERRY_ASSERT(degree % 2 == 0 && degree < count);
  SessionGraph graph = Complete(count);
  graph.neighbours_.resize(count);
  for (size_t place = 0; place < count; ++place) {
    std::vector<size_t>& holders = graph.neighbours_[order[place]];
    holders.reserve(degree);
    for (size_t step = 1; step <= degree / 2; ++step) {
      holders.push_back(order[(place + step) % count]);
      holders.push_back(order[(place + count - step) % count]);
    }
    std::sort(holders.begin(), holders.end());
  }
  return graph;
}

std::vector<size_t> SessionGraph::PartnersOf(size_t member) const {
  const std::span<const size_t> holders = HoldersOf(member);
  std::vector<size_t> partners(holders.begin(), holders.end());
  std::erase(partners, member);
  return partners;
}

size_t SessionGraph::PlaceAmongPartners(size_t member, size_t partner) const {
  const std::span<const size_t> holders = HoldersOf(member);
  const auto place = static_cast<size_t>(std::lower_bound(holders.begin(), holders.end(), partner) -
                                         holders.begin());
  const bool follows_itself = neighbours_.empty() && member < partner;
  return follows_itself ? place - 1 : place;
}

std::vector<size_t> RingOrder(const Sha256Digest& digest, size_t member_count) {
  std::vector<std::pair<Sha256Digest, size_t>> keyed;
  keyed.reserve(member_count);
  for (size_t member = 0; member < member_count; ++member) {
    keyed.emplace_back(Transcript("skerry-secagg-place-v1")
                           .Append("session", digest)
                           .AppendU64("member", member)
                           .Digest(),
                       member);
  }
  std::sort(keyed.begin(), keyed.end());
  std::vector<size_t> order;
  order.reserve(member_count);
  for (const auto& [hash, member] : keyed) order.push_back(member);
  return order;
}

}  // namespace skerry
