// The coordinator's half of the update pipeline, and the arithmetic of a commit: sums uploads as
// they come, decodes the sum, lets the strategy change the model, writes the checkpoint.
//
// Lives on the shell's worker thread and is used by one job at a time. Memory beyond the model: one
// integer sum, the strategy's state and, during a commit, the decoded mean.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/random_bits.h"
#include "common/privacy/adaptive_clip.h"
#include "common/privacy/update_noise.h"
#include "common/secagg/fixed_point.h"
#include "common/secagg/mask_recovery.h"
#include "common/tensor/parameter_vector.h"
#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/strategy/strategy.h"
#include "coordinator/transfer/upload_receiver.h"

namespace skerry {

// Models above this are written as a checkpoint every round: a decoded aggregate in the database
// would cost as much.
inline constexpr uint64_t kAggregateRowBytesMax = 64 << 20;

class Aggregator {
 public:
  struct Options {
    UpdateEncoding encoding;
    ParameterLayoutPtr layout;
    std::shared_ptr<const Strategy> strategy;
    std::string run_dir;
    int64_t checkpoint_every = 1;
    uint64_t round_count = 0;  // the last round is always a checkpoint
    // The coordinator's noise for a round's clip norm and number of updates, if it has to add it
    // (none: there is enough), and where it comes from.
    std::function<absl::StatusOr<std::optional<UpdateNoise>>(double clip_norm,
                                                             uint32_t update_count)>
        noise{};
    RandomBits* random = &SystemRandom();
    double clip_norm = 0;  // of a job that keeps to one
    // Else how it changes: then every round is a checkpoint, and the state's file holds it too.
    std::optional<AdaptiveClip> adaptive_clip{};
    ParameterLayoutPtr clip_state_layout{};  // ClipStateLayout, if the clip norm is adaptive
  };
  struct CommitResult {
    CommitDone done;
    SharedModel model;  // of done.round; the old one if the commit failed
  };

  // `clip_norm`: of the next round, if it is adaptive.
  Aggregator(Options options, StrategyState state, std::optional<float> clip_norm = std::nullopt);

  // Adds one upload that passed CheckUpload. Fails with the spool's error if it cannot be read
  // back; the sum is then lost for this round.
  absl::Status Add(const UploadBody& upload);

  // Makes the sum of masked updates durable, so that a restart can open it (RestoreSum). Any older
  // one is removed.
  absl::Status SealSum(RoundId round, AttemptId attempt);
  absl::Status RestoreSum(RoundId round, AttemptId attempt);
  void DiscardSum();

  // Takes the masks off the sum; it is lost if this fails with kFailedPrecondition.
  absl::Status Unmask(const MaskRecoveryInput& input);

  // Puts the coordinator's noise on the sum of work.survivors, which is complete and not masked any
  // more, and makes it durable (noisy_sum.h). Fails with kAlreadyExists if that was done before for
  // this round and attempt: then the noisy sum that is stored is to be restored and committed.
  absl::Status AddNoise(const CommitWork& work);
  // Takes back what AddNoise has made durable. Its survivors; none if there is no such sum.
  absl::StatusOr<std::optional<std::vector<NodeId>>> RestoreNoisySum(RoundId round,
                                                                     AttemptId attempt);

  // Turns the sum into the model of `round` and starts the next sum at zero. The old model is
  // changed in place if nobody else holds it. With an error in done.status nothing has changed but
  // the sum, which is lost: the run is to be resumed from its directory.
  CommitResult Commit(RoundId round, size_t update_count, SharedModel model);

  // A round without an update: the model stays, and so do the strategy's state and the clip norm.
  // Always a checkpoint, because there is no aggregate from which a restart could make it.
  CommitResult Skip(RoundId round, SharedModel model);

  // Applies the stored aggregate of a round, as Commit did.
  void Replay(ParameterVector& model, const ParameterVector& aggregate);

 private:
  bool is_checkpoint(RoundId round) const;
  absl::StatusOr<CheckpointFiles> Checkpoint(RoundId round, const ParameterVector& model,
                                             const std::string& sha256) const;

  Options options_;
  StrategyState state_;
  std::optional<float> clip_norm_;
  std::vector<RingElement> sum_;
};

// Fails with kInvalidArgument if the upload breaks the job's encoding, so that a faulty node cannot
// wrap the sum, and with the spool's error if it cannot be read back. Any thread.
absl::Status CheckUpload(const UpdateEncoding& encoding, const UploadBody& upload);

// Where SealSum writes. Of no use without the survivors' shares, but not needed after the commit.
std::string SealedSumPath(const std::string& run_dir, RoundId round, AttemptId attempt);
void RemoveSealedSums(const std::string& run_dir);

// Lower-case hex SHA-256 of the model's raw bytes.
std::string ModelSha256(const ParameterVector& model);

}  // namespace skerry
