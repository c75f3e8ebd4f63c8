// Brings finished uploads to the coordinator: offers them, sends chunks within its credit, keeps
// them until the round is over. Bulk is pulled one message at a time, when the socket can take it,
// so a thousand uploads never pile up in memory. Owned by the session machine; no I/O but the
// spool's.
//
//   held -> offer due -> offered -> granted -> accepted | refused
//
// An accepted or refused upload is kept: a restarted coordinator has forgotten the sum and asks
// again with a repeated RoundTask.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "agent/session/session_outbox.h"
#include "agent/session/upload_store.h"
#include "common/base/clock.h"
#include "common/transport/chunk.h"

namespace skerry {

class UploadSender {
 public:
  struct Options {
    uint64_t inline_bytes_max = 0;
    uint64_t memory_bytes_max = 0;
    Duration resend_after{};
  };
  struct Upload {
    NodeId node;
    RoundId round;
    AttemptId attempt;
    uint64_t content_id = 0;
  };

  UploadSender(Options options, UploadSpool* spool)
      : options_(options), store_(options.memory_bytes_max, spool) {}

  // Of one chunk, from now on.
  void set_chunk_bytes(uint64_t chunk_bytes) { chunk_bytes_ = chunk_bytes; }

  // Keeps an upload; it is held. Fails if there is no space for it.
  absl::Status Add(HostedIndex index, Upload upload, Frame bytes);
  bool Has(HostedIndex index) const { return entries_.contains(index); }

  // Puts the upload in line for being offered. Nothing happens if it is already on its way over
  // this link.
  void Offer(HostedIndex index);
  // Whether the upload is held back until Offer; accepted and refused ones are not.
  bool is_held(HostedIndex index) const;

  // kNotFound for an upload that is not here or not offered, kOutOfRange for credit past its end;
  // nothing changes then.
  absl::Status Grant(HostedIndex index, const proto::UploadGrant& grant, Instant now);
  // The coordinator's last word for now. Kept, but not offered again unasked.
  void Accept(HostedIndex index, Instant now) { Conclude(index, State::kAccepted, now); }
  void Refuse(HostedIndex index, Instant now) { Conclude(index, State::kRefused, now); }
  bool is_accepted(HostedIndex index) const;

  // Back to being held: the coordinator does not know the node just now.
  void Hold(HostedIndex index);
  void Drop(HostedIndex index);
  void Clear();
  // Everything without a last word is held, to be offered over the next link.
  void LinkLost();

  // Whether Next has something to give, or has to look.
  bool has_bulk() const { return !offers_.empty() || !ring_.empty(); }
  // The next offer or chunk; granted uploads take turns. An upload that the spool cannot give back
  // is dropped and comes as its node's NodeFailure.
  std::optional<BulkMessage> Next(Instant now);

  // Offers what has had no answer for options.resend_after once more.
  void HandleDeadline(Instant now);
  std::optional<Instant> NextDeadline() const;

  // Neither accepted nor refused.
  bool is_under_way(HostedIndex index) const;

 private:
  enum class State { kHeld, kOfferDue, kOffered, kGranted, kAccepted, kRefused };
  struct Entry {
    Upload upload;
    uint64_t bytes = 0;
    State state = State::kHeld;
    std::optional<ChunkSource> source;  // kGranted
    bool is_in_ring = false;
  };

  static bool is_unanswered(State state) {
    return state == State::kOffered || state == State::kGranted;
  }
  const Entry* Find(HostedIndex index) const;
  void SetState(Entry& entry, State state);
  void Conclude(HostedIndex index, State state, Instant now);
  BulkMessage MakeOffer(HostedIndex index, Entry& entry);
  BulkMessage MakeChunk(HostedIndex index, Entry& entry, ByteRange range);
  BulkMessage MakeFailure(HostedIndex index);

  Options options_;
  UploadStore store_;
  uint64_t chunk_bytes_ = 256 << 10;
  absl::flat_hash_map<HostedIndex, Entry> entries_;
  std::deque<HostedIndex> offers_;  // due, oldest first; an entry's state says whether it still is
  std::deque<HostedIndex> ring_;    // granted, with credit left, in turn
  size_t unanswered_count_ = 0;
  Instant last_activity_{};  // bulk handed out, or an answer
};

}  // namespace skerry
