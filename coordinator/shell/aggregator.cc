#include "coordinator/shell/aggregator.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/crypto/sha256.h"
#include "common/tensor/safetensors.h"
#include "coordinator/shell/clip_state.h"
#include "coordinator/store/checkpoint.h"
#include "coordinator/store/noisy_sum.h"

namespace skerry {
namespace {

constexpr std::string_view kSealedSumPrefix = "masked-sum-";

// Of an upload that has to be copied to be read.
constexpr size_t kBlockElements = 256 << 10;

// Calls `visit(first, part)` for consecutive parts of an upload of `size` coordinates.
template <typename Visit>
absl::Status ForEachPart(const UploadBody& upload, size_t size, Visit visit) {
  std::span<const uint8_t> bytes;
  const SpoolFile* spool = nullptr;
  if (const auto* frame = std::get_if<Frame>(&upload)) {
    bytes = frame->bytes();
  } else if (const auto* buffer = std::get_if<SharedBuffer>(&upload)) {
    bytes = {(*buffer)->bytes.get(), (*buffer)->size};
  } else {
    spool = std::get<std::shared_ptr<SpoolFile>>(upload).get();
  }
  const uint64_t byte_count = spool != nullptr ? spool->size() : bytes.size();
  if (byte_count != size * sizeof(RingElement)) {
    return absl::InvalidArgumentError(
        fmt::format("upload has {} bytes, expected {}", byte_count, size * sizeof(RingElement)));
  }
  // A small frame lies wherever it was in the receive buffer.
  const bool is_aligned = reinterpret_cast<uintptr_t>(bytes.data()) % alignof(RingElement) == 0;
  if (spool == nullptr && is_aligned) {
    return visit(0, std::span(reinterpret_cast<const RingElement*>(bytes.data()), size));
  }
  std::vector<RingElement> block(std::min(size, kBlockElements));
  for (size_t first = 0; first < size; first += block.size()) {
    const auto part = std::span(block).first(std::min(block.size(), size - first));
    const size_t offset = first * sizeof(RingElement);
    if (spool != nullptr) {
      SKERRY_RETURN_IF_ERROR(
          spool->ReadAt(offset, {reinterpret_cast<uint8_t*>(part.data()), part.size_bytes()}));
    } else {
      std::memcpy(part.data(), bytes.data() + offset, part.size_bytes());
    }
    SKERRY_RETURN_IF_ERROR(visit(first, std::span<const RingElement>(part)));
  }
  return absl::OkStatus();
}

double NormOf(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

// The model itself if nobody else can read it any more, else a copy.
std::shared_ptr<ParameterVector> Writable(SharedModel model) {
  if (model.use_count() == 1) {
    // The last other reader has let go; what it read happened before what is written now.
    std::atomic_thread_fence(std::memory_order_acquire);
    // Models are made as ParameterVector and shared as const, so this is the type they have.
    return std::const_pointer_cast<ParameterVector>(std::move(model));
  }
  return std::make_shared<ParameterVector>(*model);
}

}  // namespace

std::string SealedSumPath(const std::string& run_dir, RoundId round, AttemptId attempt) {
  return fmt::format("{}/state/{}{:06}-{}", run_dir, kSealedSumPrefix, round.value(),
                     attempt.value());
}

void RemoveSealedSums(const std::string& run_dir) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir + "/state", ignored)) {
    if (!entry.path().filename().string().starts_with(kSealedSumPrefix)) continue;
    std::filesystem::remove(entry.path(), ignored);
  }
}

std::string ModelSha256(const ParameterVector& model) {
  return HexOf(Sha256Of(AsBytes(model.values())));
}

Aggregator::Aggregator(Options options, StrategyState state, std::optional<float> clip_norm)
    : options_(std::move(options)),
      state_(std::move(state)),
      clip_norm_(clip_norm),
      sum_(options_.encoding.layout().size()) {}

absl::Status CheckUpload(const UpdateEncoding& encoding, const UploadBody& upload) {
  return ForEachPart(upload, encoding.layout().size(),
                     [&](size_t first, std::span<const RingElement> part) {
                       return CheckCoordinates(encoding, first, part);
                     });
}

absl::Status Aggregator::Add(const UploadBody& upload) {
  return ForEachPart(upload, sum_.size(), [&](size_t first, std::span<const RingElement> part) {
    AddInto(std::span(sum_).subspan(first, part.size()), part);
    return absl::OkStatus();
  });
}

absl::Status Aggregator::SealSum(RoundId round, AttemptId attempt) {
  RemoveSealedSums(options_.run_dir);
  SKERRY_RETURN_IF_ERROR(MakeDirectories(options_.run_dir + "/state"));
  const std::string path = SealedSumPath(options_.run_dir, round, attempt);
  SKERRY_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  SKERRY_RETURN_IF_ERROR(file.Write(AsBytes(std::span<const RingElement>(sum_))));
  return file.Commit();
}

absl::Status Aggregator::RestoreSum(RoundId round, AttemptId attempt) {
  const std::string path = SealedSumPath(options_.run_dir, round, attempt);
  const size_t size = sum_.size() * sizeof(RingElement);
  SKERRY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, size));
  if (bytes.size() != size) {
    return absl::DataLossError(
        fmt::format("{}: {} bytes, expected {}: the masked sum of round {} "
                    "cannot be opened",
                    path, bytes.size(), size, round.value()));
  }
  std::memcpy(sum_.data(), bytes.data(), size);
  return absl::OkStatus();
}

void Aggregator::DiscardSum() { std::fill(sum_.begin(), sum_.end(), RingElement{0}); }

absl::Status Aggregator::Unmask(const MaskRecoveryInput& input) {
  SKERRY_ASSIGN_OR_RETURN(const std::vector<MaskKey> masks, RecoverMasks(input));
  ApplyMasks(sum_, masks);
  return absl::OkStatus();
}

absl::Status Aggregator::AddNoise(const CommitWork& work) {
  SKERRY_ASSERT(options_.noise != nullptr);
  const double clip_norm = clip_norm_ ? double{*clip_norm_} : options_.clip_norm;
  SKERRY_ASSIGN_OR_RETURN(const std::optional<UpdateNoise> noise,
                          options_.noise(clip_norm, work.survivor_count));
  if (noise.has_value()) noise->AddTo(sum_, *options_.random);
  return WriteNoisySum(options_.run_dir, {work.round, work.attempt}, work.survivors, sum_);
}

absl::StatusOr<std::optional<std::vector<NodeId>>> Aggregator::RestoreNoisySum(RoundId round,
                                                                               AttemptId attempt) {
  SKERRY_ASSIGN_OR_RETURN(std::optional<NoisySum> noisy,
                          ReadNoisySum(options_.run_dir, {round, attempt}, sum_.size()));
  if (!noisy.has_value()) return std::nullopt;
  sum_ = std::move(noisy->ring_sum);
  return std::move(noisy->survivors);
}

bool Aggregator::is_checkpoint(RoundId round) const {
  return round.value() % static_cast<uint64_t>(options_.checkpoint_every) == 0 ||
         round.value() == options_.round_count || clip_norm_.has_value() ||
         options_.layout->element_count() * sizeof(float) > kAggregateRowBytesMax;
}

absl::StatusOr<CheckpointFiles> Aggregator::Checkpoint(RoundId round, const ParameterVector& model,
                                                       const std::string& sha256) const {
  CheckpointContent content{
      .round = round,
      .model = &model,
      .state = state_.has_value() ? &*state_ : nullptr,
      .metadata = {{"round", std::to_string(round.value())}, {"model_sha256", sha256}}};
  std::optional<ParameterVector> joined;
  if (clip_norm_.has_value()) {
    joined = JoinClipState(options_.clip_state_layout, state_, *clip_norm_);
    content.state = &*joined;
  }
  return WriteCheckpoint(options_.run_dir, content);
}

Aggregator::CommitResult Aggregator::Commit(RoundId round, size_t update_count, SharedModel model) {
  CommitResult result;
  result.done.round = round;
  auto mean = std::make_shared<ParameterVector>(options_.layout);
  const absl::StatusOr<DecodedSum> decoded =
      DecodeSum(options_.encoding, sum_, update_count, mean->values());
  std::fill(sum_.begin(), sum_.end(), RingElement{0});
  if (!decoded.ok()) {
    result.done.status = decoded.status();
    result.model = std::move(model);
    return result;
  }
  result.done.weight_sum = decoded->weight_sum;
  result.done.clamped_sum = decoded->clamped_sum;
  if (decoded->metrics.has_value()) {
    result.done.node_metrics = NodeMetrics{decoded->metrics->examples, decoded->metrics->correct,
                                           decoded->metrics->loss_sum};
  }
  result.done.update_norm = NormOf(std::as_const(*mean).values());

  std::shared_ptr<ParameterVector> writable = Writable(std::move(model));
  options_.strategy->Apply(writable->values(), std::as_const(*mean).values(), state_);
  result.done.model_sha256 = ModelSha256(*writable);
  if (clip_norm_.has_value()) {
    clip_norm_ = options_.adaptive_clip->Next(*clip_norm_, *decoded->within_clip);
    result.done.clip_norm = *clip_norm_;
  }
  if (is_checkpoint(round)) {
    mean.reset();  // large models: its memory is not needed while the files are written
    auto files = Checkpoint(round, *writable, result.done.model_sha256);
    if (files.ok()) {
      result.done.checkpoint = *std::move(files);
    } else {
      result.done.status = files.status();
    }
  } else {
    result.done.aggregate = std::move(mean);
  }
  result.model = std::move(writable);
  return result;
}

Aggregator::CommitResult Aggregator::Skip(RoundId round, SharedModel model) {
  CommitResult result;
  result.done.round = round;
  result.done.model_sha256 = ModelSha256(*model);
  DiscardSum();
  if (clip_norm_.has_value()) result.done.clip_norm = *clip_norm_;
  auto files = Checkpoint(round, *model, result.done.model_sha256);
  if (files.ok()) {
    result.done.checkpoint = *std::move(files);
  } else {
    result.done.status = files.status();
  }
  result.model = std::move(model);
  return result;
}

void Aggregator::Replay(ParameterVector& model, const ParameterVector& aggregate) {
  options_.strategy->Apply(model.values(), aggregate.values(), state_);
}

}  // namespace skerry
