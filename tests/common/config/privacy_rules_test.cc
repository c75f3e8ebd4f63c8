#include "common/config/privacy_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/job_loader.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kJob = R"(version: 1
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, partition: {scheme: iid}}
round: {count: 10, nodes: 8}
privacy: {enabled: true, epsilon: 2.0, records: 60000}
)";

std::vector<std::string> Errors(const std::vector<std::string>& overrides) {
  std::vector<std::string> messages;
  for (const ConfigError& error : ReadJob(kJob, "job.yaml", overrides).errors) {
    messages.push_back(error.message);
  }
  return messages;
}

std::vector<std::string> Distributed(std::vector<std::string> more = {}) {
  more.insert(more.end(), {"privacy.placement=distributed", "secagg.enabled=true",
                           "secagg.colluders=1", "secagg.dropout_tolerance=1"});
  return more;
}

TEST(PrivacyRulesTest, RecordsWithNoiseOnTheNodesNeedNothingElse) {
  EXPECT_THAT(Errors({}), IsEmpty());
  EXPECT_THAT(Errors(Distributed({"secagg.min_survivors=7"})), IsEmpty());
}

TEST(PrivacyRulesTest, OneOfEpsilonAndNoiseIsNeeded) {
  EXPECT_THAT(Errors({"privacy.epsilon=null", "privacy.noise_multiplier=1.1"}), IsEmpty());
  EXPECT_THAT(Errors({"privacy.epsilon=null"}),
              ElementsAre(HasSubstr("privacy.epsilon is missing: give epsilon, or")));
}

TEST(PrivacyRulesTest, DeltaIsBelowOneOverTheUnits) {
  EXPECT_THAT(Errors({"privacy.delta=1.6e-5"}), IsEmpty());
  EXPECT_THAT(Errors({"privacy.delta=1.7e-5"}),
              ElementsAre(HasSubstr("privacy.delta must be below 1 / 60000")));
  EXPECT_THAT(Errors({"privacy.records=0"}), ElementsAre(HasSubstr("privacy.records is missing")));
  EXPECT_THAT(Errors(Distributed({"secagg.min_survivors=7", "privacy.unit=client",
                                  "privacy.sampling.scheme=fixed", "privacy.delta=0.125"})),
              ElementsAre(HasSubstr("one of the 8 nodes may be published")));
}

TEST(PrivacyRulesTest, DeltaZeroAndNegativeEpsilonAreRefused) {
  EXPECT_THAT(Errors({"privacy.delta=0"}), ElementsAre(HasSubstr("privacy.delta must be")));
  EXPECT_THAT(Errors({"privacy.epsilon=0"}), ElementsAre(HasSubstr("privacy.epsilon must be")));
}

TEST(PrivacyRulesTest, SharesOfNoiseNeedASumAndHonestNodes) {
  EXPECT_THAT(Errors({"privacy.placement=distributed"}),
              ElementsAre(AllOf(HasSubstr("privacy.placement distributed adds a share"),
                                HasSubstr("set secagg.enabled to true"))));
  EXPECT_THAT(Errors(Distributed({"secagg.min_survivors=1"})),
              ElementsAre(HasSubstr("secagg.min_survivors is 1, but 1 of the survivors may")));
}

TEST(PrivacyRulesTest, SamplesOfAFixedSizeAreNotCalledPoisson) {
  EXPECT_THAT(Errors({"privacy.sampling.scheme=fixed"}),
              ElementsAre(HasSubstr("privacy.sampling.scheme fixed has no guarantee")));
  EXPECT_THAT(Errors(Distributed({"secagg.min_survivors=7", "privacy.unit=client"})),
              ElementsAre(HasSubstr("poisson needs secret cohorts")));
}

std::vector<std::string> Secret(std::vector<std::string> more = {}) {
  std::vector<std::string> all = {
      "privacy.observer=public", "privacy.unit=client",        "privacy.placement=coordinator",
      "privacy.delta=0.001",     "privacy.sampling.rate=0.25", "round.nodes=40",
      "round.quorum=4"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<std::string> SecretShares(std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"privacy.placement=distributed", "secagg.enabled=true",
                             "secagg.colluders=2", "secagg.min_survivors=4"});
  return Secret(std::move(more));
}

TEST(PrivacyRulesTest, SecretCohortsAreForWholeNodesWhoeverAddsTheNoise) {
  EXPECT_THAT(Errors(Secret()), IsEmpty());
  EXPECT_THAT(Errors(SecretShares()), IsEmpty());
  EXPECT_THAT(Errors({"privacy.observer=public"}),
              ElementsAre(HasSubstr("privacy.observer public is for whole nodes")));
  EXPECT_THAT(Errors(Secret({"privacy.placement=agent"})),
              ElementsAre(HasSubstr("agent protects records, not whole nodes")));
}

TEST(PrivacyRulesTest, WhateverIsNoPoissonSampleIsNoSecretCohort) {
  EXPECT_THAT(Errors(Secret({"privacy.sampling.scheme=fixed"})),
              ElementsAre(HasSubstr("privacy.sampling.scheme fixed means cohorts of one size")));
  EXPECT_THAT(Errors(Secret({"round.cohort_fraction=0.5", "round.quorum=4"})),
              ElementsAre(HasSubstr("round.cohort_fraction is 0.5, but a cohort of a fixed size")));
  EXPECT_THAT(Errors(Secret({"round.over_selection=1.2", "round.cohort_fraction=0.8"})),
              ElementsAre(HasSubstr("round.cohort_fraction"), HasSubstr("round.over_selection")));
}

TEST(PrivacyRulesTest, CohortsThatAreSkippedMoreOftenThanNotAreRefused) {
  EXPECT_THAT(Errors(Secret({"round.quorum=10"})), IsEmpty());
  EXPECT_THAT(Errors(Secret({"round.quorum=11"})),
              ElementsAre(AllOf(HasSubstr("draws 10 of 40 nodes on average"),
                                HasSubstr("fewer than 11 is skipped"))));
  // t = floor((15 + 2) / 2) + 1 = 9 of 15, so that six may leave.
  EXPECT_THAT(Errors(SecretShares({"secagg.dropout_tolerance=6"})),
              ElementsAre(HasSubstr("fewer than 15 is skipped")));
}

TEST(PrivacyRulesTest, SecretCohortsHaveRoomForWhoMayLeaveAndForTheNoise) {
  JobConfig job;
  job.round = {.nodes = 100, .quorum = 4};
  job.privacy = {.enabled = true,
                 .unit = PrivacyUnit::kClient,
                 .observer = PrivacyObserver::kPublic,
                 .placement = NoisePlacement::kCoordinator,
                 .sampling = {.rate = 0.2}};
  EXPECT_DOUBLE_EQ(ExpectedCohort(job), 20);
  EXPECT_EQ(SecretCohortBounds(job).smallest, 4);
  EXPECT_EQ(SecretCohortBounds(job).largest, 100);

  job.privacy.placement = NoisePlacement::kDistributed;
  job.secagg = {.enabled = true, .colluders = 5, .min_survivors = 4};
  EXPECT_EQ(SecretCohortBounds(job).smallest, 7);  // two honest nodes
  EXPECT_EQ(SecretCohortBounds(job).largest, 32);  // 20 + 3 sqrt(100 0.2 0.8)
  job.secagg.min_survivors = 9;
  EXPECT_EQ(SecretCohortBounds(job).smallest, 9);

  job.privacy.observer = PrivacyObserver::kInsider;
  EXPECT_DOUBLE_EQ(ExpectedCohort(job), 100);
}

TEST(PrivacyRulesTest, WhatCannotProtectIsRefused) {
  EXPECT_THAT(Errors({"privacy.placement=coordinator"}),
              ElementsAre(AllOf(HasSubstr("coordinator is for whole nodes"),
                                HasSubstr("Set it to distributed"))));
  EXPECT_THAT(Errors({"privacy.unit=client", "privacy.sampling.scheme=fixed"}),
              ElementsAre(HasSubstr("agent protects records, not whole nodes")));
  EXPECT_THAT(Errors({"evaluation.on_nodes=true"}),
              ElementsAre(HasSubstr("metrics of the nodes' data are not in the privacy budget")));
  EXPECT_THAT(Errors({"strategy.name=fedprox"}), ElementsAre(HasSubstr("fedprox changes local")));
}

TEST(PrivacyRulesTest, TrainingThatLearnsNothingIsNotCharged) {
  EXPECT_THAT(Errors({"training.local_epochs=0"}),
              ElementsAre(HasSubstr("training.local_epochs is 0, so nothing would be learned")));
  EXPECT_THAT(Errors(Distributed({"secagg.min_survivors=7", "privacy.unit=client",
                                  "privacy.sampling.scheme=fixed", "training.local_epochs=0",
                                  "privacy.delta=0.01"})),
              ElementsAre(HasSubstr("training.local_epochs is 0")));
}

TEST(PrivacyRulesTest, TheCoordinatorMayAddTheNoiseForWholeNodesWithMasksAndWithout) {
  EXPECT_THAT(Errors({"privacy.placement=coordinator", "privacy.unit=client",
                      "privacy.sampling.scheme=fixed"}),
              IsEmpty());
  EXPECT_THAT(Errors({"privacy.placement=coordinator", "privacy.unit=client",
                      "privacy.sampling.scheme=fixed", "secagg.enabled=true"}),
              IsEmpty());
  JobConfig job;
  job.privacy.placement = NoisePlacement::kCoordinator;
  EXPECT_EQ(NoisySurvivors(job), 1);
  EXPECT_EQ(StepsPerRound(job), 1);
}

TEST(PrivacyRulesTest, AnAdaptiveClipIsForWholeNodesAndBeginsBelowItsLargest) {
  const std::vector<std::string> client = {"privacy.placement=coordinator", "privacy.unit=client",
                                           "privacy.sampling.scheme=fixed"};
  const auto with = [&](const std::string& clip) {
    std::vector<std::string> overrides = client;
    overrides.push_back("privacy.adaptive_clip=" + clip);
    return Errors(overrides);
  };
  EXPECT_THAT(with("{initial: 1.0, bit_noise: 3, target_quantile: 0.7}"), IsEmpty());
  EXPECT_THAT(with("null"), IsEmpty());
  EXPECT_THAT(with("{initial: 1.01}"),
              ElementsAre(HasSubstr("initial must be at most privacy.clip_norm 1")));
  EXPECT_THAT(with("{target_quantile: 1}"), ElementsAre(HasSubstr("target_quantile must be")));
  EXPECT_THAT(Errors({"privacy.adaptive_clip={initial: 0.5}"}),
              ElementsAre(HasSubstr("follows the norms of whole updates")));
}

TEST(PrivacyRulesTest, TheBitsHaveATwentiethOfTheCohortAsNoiseUnlessTheJobSays) {
  JobConfig job;
  job.round = {.nodes = 100, .cohort_fraction = 0.6};
  job.privacy.adaptive_clip.emplace();
  EXPECT_DOUBLE_EQ(ClipBitNoise(job), 3);
  job.privacy.adaptive_clip->bit_noise = 7;
  EXPECT_DOUBLE_EQ(ClipBitNoise(job), 7);
}

TEST(PrivacyRulesTest, StepsOfARoundAreEpochsOverTheRate) {
  JobConfig job;
  job.privacy.sampling.rate = 0.00427;
  job.training.local_epochs = 3;
  EXPECT_EQ(StepsPerRound(job), 703);
  job.privacy.placement = NoisePlacement::kDistributed;
  EXPECT_EQ(StepsPerRound(job), 1);
}

}  // namespace
}  // namespace skerry
