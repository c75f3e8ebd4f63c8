// The agent's part of a round: fetch the model, train the hosted nodes in task order, hand their
// uploads to the sender. Idempotent; called by the phases.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "agent/session/session_data.h"
#include "common/base/clock.h"

namespace skerry {

// A task of a newer round cancels what is left of the older one. A repeat starts nothing twice: a
// node that has finished is offered again, one that failed says so again.
void TakeTask(const proto::RoundTask& task, std::optional<std::span<const uint8_t>> raw,
              SessionData& data, Instant now, SessionOutbox& out);

void TakeModelChunk(const proto::ModelChunk& chunk, std::optional<std::span<const uint8_t>> raw,
                    SessionData& data, Instant now, SessionOutbox& out);
// Asks for the model again when nothing has come for a while.
void RepeatModelRequest(SessionData& data, Instant now, SessionOutbox& out);
std::optional<Instant> NextModelRequest(const SessionData& data);

void TakeTrainDone(const TrainDone& in, SessionData& data, Instant now, SessionOutbox& out);

void TakeUploadGrant(const proto::UploadGrant& grant, SessionData& data, Instant now,
                     SessionOutbox& out);
// Also the answer to a message about a node that is out of the round: it stops training.
void TakeUploadResult(const proto::UploadResult& result, SessionData& data, Instant now,
                      SessionOutbox& out);
void TakeRoundClosed(const proto::RoundClosed& closed, SessionData& data, SessionOutbox& out);

// ---- parts, also used for joining --------------------------------------------------------------

// Hands out queued trainings while there are workers, once the model and the data are there.
void StartTrainings(SessionData& data, SessionOutbox& out);
// Stops everything of the current round and forgets its uploads.
void AbandonRound(SessionData& data, SessionOutbox& out);
// The coordinator does not want this node's update now.
void Withdraw(HostedIndex index, SessionData& data, Instant now, SessionOutbox& out);
// The node is out of the current round. The coordinator is told the reason, the log the details.
void FailNode(HostedIndex index, proto::RejectReason reason, std::string detail, SessionData& data,
              SessionOutbox& out);
// A finished, encoded (and masked) upload: keeps it and offers it.
void KeepUpload(HostedIndex index, const Frame& upload, SessionData& data, SessionOutbox& out);
// The node's place in the queue is void.
void FailQueued(HostedIndex index, proto::RejectReason reason, SessionData& data);
// Round 0 stands for the whole job.
void SendFailure(const HostedNode& node, RoundKey key, proto::RejectReason reason,
                 SessionOutbox& out);

}  // namespace skerry
