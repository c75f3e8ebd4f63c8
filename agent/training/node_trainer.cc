#include "agent/training/node_trainer.h"

#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/crypto/key_stream.h"
#include "common/crypto/random_bits.h"
#include "common/ml/batches.h"
#include "common/ml/evaluator.h"
#include "common/ml/model.h"
#include "common/privacy/update_noise.h"
#include "common/secagg/job_encoding.h"
#include "common/secagg/rounding_key.h"

namespace skerry {
namespace {

// What the coordinator is told; the details stay in this agent's log.
proto::RejectReason ReasonFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
      return proto::REJECT_REASON_DATA;
    case absl::StatusCode::kOutOfRange:
      return proto::REJECT_REASON_NOT_FINITE;
    case absl::StatusCode::kResourceExhausted:
      return proto::REJECT_REASON_RESOURCES;
    default:
      return proto::REJECT_REASON_INTERNAL;
  }
}

// Zeros, and labels that any loss can use.
SharedDataset MadeUpRows(const Dataset& like, size_t count) {
  Dataset::Contents contents;
  contents.example_shape = like.example_shape();
  contents.features = std::vector<float>(count * like.example_size());
  if (like.has_classes()) {
    contents.classes.resize(count);
  } else {
    contents.target_size = like.target_size();
    contents.targets.resize(count * like.target_size());
  }
  return std::make_shared<const Dataset>(std::move(contents));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NodeTrainer>> NodeTrainer::Create(
    std::shared_ptr<const JobConfig> job, const ParameterLayoutPtr& layout,
    const ComputeConfig& compute) {
  SKERRY_ASSIGN_OR_RETURN(UpdateEncoding encoding, EncodingOf(*job, layout->element_count()));
  SKERRY_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer, Trainer::Create(*job, compute));
  return std::unique_ptr<NodeTrainer>(
      new NodeTrainer(std::move(job), compute, std::move(encoding), std::move(trainer)));
}

absl::Status NodeTrainer::AddNoise(double clip_norm, std::span<RingElement> coordinates) {
  const bool adds_noise = job_->privacy.enabled && !job_->is_rehearsal &&
                          job_->privacy.placement == NoisePlacement::kDistributed;
  if (!adds_noise) return absl::OkStatus();
  SKERRY_ASSIGN_OR_RETURN(
      const UpdateNoise noise,
      UpdateNoise::Create(
          NoiseShare(*job_, clip_norm, encoding_.layout().parameter_count, encoding_.scale_bits()),
          ClipBitShare(*job_)));
  noise.AddTo(coordinates, SystemRandom());
  return absl::OkStatus();
}

TrainDone NodeTrainer::Run(const TrainWork& work, const NodeData& data,
                           const TrainObserver& observer) {
  TrainDone done;
  done.training = work.training;
  absl::StatusOr<Frame> upload = TrainAndEncode(work, data, observer, done.train_loss);
  if (upload.ok()) {
    done.upload = *std::move(upload);
  } else if (absl::IsCancelled(upload.status())) {
    done.outcome = TrainDone::Outcome::kCancelled;
  } else {
    done.outcome = TrainDone::Outcome::kFailed;
    done.failure = ReasonFor(upload.status());
    done.detail = std::string(upload.status().message());
  }
  return done;
}

absl::StatusOr<Frame> NodeTrainer::TrainAndEncode(const TrainWork& work, const NodeData& data,
                                                  const TrainObserver& observer,
                                                  double& train_loss) {
  const NodeRows rows = data.rows(work.node);
  if (rows.dataset == nullptr) return absl::InvalidArgumentError("the node's data is not loaded");
  if (static_cast<int>(work.scale_bits) != encoding_.scale_bits()) {
    return absl::InternalError(
        fmt::format("the coordinator encodes with 2^{}, this agent with 2^{}", work.scale_bits,
                    encoding_.scale_bits()));
  }
  if (job_->is_rehearsal) return Rehearse(*rows.dataset, observer);
  UpdateInput input;
  if (encoding_.layout().has_metrics) {
    input.metrics = MetricSums{};
    if (!rows.held_out.empty()) {
      SKERRY_ASSIGN_OR_RETURN(
          const EvaluationResult evaluation,
          Evaluate(*job_, compute_,
                   {work.model, rows.dataset, rows.held_out, observer.is_cancelled}));
      input.metrics =
          MetricSums{static_cast<double>(evaluation.example_count),
                     static_cast<double>(evaluation.correct_count), evaluation.loss_sum};
    }
  }
  RandomBits& random = SystemRandom();
  SKERRY_ASSIGN_OR_RETURN(
      const TrainResult trained,
      trainer_->Train({.global = work.model,
                       .dataset = rows.dataset,
                       .rows = rows.training,
                       .seed = TrainingSeed(job_->seed, work.node.value(), work.round.value(),
                                            work.attempt.value()),
                       .random = &random,
                       .clip_norm = work.clip_norm},
                      observer));
  train_loss = trained.train_loss;

  // The update pipeline, agent half. The trainer has clipped; then come the encoding, this node's
  // share of the noise, and the masks, when the session has them (agent/session/masking.h). What a
  // private update is rounded and noised with cannot be repeated.
  const bool is_sum = !trained.gradient_sum.empty();
  input.delta = trained.delta;
  input.is_within_clip = trained.is_within_clip;
  input.example_count = static_cast<int64_t>(trained.example_count);
  std::vector<uint8_t> bytes(encoding_.layout().size() * sizeof(RingElement));
  const std::span<RingElement> coordinates(reinterpret_cast<RingElement*>(bytes.data()),
                                           encoding_.layout().size());
  const SecretBytes rounding_key =
      job_->privacy.enabled ? random.DrawSecret(KeyStream::kKeyBytes)
                            : RoundingKey(job_->seed, work.node, work.round, work.attempt);
  const absl::Status encoded =
      is_sum ? EncodeSum(encoding_, trained.gradient_sum, rounding_key, coordinates)
             : EncodeUpdate(encoding_, input, rounding_key, coordinates);
  if (!encoded.ok()) return absl::OutOfRangeError(std::string(encoded.message()));
  SKERRY_RETURN_IF_ERROR(AddNoise(work.clip_norm.value_or(job_->privacy.clip_norm), coordinates));
  return Frame::Own(std::move(bytes));
}

absl::StatusOr<Frame> NodeTrainer::Rehearse(const Dataset& data,
                                            const TrainObserver& observer) const {
  JobConfig job = *job_;
  job.privacy = {};
  job.training.local_epochs = 1;
  const SharedDataset made_up = MadeUpRows(data, static_cast<size_t>(job.training.batch_size));
  std::vector<uint32_t> rows(made_up->row_count());
  std::iota(rows.begin(), rows.end(), 0u);
  SKERRY_ASSIGN_OR_RETURN(const SharedModel model, InitialModel(job.model, job.seed));
  SKERRY_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Create(job, compute_));
  SKERRY_RETURN_IF_ERROR(
      trainer->Train({.global = model, .dataset = made_up, .rows = rows}, observer).status());

  const UpdateLayout& layout = encoding_.layout();
  const std::vector<float> zeros(layout.parameter_count);
  std::vector<uint8_t> bytes(layout.size() * sizeof(RingElement));
  const std::span<RingElement> coordinates(reinterpret_cast<RingElement*>(bytes.data()),
                                           layout.size());
  UpdateInput input{.delta = zeros, .example_count = 1};
  if (layout.has_metrics) input.metrics = MetricSums{};
  SKERRY_RETURN_IF_ERROR(
      EncodeUpdate(encoding_, input, SystemRandom().DrawSecret(KeyStream::kKeyBytes), coordinates));
  return Frame::Own(std::move(bytes));
}

}  // namespace skerry
