// What does not change during a run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/strong_id.h"
#include "common/config/job_config.h"
#include "common/secagg/session_roster.h"

namespace skerry {

// What every session of secure aggregation in this run has in common.
struct SecAggPolicy {
  RunId run;
  Sha256Digest job_sha256{};  // of the resolved job's text, as agents get it
  SecAggConfig config;
  IdentityOf identity_of;                // of the roster as it is now
  const SecAggCrypto* crypto = nullptr;  // outlives the machine
};

// What a release costs and how many the budget bears (common/privacy/privacy_plan.h).
struct BudgetPolicy {
  int64_t charges_max = 0;
  // The nodes' updates are noisy by themselves, so a round is charged when it begins; else when its
  // sum is about to be opened.
  bool is_charged_at_start = false;
  // The coordinator adds all of the noise to a sum, whoever is in it.
  bool is_noise_central = false;
  double noise_multiplier = 0;
  double sampling_rate = 1;
  int64_t steps = 1;
  int64_t colluders = 0;        // survivors who may know their own noise
  int64_t noisy_survivors = 1;  // for which the noise was planned
  std::function<double(int64_t charges)> epsilon_after;
  // With secret cohorts, what an insider knows; else empty.
  std::function<double(int64_t charges)> insider_epsilon_after{};
};

// Cohorts that nobody outside may know (privacy.observer public): a coin for each node of the
// roster. What is drawn is durable before anything else, so no round is drawn twice.
struct SecretCohortPolicy {
  size_t nodes = 0;  // in the roster, neither more nor fewer: the budget was calculated for so many
  size_t smallest = 0;  // cohorts outside smallest..largest are skipped
  size_t largest = 0;
  // Fewer nodes that are able to do the job would make most cohorts too small: then the run fails
  // instead of skipping one round after the other.
  size_t able_min = 0;
  // The coordinator's noise makes every sum as noisy as one of `largest` updates.
  bool is_noise_filled_up = false;
  // Ascending positions of those whose coins came up, of `count`. Drawn anew with each call, from
  // the operating system's generator.
  std::function<std::vector<uint32_t>(uint32_t count)> draw;

  bool Trains(size_t cohort) const { return cohort >= smallest && cohort <= largest; }
};

struct RoundPolicy {
  uint64_t seed = 0;
  RoundConfig round;
  EvaluationConfig evaluation;
  uint64_t model_bytes = 0;   // 4 x parameters
  uint64_t upload_bytes = 0;  // 4 x encoded length
  uint32_t scale_bits = 0;
  std::shared_ptr<const SecAggPolicy> secagg;                  // null: updates are not masked
  std::shared_ptr<const BudgetPolicy> budget;                  // null: no differential privacy
  std::shared_ptr<const SecretCohortPolicy> secret_cohorts{};  // null: cohorts follow from the seed
  // run --replay: the survivors of each recorded round, round 1 first. They are the cohort and the
  // quorum, nobody is cut, and the run ends after the last recorded round.
  std::vector<std::vector<NodeId>> replay;
};

inline uint64_t RoundCount(const RoundPolicy& policy) {
  return policy.replay.empty() ? static_cast<uint64_t>(policy.round.count) : policy.replay.size();
}

}  // namespace skerry
