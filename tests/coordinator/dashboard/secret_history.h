// A run with secret cohorts: three rounds, of which the second was skipped, and a fourth one open.
// Whatever names a node is to be found by its word: every node's name begins with "site-".
#pragma once

#include <gtest/gtest.h>

#include "common/config/job_loader.h"
#include "coordinator/store/run_history.h"

namespace skerry {

inline constexpr const char* kSecretJob = R"(version: 1
model: {name: mlp}
data: {id: wards, dataset: fashion_mnist}
round: {count: 6, nodes: 12, quorum: 2}
privacy:
  enabled: true
  unit: client
  observer: public
  placement: coordinator
  epsilon: 4
  noise_multiplier: 2
  delta: 0.001
  sampling: {scheme: poisson, rate: 0.5}
)";

inline RoundHistory SecretRound(uint64_t number, bool is_skipped,
                                std::vector<ParticipantRecord> participants) {
  RoundHistory round;
  round.committed.round = RoundId(number);
  round.committed.is_skipped = is_skipped;
  round.committed.participants = std::move(participants);
  round.committed.model_sha256 = std::string(64, static_cast<char>('a' + number));
  round.committed.timings = {std::chrono::seconds(3), std::chrono::seconds(2),
                             std::chrono::seconds(1)};
  round.traffic = {RoundId(number), 123'000, 456'000, std::chrono::seconds(77)};
  return round;
}

inline RunHistory SecretHistory() {
  RunHistory history;
  history.run_dir = "runs/secret";
  history.info.job_name = "wards";
  history.info.job_yaml = kSecretJob;
  history.info.rounds_planned = 6;
  const JobReading reading = ReadJob(kSecretJob, "job.yaml");
  EXPECT_TRUE(reading.job.has_value()) << (reading.errors.empty() ? "" : reading.errors[0].message);
  history.job = reading.job;
  const NodeId a("site-a");
  const NodeId b("site-b");
  const NodeId c("site-c");
  history.rounds = {
      SecretRound(1, false,
                  {{a, Participation::kAccepted, "", std::chrono::seconds(5)},
                   {b, Participation::kFailed, "site-b has no data", std::nullopt}}),
      SecretRound(2, true, {{c, Participation::kFailed, "the round was skipped", std::nullopt}}),
      SecretRound(3, false, {{a, Participation::kAccepted, "", std::chrono::seconds(5)}})};
  history.open_round = RoundStarted{RoundId(4), AttemptId(1), {a, b}};
  for (uint64_t round = 1; round <= 4; ++round) {
    history.charges.push_back({.round = RoundId(round),
                               .attempt = AttemptId(1),
                               .noise_multiplier = 2,
                               .noise_realised = round == 2 ? 0.0 : 2.0,
                               .sampling_rate = 0.5,
                               .steps = 1,
                               .survivors = round == 2 ? 0u : 1u,
                               .epsilon_spent = 0.5 * static_cast<double>(round),
                               .epsilon_insider = 1.5 * static_cast<double>(round),
                               .is_skipped = round == 2});
  }
  history.events = {{{RoundId(1), "node failed", "site-b", "site-b has no data"}, 1},
                    {{RoundId(2), "round skipped", "", "1 nodes were drawn"}, 2},
                    {{RoundId(3), "attempt given up", "", "site-c sent nothing"}, 3}};
  history.status = RunStatus::kFailed;
  history.status_detail = "round 4 needs 2 updates: site-b is away";
  history.evaluations[3] = {ModelVersion(3), 10, {{"accuracy", 0.5}}};
  return history;
}

}  // namespace skerry
