// Agents dial one coordinator in virtual time. A link is as TCP gives it: ordered and complete
// until it breaks; then what was on the way is lost and each end hears of it in its own time.
// Beyond TCP, a message may arrive once more, some time later, over the same link. A link may be
// slow: then a message takes its time after the one before.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/base/strong_id.h"
#include "common/transport/frame.h"
#include "tests/support/event_queue.h"

namespace skerry {

struct NetworkFaults {
  Duration delay_min = std::chrono::microseconds(100);
  Duration delay_max = std::chrono::milliseconds(2);
  double break_probability = 0;      // a message
  double duplicate_probability = 0;  // a message
  Instant until{};                   // no breaks and duplicates from here on
};

class LoopbackNetwork {
 public:
  struct CoordinatorEnd {
    std::function<void(PeerId, const Message&)> on_message;
    std::function<void(PeerId)> on_gone;
  };
  struct AgentEnd {
    std::function<void(PeerId)> on_up;
    std::function<void(PeerId, const Message&)> on_message;
    std::function<void(PeerId)> on_down;  // also: nobody answered the call
    std::function<void(PeerId)> on_room;  // the link can take another message of bulk
  };
  // Messages of bulk that an agent's socket holds.
  static constexpr int kBulkMessagesMax = 4;

  LoopbackNetwork(EventQueue& events, NetworkFaults faults, Rng rng)
      : events_(events), faults_(faults), rng_(rng) {}

  // The coordinator's process starts and ends. Its end breaks every link.
  void Listen(CoordinatorEnd end) {
    coordinator_ = std::make_shared<CoordinatorEnd>(std::move(end));
  }
  void StopListening() {
    coordinator_.reset();
    std::vector<PeerId> all;
    for (const auto& [peer, link] : links_) all.push_back(peer);
    for (const PeerId peer : all) Break(peer);
  }

  // `bytes_per_s`: each way; 0 is no limit.
  PeerId Dial(AgentEnd end, uint64_t bytes_per_s = 0) {
    const PeerId peer(++last_peer_);
    const auto agent = std::make_shared<AgentEnd>(std::move(end));
    events_.After(Delay(), [this, peer, agent, bytes_per_s] {
      if (coordinator_ == nullptr) {
        agent->on_down(peer);
        return;
      }
      links_.emplace(peer, Link{.agent = agent, .bytes_per_s = bytes_per_s});
      agent->on_up(peer);
    });
    return peer;
  }

  // Into the void if the link is broken and this end has not heard of it yet.
  void SendUp(PeerId peer, Message message) { Send(peer, std::move(message), Direction::kUp); }
  void SendDown(PeerId peer, Message message) { Send(peer, std::move(message), Direction::kDown); }
  bool CanTakeBulk(PeerId peer) const {
    const auto link = links_.find(peer);
    return link != links_.end() && link->second.up.on_the_way < kBulkMessagesMax;
  }

  // Both ends are told.
  void Break(PeerId peer) {
    const auto link = links_.find(peer);
    if (link == links_.end()) return;
    const std::shared_ptr<AgentEnd> agent = link->second.agent;
    Close(peer);
    events_.After(Delay(), [agent, peer] { agent->on_down(peer); });
  }
  // The coordinator hangs up, once what it sent has arrived.
  void HangUp(PeerId peer) {
    const auto link = links_.find(peer);
    if (link == links_.end()) return;
    events_.At(link->second.down.last_arrival, [this, peer] { Break(peer); });
  }
  // The agent's process is gone, or it hung up: only the coordinator is told.
  void Close(PeerId peer) {
    if (links_.erase(peer) == 0) return;
    const std::weak_ptr<CoordinatorEnd> coordinator = coordinator_;
    events_.After(Delay(), [coordinator, peer] {
      if (const auto end = coordinator.lock()) end->on_gone(peer);
    });
  }

  uint64_t message_count() const { return message_count_; }

 private:
  enum class Direction { kUp, kDown };
  struct Lane {
    Instant last_arrival{};
    int on_the_way = 0;
  };
  struct Link {
    std::shared_ptr<AgentEnd> agent;
    uint64_t bytes_per_s = 0;
    Lane up{};
    Lane down{};
  };

  bool is_faulty() const { return events_.now() < faults_.until; }
  Duration Delay() {
    const auto range = static_cast<uint64_t>((faults_.delay_max - faults_.delay_min).count());
    return faults_.delay_min + Duration(static_cast<int64_t>(rng_.Below(range + 1)));
  }

  void Send(PeerId peer, Message message, Direction direction) {
    const auto link = links_.find(peer);
    if (link == links_.end()) return;
    ++message_count_;
    if (is_faulty() && rng_.Uniform() < faults_.break_probability) {
      Break(peer);
      return;
    }
    Lane& lane = direction == Direction::kUp ? link->second.up : link->second.down;
    lane.last_arrival = std::max(lane.last_arrival, events_.now() + Delay());
    if (const uint64_t rate = link->second.bytes_per_s; rate > 0) {
      lane.last_arrival += Duration(static_cast<int64_t>(message.size() * 1'000'000'000 / rate));
    }
    ++lane.on_the_way;
    if (is_faulty() && rng_.Uniform() < faults_.duplicate_probability) {
      const Duration later(static_cast<int64_t>(rng_.Below(2'000'000'000)));
      events_.At(lane.last_arrival + later,
                 [this, peer, message, direction] { Arrive(peer, message, direction); });
    }
    events_.At(lane.last_arrival, [this, peer, message = std::move(message), direction] {
      const auto arrived = links_.find(peer);
      if (arrived == links_.end()) return;
      Lane& taken = direction == Direction::kUp ? arrived->second.up : arrived->second.down;
      --taken.on_the_way;
      const std::shared_ptr<AgentEnd> agent = arrived->second.agent;
      Arrive(peer, message, direction);
      if (direction == Direction::kUp && links_.contains(peer)) agent->on_room(peer);
    });
  }

  void Arrive(PeerId peer, const Message& message, Direction direction) {
    const auto link = links_.find(peer);
    if (link == links_.end()) return;
    if (direction == Direction::kDown) {
      const std::shared_ptr<AgentEnd> agent = link->second.agent;
      agent->on_message(peer, message);
    } else if (const std::shared_ptr<CoordinatorEnd> end = coordinator_) {
      end->on_message(peer, message);
    }
  }

  EventQueue& events_;
  NetworkFaults faults_;
  Rng rng_;
  std::shared_ptr<CoordinatorEnd> coordinator_;
  std::map<PeerId, Link> links_;
  uint64_t last_peer_ = 0;
  uint64_t message_count_ = 0;
};

}  // namespace skerry
