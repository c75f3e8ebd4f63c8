// The worker of the simulated coordinator: sums, the coordinator's noise, commits.
#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/crypto/hex.h"
#include "common/crypto/sha256.h"
#include "tests/sim/simulated_coordinator.h"

namespace skerry {
namespace {

std::vector<RingElement> WordsOf(const UploadBody& body) {
  std::span<const uint8_t> bytes;
  if (const Frame* frame = std::get_if<Frame>(&body)) bytes = frame->bytes();
  if (const SharedBuffer* buffer = std::get_if<SharedBuffer>(&body)) {
    bytes = {(*buffer)->bytes.get(), (*buffer)->size};
  }
  std::vector<uint8_t> spooled;
  if (const auto* file = std::get_if<std::shared_ptr<SpoolFile>>(&body)) {
    spooled.resize((*file)->size());
    SKERRY_ASSERT((*file)->ReadAt(0, spooled).ok());
    bytes = spooled;
  }
  std::vector<RingElement> words(bytes.size() / sizeof(RingElement));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * sizeof(RingElement));
  return words;
}

}  // namespace

std::string SimulatedCoordinator::ModelHash(const ParameterVector& model) {
  return HexOf(Sha256Of(AsBytes(model.values())));
}

Instant SimulatedCoordinator::WorkerDone() {
  const Duration takes(static_cast<int64_t>(rng_.Below(3'000'000)));
  process_->worker_free_at = std::max(process_->worker_free_at, context_.events.now()) + takes;
  return process_->worker_free_at;
}

void SimulatedCoordinator::Do(const Work& work) {
  if (const auto* add = std::get_if<AddUploadWork>(&work)) {
    AddUpload(*add);
  } else if (const auto* seal = std::get_if<SealSumWork>(&work)) {
    Later(WorkerDone(), [this, seal = *seal] {
      context_.log.sealed_sum = process_->sum;
      Feed(SumSealed{.round = seal.round, .attempt = seal.attempt, .status = absl::OkStatus()});
    });
  } else if (std::holds_alternative<DiscardSumWork>(work)) {
    Later(WorkerDone(), [this] {
      process_->sum.clear();
      process_->summed.clear();
    });
  } else if (const auto* commit = std::get_if<CommitWork>(&work)) {
    Commit(*commit);
  } else {
    const ModelVersion version = std::get<EvaluateWork>(work).version;
    Later(WorkerDone(), [this, version] {
      Feed(EvaluationDone{.result = {.version = version, .examples = 1, .metrics = {{"loss", 0.5}}},
                          .status = absl::OkStatus()});
    });
  }
}

void SimulatedCoordinator::AddUpload(const AddUploadWork& work) {
  const std::optional<UploadBody> body = process_->uploads.Take(work.node, work.content_id);
  if (!body) {
    context_.log.violations.push_back(
        fmt::format("the accepted upload of {} is not there", work.node.value()));
    return;
  }
  Later(WorkerDone(), [this, work, body = *body] {
    const std::vector<RingElement> words = WordsOf(body);
    if (!process_->summed.insert(work.node).second) {
      context_.log.violations.push_back(
          fmt::format("{} is counted twice in round {}", work.node.value(), work.round.value()));
    }
    process_->sum.resize(words.size());
    AddInto(process_->sum, words);
    if (const SharedBuffer* buffer = std::get_if<SharedBuffer>(&body)) {
      UploadReceiver::Events events;
      process_->uploads.Release(*buffer, context_.events.now(), events);
      Drain(std::move(events));
    }
  });
}

// False if the process was killed meanwhile: before the noise was durable, or after it.
bool SimulatedCoordinator::AddNoise(const CommitWork& work) {
  RunLog& log = context_.log;
  const std::pair key(work.round, work.attempt);
  if (log.noisy_sums.contains(key)) {
    log.violations.push_back(fmt::format("round {} has its noise already", work.round.value()));
  }
  RunLog::NoisySum noisy{.survivors = work.survivors, .sum = process_->sum, .noise = {}};
  noisy.sum.resize(context_.trainer.encoding().layout().size());
  Rng draw = Rng::Derive(context_.scenario.weather, fmt::format("draw {}", log.noise_draws++));
  for (RingElement& word : noisy.sum) {
    noisy.noise.push_back(static_cast<RingElement>(draw.Below(1 << 16)));
    word += noisy.noise.back();
  }
  if (!Survives("noise")) return false;
  process_->sum = noisy.sum;
  log.noisy_sums[key] = std::move(noisy);
  return Survives("noise stored");
}

void SimulatedCoordinator::Commit(const CommitWork& work) {
  Later(WorkerDone(), [this, work] {
    RunLog& log = context_.log;
    if (work.is_skipped) {
      const SharedModel model = log.models.at(ModelVersion(work.round.value() - 1));
      log.models[ModelVersion(work.round.value())] = model;
      Feed(CommitDone{.round = work.round,
                      .status = absl::OkStatus(),
                      .model_sha256 = ModelHash(*model),
                      .node_metrics = std::nullopt,
                      .checkpoint = std::nullopt,
                      .aggregate = nullptr});
      return;
    }
    if (process_->summed.size() != work.survivor_count) {
      log.violations.push_back(fmt::format("round {} has {} survivors, {} were summed",
                                           work.round.value(), work.survivor_count,
                                           process_->summed.size()));
    }
    if (work.unmask != nullptr) {
      log.dropped_members +=
          static_cast<int>(work.unmask->members.size() - work.unmask->survivors.size());
      const absl::StatusOr<std::vector<MaskKey>> masks = RecoverMasks(*work.unmask);
      if (!masks.ok()) {
        log.violations.push_back(fmt::format("round {} cannot be unmasked: {}", work.round.value(),
                                             std::string(masks.status().message())));
        return;
      }
      ApplyMasks(process_->sum, *masks);
    }
    if (work.is_noise_due && !AddNoise(work)) return;
    const SharedModel before = log.models.at(ModelVersion(work.round.value() - 1));
    absl::StatusOr<std::vector<float>> values =
        context_.trainer.Apply(process_->sum, work.survivor_count, before->values());
    if (!values.ok()) {
      log.violations.push_back(fmt::format("round {} has a broken sum: {}", work.round.value(),
                                           std::string(values.status().message())));
      values = std::vector<float>(before->values().begin(), before->values().end());
    }
    const auto model = std::make_shared<const ParameterVector>(layout_, *std::move(values));
    log.models[ModelVersion(work.round.value())] = model;
    process_->sum.clear();
    process_->summed.clear();
    Feed(CommitDone{.round = work.round,
                    .status = absl::OkStatus(),
                    .model_sha256 = ModelHash(*model),
                    .node_metrics = std::nullopt,
                    .checkpoint = std::nullopt,
                    .aggregate = nullptr});
  });
}

}  // namespace skerry
