// Who shares masks and secrets with whom in a session.
//
// Complete: everyone with everyone, and a node also holds one of the shares of its own secrets.
// Ring: a Harary graph, Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic
// Overhead" (CCS 2020). The members stand in a random order around a ring, and the partners of each
// are the degree / 2 members on either side; these hold its shares, it does not. A value; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/crypto/sha256.h"

namespace skerry {

class SessionGraph {
 public:
  // No members; what a session has before its graph is known.
  SessionGraph() = default;
  static SessionGraph Complete(size_t member_count);
  // `order` holds each of 0..n-1 once; `degree` is even and below n.
  static SessionGraph Ring(const std::vector<size_t>& order, size_t degree);

  bool is_empty() const { return everyone_.empty(); }
  // Ascending. Those that hold shares of the member's secrets, and whose shares it holds.
  std::span<const size_t> HoldersOf(size_t member) const {
    return neighbours_.empty() ? everyone_ : neighbours_[member];
  }
  // Ascending. Its holders but itself: who shares a mask with it, and is sent its shares.
  std::vector<size_t> PartnersOf(size_t member) const;
  // Index of `partner`, which is one, in PartnersOf(member).
  size_t PlaceAmongPartners(size_t member, size_t partner) const;

 private:
  std::vector<size_t> everyone_;
  std::vector<std::vector<size_t>> neighbours_;  // empty: the graph is complete
};

// The members in the order in which `digest` arranges them: sorted by a hash of it and their
// places, so that nobody who cannot choose the digest can choose who stands beside whom.
std::vector<size_t> RingOrder(const Sha256Digest& digest, size_t member_count);

}  // namespace skerry
