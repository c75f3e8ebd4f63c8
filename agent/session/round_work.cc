#include "agent/session/round_work.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/session/budget.h"
#include "agent/session/clip_norm.h"
#include "agent/session/join.h"
#include "agent/session/masking.h"
#include "agent/session/progress.h"
#include "common/base/status.h"
#include "common/protocol/codec.h"

namespace skerry {
namespace {

using proto::RejectReason;
using Stage = NodeWork::Stage;

RoundKey KeyOf(const proto::RoundTask& task) {
  return {.round = RoundId(task.round()), .attempt = AttemptId(task.attempt())};
}

ModelKey ModelKeyOf(const proto::RoundTask& task) {
  return {.version = ModelVersion(task.model_version()), .sha256 = task.model_sha256()};
}

// Memory for a model. The last one's is taken over if no training reads it any more: fresh pages
// for a large model cost more than filling them.
std::shared_ptr<ParameterVector> ModelMemory(Run& run) {
  std::shared_ptr<ParameterVector> held = std::move(run.model);
  run.model_key = ModelKey();
  if (held != nullptr && held.use_count() == 1 && *held->layout() == *run.layout) return held;
  held.reset();
  return std::make_shared<ParameterVector>(run.layout);
}

// Every node of the round that still needs the model is out of it.
void FailQueue(RejectReason reason, std::string detail, SessionData& data, SessionOutbox& out) {
  LocalRound& round = *data.run->round;
  for (auto& [index, work] : round.nodes) {
    if (work.stage == Stage::kQueued) FailNode(index, reason, detail, data, out);
  }
  round.queue.clear();
}

// Checks the bytes, and makes them the model that the round trains from.
void AdoptModel(std::shared_ptr<ParameterVector> model, SessionData& data, SessionOutbox& out) {
  Run& run = *data.run;
  const ModelKey& key = run.round->model;
  const auto digest = data.functions.sha256(BytesOf(*model));
  if (!std::equal(digest.begin(), digest.end(), key.sha256.begin(), key.sha256.end(),
                  [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); })) {
    FailQueue(
        proto::REJECT_REASON_MODEL_MISMATCH,
        fmt::format("model {}: the bytes do not have the announced SHA-256", key.version.value()),
        data, out);
    return;
  }
  run.model = std::move(model);
  run.model_key = key;
}

bool HasModel(const Run& run) {
  return run.model != nullptr && run.round && run.model_key == run.round->model;
}

bool NeedsModel(const LocalRound& round) {
  return std::any_of(round.nodes.begin(), round.nodes.end(),
                     [](const auto& entry) { return entry.second.stage == Stage::kQueued; });
}

void ObtainModel(std::optional<std::span<const uint8_t>> raw, SessionData& data, Instant now,
                 SessionOutbox& out) {
  Run& run = *data.run;
  if (HasModel(run) || !NeedsModel(*run.round)) return;
  if (raw) {
    run.download.reset();
    std::shared_ptr<ParameterVector> model = ModelMemory(run);
    const std::span<uint8_t> bytes = BytesOf(*model);
    if (raw->size() != bytes.size()) {
      FailQueue(
          proto::REJECT_REASON_MODEL_MISMATCH,
          fmt::format("the model's frame has {} bytes instead of {}", raw->size(), bytes.size()),
          data, out);
      return;
    }
    std::copy(raw->begin(), raw->end(), bytes.begin());
    AdoptModel(std::move(model), data, out);
    return;
  }
  if (!run.download || run.download->key() != run.round->model) {
    run.download.reset();
    run.download.emplace(run.round->model, ModelMemory(run), data.options.model_window_bytes);
    data.link.model_asked_at.reset();
  }
  if (data.link.model_asked_at) return;
  *out.send.emplace_back().mutable_model_request() = run.download->Request();
  data.link.model_asked_at = now;
}

void TakeTaskFor(HostedIndex index, SessionData& data, SessionOutbox& out) {
  LocalRound& round = *data.run->round;
  const HostedNode& node = data.node(index);
  if (node.job_failure != proto::REJECT_REASON_UNSPECIFIED) {
    SendFailure(node, round.key, node.job_failure, out);
    return;
  }
  const auto [it, is_new] = round.nodes.try_emplace(index);
  NodeWork& work = it->second;
  if (is_new && !AdmitToRound(index, data, out)) return;
  if (is_new) round.queue.push_back(index);
  if (IsMasked(*data.run)) SendAdvert(index, data, out);
  if (is_new) return;
  switch (work.stage) {
    case Stage::kQueued:
    case Stage::kTraining:
    case Stage::kTrained:
    case Stage::kMasking:
      return;
    case Stage::kDone:
      if (data.uploads.Has(index)) {
        data.uploads.Offer(index);
        return;
      }
      work.stage = Stage::kFailed;  // the spool could not give it back
      work.failure = proto::REJECT_REASON_RESOURCES;
      [[fallthrough]];
    case Stage::kFailed:
      SendFailure(node, round.key, work.failure, out);
      return;
    case Stage::kWithdrawn:
      if (data.uploads.Has(index)) {
        work.stage = Stage::kDone;
        data.uploads.Offer(index);
        return;
      }
      if (data.trainings.contains(work.training)) {
        work.stage = Stage::kTraining;  // the cancellation may have come too late to stop it
        return;
      }
      if (work.client != nullptr) {
        if (!ResumeMasking(index, data, out)) {
          work.stage = Stage::kFailed;
          work.failure = proto::REJECT_REASON_SECAGG;
          SendFailure(node, round.key, work.failure, out);
          return;
        }
        if (work.stage != Stage::kWithdrawn) return;
      }
      if (!AdmitToRound(index, data, out)) return;
      work.stage = Stage::kQueued;
      round.queue.push_back(index);
      return;
  }
}

// A task for nodes that take no part in the job at all.
bool RefuseTask(const proto::RoundTask& task, SessionData& data, SessionOutbox& out) {
  RejectReason reason = data.run->refusal;
  if (reason == proto::REJECT_REASON_UNSPECIFIED) {
    const uint64_t expected = data.run->layout->element_count() * sizeof(float);
    if (task.model_bytes() != expected) {
      reason = proto::REJECT_REASON_MODEL_MISMATCH;
      ReportIgnored(fmt::format("RoundTask: the job's model has {} bytes, announced are {}",
                                expected, task.model_bytes()),
                    out);
    } else if (const absl::Status clip = CheckClipNorm(task, data); !clip.ok()) {
      reason = proto::REJECT_REASON_POLICY;
      ReportIgnored(fmt::format("RoundTask: {}", std::string(clip.message())), out);
    } else {
      return false;
    }
  }
  for (const std::string& id : task.nodes()) {
    if (const std::optional<HostedIndex> index = data.Find(id)) {
      SendFailure(data.node(*index), KeyOf(task), reason, out);
    }
  }
  return true;
}

void CancelTraining(const NodeWork& work, SessionOutbox& out) {
  if (work.stage == Stage::kTraining) out.cancel.push_back(work.training);
}

}  // namespace

void SendFailure(const HostedNode& node, RoundKey key, RejectReason reason, SessionOutbox& out) {
  proto::NodeFailure& failure = *out.send.emplace_back().mutable_node_failure();
  failure.set_node(node.id.value());
  failure.set_round(key.round.value());
  failure.set_attempt(key.attempt.value());
  failure.set_reason(reason);
}

void FailNode(HostedIndex index, RejectReason reason, std::string detail, SessionData& data,
              SessionOutbox& out) {
  LocalRound& round = *data.run->round;
  NodeWork& work = round.nodes.at(index);
  const HostedNode& node = data.node(index);
  work.stage = Stage::kFailed;
  work.failure = reason;
  if (node.is_joined) SendFailure(node, round.key, reason, out);
  out.report.push_back({.kind = SessionEventKind::kNodeFailed,
                        .node = node.id,
                        .round = round.key.round,
                        .reason = reason,
                        .detail = std::move(detail)});
}

void KeepUpload(HostedIndex index, const Frame& upload, SessionData& data, SessionOutbox& out) {
  LocalRound& round = *data.run->round;
  NodeWork& work = round.nodes.at(index);
  const HostedNode& node = data.node(index);
  const bool is_wanted = work.stage != Stage::kWithdrawn;
  const absl::Status kept = data.uploads.Add(index,
                                             {.node = node.id,
                                              .round = round.key.round,
                                              .attempt = round.key.attempt,
                                              .content_id = data.rng.NextU64()},
                                             upload);
  if (!kept.ok()) {
    FailNode(index, proto::REJECT_REASON_RESOURCES, std::string(kept.message()), data, out);
    return;
  }
  if (!ChargeUpdate(index, data, out)) {
    data.uploads.Drop(index);
    FailNode(index, proto::REJECT_REASON_POLICY, "an update of this round was charged before", data,
             out);
    return;
  }
  work.permille = 1000;
  if (!is_wanted) return;  // kept in case the node is asked again
  work.stage = Stage::kDone;
  if (node.is_joined) data.uploads.Offer(index);
}

void FailQueued(HostedIndex index, RejectReason reason, SessionData& data) {
  if (!data.run->round) return;
  const auto it = data.run->round->nodes.find(index);
  if (it == data.run->round->nodes.end() || it->second.stage != Stage::kQueued) return;
  it->second.stage = Stage::kFailed;
  it->second.failure = reason;
}

void AbandonRound(SessionData& data, SessionOutbox& out) {
  data.uploads.Clear();
  // A model on its way stays: another attempt trains from the same one, and the coordinator goes on
  // sending where it is.
  ForgetProgress(data);
  // Their results belong to nothing any more; the worker is free once they are answered.
  for (auto& [id, training] : data.trainings) training.round = RoundKey();
  for (auto& [id, masking] : data.maskings) masking.round = RoundKey();
  if (!data.run->round) return;
  for (const auto& [index, work] : data.run->round->nodes) CancelTraining(work, out);
  data.run->round.reset();
}

void Withdraw(HostedIndex index, SessionData& data, Instant now, SessionOutbox& out) {
  if (!data.run || !data.run->round) return;
  const auto it = data.run->round->nodes.find(index);
  if (it == data.run->round->nodes.end()) return;
  NodeWork& work = it->second;
  switch (work.stage) {
    case Stage::kQueued:
    case Stage::kTraining:
      CancelTraining(work, out);
      work.stage = Stage::kWithdrawn;
      return;
    case Stage::kTrained:
    case Stage::kMasking:
      work.stage = Stage::kWithdrawn;
      return;
    case Stage::kDone:
      data.uploads.Refuse(index, now);
      work.stage = Stage::kWithdrawn;
      return;
    case Stage::kFailed:
    case Stage::kWithdrawn:
      return;
  }
}

void StartTrainings(SessionData& data, SessionOutbox& out) {
  if (!data.run || !HasModel(*data.run) || data.run->data != Run::DataState::kLoaded) return;
  LocalRound& round = *data.run->round;
  while (data.trainings.size() < data.options.workers && !round.queue.empty()) {
    const HostedIndex index = round.queue.front();
    round.queue.pop_front();
    NodeWork& work = round.nodes.at(index);
    if (work.stage != Stage::kQueued) continue;
    data.last_training = TrainingId(data.last_training.value() + 1);
    work.stage = Stage::kTraining;
    work.training = data.last_training;
    data.trainings.emplace(work.training, OutstandingTraining{.round = round.key, .node = index});
    out.work.push_back(TrainWork{.training = work.training,
                                 .node = data.node(index).id,
                                 .round = round.key.round,
                                 .attempt = round.key.attempt,
                                 .scale_bits = round.scale_bits,
                                 .model = data.run->model,
                                 .clip_norm = round.clip_norm});
  }
}

void TakeTask(const proto::RoundTask& task, std::optional<std::span<const uint8_t>> raw,
              SessionData& data, Instant now, SessionOutbox& out) {
  const RoundKey key = KeyOf(task);
  if (key < data.link.floor) {
    ReportIgnored(fmt::format("RoundTask of round {}, which is over", task.round()), out);
    return;
  }
  data.link.floor = key;
  if (RefuseTask(task, data, out)) return;
  Run& run = *data.run;
  const ModelKey model = ModelKeyOf(task);
  const std::optional<double> clip_norm = ClipNormOf(task, run);
  const bool is_same = run.round && run.round->key == key && run.round->model == model &&
                       run.round->clip_norm == clip_norm;
  if (!is_same && RefuseSpent(task, data, out)) return;
  if (!is_same && run.round) AbandonRound(data, out);
  if (!run.round) {
    run.round.emplace(LocalRound{
        .key = key, .model = model, .scale_bits = task.scale_bits(), .clip_norm = clip_norm});
    if (IsMasked(run)) run.round->crypto = std::make_unique<VerifyOnce>(*data.functions.crypto);
    out.report.push_back({.kind = SessionEventKind::kRoundBegun,
                          .round = key.round,
                          .count = static_cast<uint64_t>(task.nodes_size())});
  }
  for (const std::string& id : task.nodes()) {
    if (const std::optional<HostedIndex> index = data.Find(id)) {
      TakeTaskFor(*index, data, out);
    } else {
      ReportIgnored(fmt::format("RoundTask for {}, which is not hosted here", id), out);
    }
  }
  ObtainModel(raw, data, now, out);
  StartTrainings(data, out);
}

void TakeModelChunk(const proto::ModelChunk& chunk, std::optional<std::span<const uint8_t>> raw,
                    SessionData& data, Instant now, SessionOutbox& out) {
  Run& run = *data.run;
  const bool is_wanted =
      run.download && run.round && run.download->key().version.value() == chunk.model_version();
  if (!is_wanted) return;  // of a round that is over
  if (!raw) {
    ReportIgnored("ModelChunk without its raw frame", out);
    return;
  }
  if (const absl::Status written = run.download->Write(chunk.offset(), *raw); !written.ok()) {
    ReportIgnored(fmt::format("ModelChunk: {}", std::string(written.message())), out);
    return;
  }
  data.link.model_asked_at = now;
  MarkTrainingProgress(data, now);
  if (!run.download->is_complete()) {
    if (const std::optional<proto::ModelRequest> credit = run.download->TakeCredit()) {
      *out.send.emplace_back().mutable_model_request() = *credit;
    }
    return;
  }
  std::shared_ptr<ParameterVector> model = std::move(*run.download).Take();
  run.download.reset();
  AdoptModel(std::move(model), data, out);
  StartTrainings(data, out);
}

std::optional<Instant> NextModelRequest(const SessionData& data) {
  if (!data.run || !data.run->round || !data.run->download || !data.link.model_asked_at) {
    return std::nullopt;
  }
  return *data.link.model_asked_at + data.options.resend_after;
}

void RepeatModelRequest(SessionData& data, Instant now, SessionOutbox& out) {
  const std::optional<Instant> due = NextModelRequest(data);
  if (!due || now < *due) return;
  *out.send.emplace_back().mutable_model_request() = data.run->download->Request();
  data.link.model_asked_at = now;
}

void TakeTrainDone(const TrainDone& in, SessionData& data, Instant now, SessionOutbox& out) {
  const auto it = data.trainings.find(in.training);
  if (it == data.trainings.end()) return;
  const OutstandingTraining training = it->second;
  data.trainings.erase(it);
  const bool is_current = data.run && data.run->round && data.run->round->key == training.round;
  const bool is_open = is_current && !data.uploads.Has(training.node) &&
                       !data.run->round->nodes.at(training.node).unmasked;
  if (is_open) {
    NodeWork& work = data.run->round->nodes.at(training.node);
    const bool is_awaited = work.stage == Stage::kTraining;
    switch (in.outcome) {
      case TrainDone::Outcome::kFinished:
        out.report.push_back({.kind = SessionEventKind::kNodeTrained,
                              .node = data.node(training.node).id,
                              .round = training.round.round,
                              .value = in.train_loss});
        if (IsMasked(*data.run)) {
          HoldUpdate(training.node, in.upload, data, out);
        } else {
          KeepUpload(training.node, in.upload, data, out);
        }
        MarkTrainingProgress(data, now);
        break;
      case TrainDone::Outcome::kFailed:
        if (is_awaited) FailNode(training.node, in.failure, in.detail, data, out);
        break;
      case TrainDone::Outcome::kCancelled:
        if (!is_awaited) break;
        work.stage = Stage::kQueued;  // wanted again since
        data.run->round->queue.push_back(training.node);
        break;
    }
  }
  StartTrainings(data, out);
}

void TakeUploadGrant(const proto::UploadGrant& grant, SessionData& data, Instant now,
                     SessionOutbox& out) {
  const std::optional<HostedIndex> index = data.Find(grant.node());
  if (!index) {
    ReportIgnored(fmt::format("UploadGrant for {}, which is not hosted here", grant.node()), out);
    return;
  }
  if (const absl::Status taken = data.uploads.Grant(*index, grant, now); !taken.ok()) {
    ReportIgnored(fmt::format("UploadGrant for {}: {}", grant.node(), std::string(taken.message())),
                  out);
  }
}

void TakeUploadResult(const proto::UploadResult& result, SessionData& data, Instant now,
                      SessionOutbox& out) {
  const RoundId round(result.round());
  const AttemptId attempt(result.attempt());
  const bool is_current = data.run->round && data.run->round->key.round == round &&
                          (attempt.value() == 0 || data.run->round->key.attempt == attempt);
  for (const proto::NodeVerdict& verdict : result.nodes()) {
    const std::optional<HostedIndex> index = data.Find(verdict.node());
    if (!index) {
      ReportIgnored(fmt::format("UploadResult for {}, which is not hosted here", verdict.node()),
                    out);
      continue;
    }
    const HostedNode& node = data.node(*index);
    const RejectReason reason = verdict.reason();
    const bool is_lost = reason == proto::REJECT_REASON_OUT_OF_PHASE ||
                         reason == proto::REJECT_REASON_NODE_ELSEWHERE ||
                         reason == proto::REJECT_REASON_NOT_IN_ROSTER;
    if (is_lost && node.is_joined) LoseNode(*index, reason, data, now);
    if (!is_current) continue;
    if (reason == proto::REJECT_REASON_OUT_OF_PHASE) {
      // The coordinator does not know that the node joined. Its work is as good as before.
      data.uploads.Hold(*index);
      continue;
    }
    if (reason == proto::REJECT_REASON_UNSPECIFIED) {
      if (!data.uploads.Has(*index) || data.uploads.is_accepted(*index)) continue;
      data.uploads.Accept(*index, now);
      MarkUploadProgress(data, now);
      out.report.push_back(
          {.kind = SessionEventKind::kUploadAccepted, .node = node.id, .round = round});
      continue;
    }
    Withdraw(*index, data, now, out);
    out.report.push_back({.kind = SessionEventKind::kUploadRefused,
                          .node = node.id,
                          .round = round,
                          .reason = reason,
                          .detail = protocol::Describe(reason)});
    if (reason == proto::REJECT_REASON_ROUND_CLOSED) data.uploads.Drop(*index);
  }
}

void TakeRoundClosed(const proto::RoundClosed& closed, SessionData& data, SessionOutbox& out) {
  const RoundKey next{.round = RoundId(closed.round() + 1), .attempt = AttemptId(0)};
  data.link.floor = std::max(data.link.floor, next);
  if (!data.run->round || data.run->round->key.round.value() > closed.round()) return;
  AbandonRound(data, out);
  out.report.push_back({.kind = SessionEventKind::kRoundEnded,
                        .round = RoundId(closed.round()),
                        .count = closed.committed() ? 1u : 0u});
}

}  // namespace skerry
