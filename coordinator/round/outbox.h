// The one output of the coordinator's machines. After each input the shell drains it in this
// order: persist (one transaction, durable), send, work, uploads. Machines only append.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "common/secagg/mask_recovery.h"
#include "coordinator/round/records.h"
#include "skerry.pb.h"

namespace skerry {

// One message to one connection. `attach_model` puts the current model's bytes beside a RoundTask.
struct OutgoingMessage {
  PeerId peer;
  proto::Envelope envelope;
  bool attach_model = false;
};

// A finished upload whose bytes the shell holds under this name is to be added to the round's sum.
struct AddUploadWork {
  NodeId node;
  RoundId round;
  uint64_t content_id = 0;
};

// The sum of masked updates is complete: make it durable. Comes back as SumSealed.
struct SealSumWork {
  RoundId round;
  AttemptId attempt;
};

// The attempt is given up: what was added so far is void.
struct DiscardSumWork {};

// The sum is complete: decode it, apply the strategy, write a checkpoint if one is due. Comes back
// as CommitDone. All AddUploadWork of the round was emitted before.
struct CommitWork {
  RoundId round;
  AttemptId attempt;
  uint32_t survivor_count = 0;
  std::vector<NodeId> survivors{};  // so many, sorted
  // The coordinator's noise goes on the sum first, and the noisy sum is made durable.
  bool is_noise_due = false;
  std::shared_ptr<const MaskRecoveryInput> unmask{};  // set: the sum is still masked
  bool is_skipped = false;  // there is no sum: the round's model is the one before
};

// Evaluate the newest model on the coordinator's test set. Comes back as EvaluationDone, maybe
// rounds later; nothing waits for it but the end of the run.
struct EvaluateWork {
  ModelVersion version;
};

using Work = std::variant<AddUploadWork, SealSumWork, DiscardSumWork, CommitWork, EvaluateWork>;

// Orders to the part of the shell that receives upload bytes.
//
// ReceiveUpload: take this offer; grants and chunks follow until it is complete. Given again for
// the same content_id after a repeated offer (a reconnect, or a lost grant): go on from the bytes
// there are, over `peer`.
struct ReceiveUpload {
  NodeId node;
  PeerId peer;
  RoundId round;
  uint64_t content_id = 0;
  uint64_t bytes = 0;
  bool is_inline = false;  // all bytes came with the offer
};
struct DropUpload {  // forget what was received from this node
  NodeId node;
};
struct DropAllUploads {};  // the round is over

using UploadOrder = std::variant<ReceiveUpload, DropUpload, DropAllUploads>;

struct Outbox {
  std::vector<Record> persist;
  std::vector<OutgoingMessage> send;
  std::vector<Work> work;
  std::vector<UploadOrder> uploads;

  bool empty() const { return persist.empty() && send.empty() && work.empty() && uploads.empty(); }
};

}  // namespace skerry
