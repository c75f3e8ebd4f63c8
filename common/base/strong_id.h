// Identifiers that cannot be mixed up: a NodeId is not a ProcessName, a RoundId not a count.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace skerry {

template <typename Tag, typename Rep>
class StrongId {
 public:
  using rep = Rep;
  StrongId() = default;
  explicit StrongId(Rep value) : value_(std::move(value)) {}
  const Rep& value() const { return value_; }
  auto operator<=>(const StrongId&) const = default;
  bool operator==(const StrongId&) const = default;

  template <typename H>
  friend H AbslHashValue(H state, const StrongId& id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  Rep value_{};
};

// A node as the roster names it: 1 to 64 characters of [A-Za-z0-9._-]. It owns data and an Ed25519
// identity; an agent process hosts one or many.
using NodeId = StrongId<struct NodeIdTag, std::string>;
// An agent process as the roster names it; it owns a CURVE key and one connection.
using ProcessName = StrongId<struct ProcessNameTag, std::string>;
// Rounds count from 1; round r turns model version r-1 into version r.
using RoundId = StrongId<struct RoundIdTag, uint64_t>;
// The initial model is version 0.
using ModelVersion = StrongId<struct ModelVersionTag, uint64_t>;
// A retry of a round that failed before any masked vector left an agent; counts from 1.
using AttemptId = StrongId<struct AttemptIdTag, uint32_t>;
// One connection of one agent process, named by the coordinator's transport; never reused.
using PeerId = StrongId<struct PeerIdTag, uint64_t>;
// Names one run of one job: 16 random bytes in lower-case hex.
using RunId = StrongId<struct RunIdTag, std::string>;

}  // namespace skerry

template <typename Tag, typename Rep>
struct std::hash<skerry::StrongId<Tag, Rep>> {
  size_t operator()(const skerry::StrongId<Tag, Rep>& id) const {
    return std::hash<Rep>{}(id.value());
  }
};
