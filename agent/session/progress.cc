#include "agent/session/progress.h"

#include <algorithm>

#include "common/protocol/limits.h"

namespace skerry {
namespace {

using Stage = NodeWork::Stage;

// The node's phase if it shows life, else unspecified.
proto::NodeProgress::Phase PhaseOf(HostedIndex index, const NodeWork& work,
                                   const SessionData& data) {
  switch (work.stage) {
    case Stage::kQueued:
      return data.training_advanced ? proto::NodeProgress::PHASE_QUEUED
                                    : proto::NodeProgress::PHASE_UNSPECIFIED;
    case Stage::kTraining:
      return work.has_advanced ? proto::NodeProgress::PHASE_TRAINING
                               : proto::NodeProgress::PHASE_UNSPECIFIED;
    case Stage::kDone:
      return data.uploads_advanced && data.uploads.is_under_way(index)
                 ? proto::NodeProgress::PHASE_UPLOADING
                 : proto::NodeProgress::PHASE_UNSPECIFIED;
    case Stage::kTrained:
    case Stage::kMasking:
    case Stage::kFailed:
    case Stage::kWithdrawn:
      break;
  }
  return proto::NodeProgress::PHASE_UNSPECIFIED;
}

// The first sign of life of an interval starts it, so a round shorter than that sends nothing.
void Schedule(SessionData& data, Instant now) {
  if (NextProgress(data)) return;
  data.progress_at = now + data.options.progress_interval;
}

}  // namespace

void MarkTrainingProgress(SessionData& data, Instant now) {
  Schedule(data, now);
  data.training_advanced = true;
}

void MarkUploadProgress(SessionData& data, Instant now) {
  Schedule(data, now);
  data.uploads_advanced = true;
}

void ForgetProgress(SessionData& data) {
  data.training_advanced = false;
  data.uploads_advanced = false;
}

void TakeTrainProgressed(const TrainProgressed& in, SessionData& data, Instant now) {
  const auto it = data.trainings.find(in.training);
  if (it == data.trainings.end() || !data.run || !data.run->round) return;
  const auto work = data.run->round->nodes.find(it->second.node);
  if (work == data.run->round->nodes.end() || work->second.stage != Stage::kTraining ||
      work->second.training != in.training) {
    return;  // cancelled
  }
  work->second.permille = std::min(in.permille, 1000u);
  work->second.has_advanced = true;
  MarkTrainingProgress(data, now);
}

std::optional<Instant> NextProgress(const SessionData& data) {
  if (!data.training_advanced && !data.uploads_advanced) return std::nullopt;
  return data.progress_at;
}

void SendProgress(SessionData& data, Instant now, SessionOutbox& out) {
  const std::optional<Instant> due = NextProgress(data);
  if (!due || now < *due) return;
  proto::Progress* message = nullptr;
  if (data.run && data.run->round) {
    for (auto& [index, work] : data.run->round->nodes) {
      const proto::NodeProgress::Phase phase = PhaseOf(index, work, data);
      work.has_advanced = false;
      if (phase == proto::NodeProgress::PHASE_UNSPECIFIED || !data.node(index).is_joined) continue;
      if (message == nullptr || message->nodes_size() == protocol::kJoinNodesMax) {
        message = out.send.emplace_back().mutable_progress();
        message->set_round(data.run->round->key.round.value());
      }
      proto::NodeProgress& progress = *message->add_nodes();
      progress.set_node(data.node(index).id.value());
      progress.set_phase(phase);
      progress.set_permille(work.permille);
    }
  }
  ForgetProgress(data);
}

}  // namespace skerry
