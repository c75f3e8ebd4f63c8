// Receives the bytes of the uploads that the round machine ordered, in bounded memory.
//
// A configured number of uploads is assembled in memory at once; the others wait at their agents,
// which keep the bytes. An upload holds its memory only while it moves at `slot_rate_min` or
// faster; when others wait, a slower one goes on into an unlinked spool file. Small uploads come
// whole with their offer and need no slot. Owned by the shell's thread, no sockets: what is to be
// sent and what happened is appended to Events.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/strong_id.h"
#include "common/transport/chunk.h"
#include "common/transport/frame.h"
#include "common/transport/spool_file.h"
#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "skerry.pb.h"

namespace skerry {

// Memory of one upload in assembly. Given back with UploadReceiver::Release.
struct UploadBuffer {
  std::unique_ptr<uint8_t[]> bytes;
  size_t size = 0;
};
using SharedBuffer = std::shared_ptr<UploadBuffer>;

// A complete upload: it came whole, was assembled in memory, or lies in a spool file. Nothing
// changes it any more, so another thread may read it.
using UploadBody = std::variant<Frame, SharedBuffer, std::shared_ptr<SpoolFile>>;

class UploadReceiver {
 public:
  struct Options {
    uint64_t upload_bytes = 0;  // of every upload of the job
    size_t memory_slots = 2;
    uint64_t slot_rate_min = 0;       // bytes a second
    uint64_t window_bytes = 1 << 20;  // on the way at once, for each upload
    std::string spool_folder;
  };
  struct Events {
    std::vector<OutgoingMessage> send;  // UploadGrant
    std::vector<UploadAdvanced> advanced;
    std::vector<UploadComplete> complete;
    std::vector<std::string> problems;  // for the log: a full disk, ...
  };

  explicit UploadReceiver(Options options) : options_(std::move(options)) {}

  // `inline_bytes` is the raw frame that came with the offer, if any.
  void Receive(const ReceiveUpload& order, std::optional<Frame> inline_bytes, Instant now,
               Events& events);
  void Drop(const NodeId& node, Instant now, Events& events);
  void DropAll();

  // The reason if nobody asked for this chunk or it does not fit; the transfer is unchanged then.
  proto::RejectReason HandleChunk(PeerId peer, const proto::UploadChunk& chunk, const Frame& bytes,
                                  Instant now, Events& events);

  // A complete upload, to be looked at. Empty if it was dropped meanwhile.
  std::optional<UploadBody> Find(const NodeId& node, uint64_t content_id) const;
  // Takes a complete upload out. Empty if it was dropped meanwhile.
  std::optional<UploadBody> Take(const NodeId& node, uint64_t content_id);
  // The memory of an upload that was taken out is free for the next one.
  void Release(SharedBuffer buffer, Instant now, Events& events);

  // Looks for uploads that hold memory without moving.
  void HandleDeadline(Instant now, Events& events);
  std::optional<Instant> NextDeadline() const;

  uint64_t received_bytes() const { return received_bytes_; }

 private:
  struct Transfer {
    PeerId peer;
    RoundId round;
    uint64_t content_id = 0;
    ChunkSink sink;
    UploadBody body;                // an empty Frame while it waits for a slot
    uint64_t position_checked = 0;  // where it stood when its rate was last looked at
    bool is_rated = false;          // has held its memory for a whole interval
  };

  bool is_waiting(const Transfer& transfer) const;
  void StartWaiting(Instant now, Events& events);
  void SendGrant(const NodeId& node, Transfer& transfer, ChunkCredit credit, Events& events);
  absl::Status MoveToSpool(const NodeId& node, Transfer& transfer);

  Options options_;
  std::map<NodeId, Transfer> transfers_;
  std::deque<NodeId> waiting_;  // offers without a slot, oldest first
  std::vector<SharedBuffer> free_buffers_;
  size_t slots_taken_ = 0;  // in assembly or taken out and not yet released
  std::optional<Instant> rate_check_at_;
  Instant rate_checked_at_{};
  uint64_t received_bytes_ = 0;
};

}  // namespace skerry
