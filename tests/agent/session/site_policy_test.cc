#include "agent/session/site_policy.h"

#include "tests/support/small_job.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr SiteFacts kFacts = {.roster_size = 100, .pinned_nodes = {}};

JobConfig PlainJob() {
  JobConfig job = SmallJob(4);
  job.round.nodes = 20;
  job.round.cohort_fraction = 0.5;
  return job;
}

SitePolicyConfig PlainPolicy() { return {.allow_plain = true, .models = {}}; }

TEST(SitePolicyTest, WithNothingWrittenAJobWithoutSecureAggregationIsRefused) {
  EXPECT_THAT(CheckSitePolicy({}, PlainJob(), kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.allow_plain")));
}

TEST(SitePolicyTest, AJobWithinEveryLimitIsAllowed) {
  SitePolicyConfig policy = PlainPolicy();
  policy.cohort_min = 10;
  policy.rounds_max = 10;
  policy.local_epochs_max = 1;
  policy.models = {ModelName::kCnn, ModelName::kLayers};

  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), kFacts));
}

TEST(SitePolicyTest, ACohortBelowTheMinimumIsRefused) {
  SitePolicyConfig policy = PlainPolicy();
  policy.cohort_min = 11;

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("has 10 nodes")));
}

TEST(SitePolicyTest, ACohortIsNoLargerThanTheRosterThatWasAnnounced) {
  SitePolicyConfig policy = PlainPolicy();
  policy.cohort_min = 5;

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), {.roster_size = 4, .pinned_nodes = {}}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("has 4 nodes")));
  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), {.roster_size = 5, .pinned_nodes = {}}));
}

TEST(SitePolicyTest, RoundsAndEpochsAreLimited) {
  SitePolicyConfig policy = PlainPolicy();
  JobConfig job = PlainJob();
  job.round.count = 11;
  job.training.local_epochs = 3;
  policy.rounds_max = 11;
  policy.local_epochs_max = 3;
  EXPECT_OK(CheckSitePolicy(policy, job, kFacts));

  policy.rounds_max = 10;
  policy.local_epochs_max = 2;

  EXPECT_THAT(CheckSitePolicy(policy, job, kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("rounds_max"), HasSubstr("local_epochs_max"))));
}

TEST(SitePolicyTest, AModelThatIsNotListedIsRefused) {
  SitePolicyConfig policy = PlainPolicy();
  policy.models = {ModelName::kCnn};

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.models")));
}

// Cohorts of 10 of 20 nodes, t = floor((10 + 6) / 2) + 1 = 9.
JobConfig MaskedJob() {
  JobConfig job = PlainJob();
  job.secagg = {.enabled = true, .colluders = 6};
  return job;
}

constexpr SiteFacts kPinned = {.roster_size = 20, .pinned_nodes = 20};

TEST(SitePolicyTest, WithNothingWrittenACarefulMaskedJobIsAllowed) {
  EXPECT_OK(CheckSitePolicy({}, MaskedJob(), kPinned));
}

TEST(SitePolicyTest, SecureAggregationThatIsSwitchedOffIsRefusedHoweverCarefulTheRest) {
  JobConfig job = MaskedJob();
  job.secagg.enabled = false;
  EXPECT_THAT(CheckSitePolicy({}, job, kPinned),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.allow_plain")));

  SitePolicyConfig policy;
  policy.allow_plain = true;

  EXPECT_OK(CheckSitePolicy(policy, job, kPinned));
}

TEST(SitePolicyTest, AMaskedJobNeedsTheSitesOwnRoster) {
  EXPECT_THAT(CheckSitePolicy({}, MaskedJob(), {.roster_size = 20, .pinned_nodes = {}}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("identity.roster")));
}

TEST(SitePolicyTest, APlainJobThatIsAllowedNeedsNoRosterAndNoColluders) {
  SitePolicyConfig policy = PlainPolicy();
  policy.survivors_min = 100;
  policy.colluders_min = 100;

  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), {.roster_size = 20, .pinned_nodes = {}}));
}

TEST(SitePolicyTest, FewerColludersThanAThirdOfTheSitesRosterAreRefused) {
  JobConfig job = MaskedJob();
  job.secagg.colluders = 5;
  EXPECT_THAT(CheckSitePolicy({}, job, kPinned),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("secagg.colluders is 5"), HasSubstr("asks for 6"),
                             HasSubstr("policy.colluders_min"))));

  // Of the roster, not of the cohort, and of the site's copy, not of what was announced.
  EXPECT_THAT(CheckSitePolicy({}, MaskedJob(), {.roster_size = 20, .pinned_nodes = 22}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("asks for 7")));
  EXPECT_OK(CheckSitePolicy({}, MaskedJob(), {.roster_size = 1000, .pinned_nodes = 20}));
}

TEST(SitePolicyTest, PolicyMayAskForOtherColluders) {
  SitePolicyConfig policy;
  policy.colluders_min = 0;
  JobConfig job = MaskedJob();
  job.secagg.colluders = 0;
  job.round.quorum = 5;
  EXPECT_OK(CheckSitePolicy(policy, job, kPinned));

  policy.colluders_min = 7;

  EXPECT_THAT(CheckSitePolicy(policy, MaskedJob(), kPinned),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("secagg.colluders is 6, policy.colluders_min asks for 7")));
}

TEST(SitePolicyTest, ASumOfTooFewUpdatesIsRefused) {
  // 10 nodes that need not all have come: a session of 3 is opened by floor(3 / 2) + 1 = 2.
  SitePolicyConfig policy;
  policy.colluders_min = 0;
  JobConfig job = MaskedJob();
  job.secagg.colluders = 0;
  job.round.quorum = 3;
  EXPECT_THAT(CheckSitePolicy(policy, job, kPinned),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("a sum of 2 updates"), HasSubstr("2 of 3 nodes"),
                             HasSubstr("policy.survivors_min asks for 3"))));

  job.secagg.min_survivors = 3;
  EXPECT_OK(CheckSitePolicy(policy, job, kPinned));

  policy.survivors_min = 4;
  EXPECT_THAT(CheckSitePolicy(policy, job, kPinned),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("a sum of 3 updates")));
}

TEST(SitePolicyTest, AMaskedCohortIsNoLargerThanTheSitesRoster) {
  SitePolicyConfig policy;
  policy.colluders_min = 0;
  JobConfig job = MaskedJob();
  job.secagg.colluders = 1;

  EXPECT_THAT(CheckSitePolicy(policy, job, {.roster_size = 20, .pinned_nodes = 4}),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("has 4 nodes, policy.cohort_min asks for 5")));
  EXPECT_OK(CheckSitePolicy(policy, job, {.roster_size = 20, .pinned_nodes = 5}));
}

TEST(SitePolicyTest, AMaskedCohortOfFourIsRefusedByDefault) {
  JobConfig job = MaskedJob();
  job.round.nodes = 4;
  job.round.cohort_fraction = 1;
  job.secagg.colluders = 1;

  EXPECT_THAT(CheckSitePolicy({}, job, {.roster_size = 4, .pinned_nodes = 4}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.cohort_min")));
}

TEST(SitePolicyTest, EveryWeakParameterIsNamedAtOnce) {
  JobConfig job = MaskedJob();
  job.round.nodes = 3;
  job.round.cohort_fraction = 1;
  job.secagg.colluders = 0;

  EXPECT_THAT(CheckSitePolicy({}, job, kPinned),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("colluders_min"), HasSubstr("survivors_min"),
                             HasSubstr("cohort_min"))));
}

// ---- differential privacy ----------------------------------------------------------------------

JobConfig PrivateJob() {
  JobConfig job = PlainJob();
  job.privacy = {.enabled = true,
                 .epsilon = 2.0,
                 .noise_multiplier = 1.5,
                 .delta = 1e-5,
                 .clip_norm = 1.0,
                 .records = 1000,
                 .sampling = {}};
  return job;
}

TEST(SitePolicyTest, PrivacyIsAskedForOnlyIfTheSiteSaysSo) {
  SitePolicyConfig policy = PlainPolicy();
  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), kFacts));

  policy.require_privacy = true;

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.require_privacy")));
  EXPECT_OK(CheckSitePolicy(policy, PrivateJob(), kFacts));
}

TEST(SitePolicyTest, AnEpsilonAboveTheSitesIsRefusedWithBothNumbers) {
  SitePolicyConfig policy = PlainPolicy();
  policy.epsilon_max = 2.0;
  EXPECT_OK(CheckSitePolicy(policy, PrivateJob(), kFacts));

  policy.epsilon_max = 1.9;

  EXPECT_THAT(CheckSitePolicy(policy, PrivateJob(), kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("privacy.epsilon is 2, policy.epsilon_max allows 1.9")));
}

// A cohort that coins decide may be as small as the job lets it be, and the site's own charges know
// nothing of coins.
TEST(SitePolicyTest, OfASecretCohortTheSmallestIsAsked) {
  JobConfig job = PrivateJob();
  job.round = {.nodes = 40, .quorum = 6};
  job.privacy.unit = PrivacyUnit::kClient;
  job.privacy.observer = PrivacyObserver::kPublic;
  job.privacy.placement = NoisePlacement::kCoordinator;
  job.privacy.sampling.rate = 0.5;
  SitePolicyConfig policy = PlainPolicy();
  policy.allow_coordinator_noise = true;
  policy.cohort_min = 6;
  const SiteFacts facts{.roster_size = 40, .pinned_nodes = {}};
  EXPECT_OK(CheckSitePolicy(policy, job, facts));

  policy.cohort_min = 7;

  EXPECT_THAT(CheckSitePolicy(policy, job, facts),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("a cohort has 6 nodes, policy.cohort_min asks for 7")));
}

// An epsilon at a larger delta is not the epsilon that the site limits.
TEST(SitePolicyTest, ADeltaAboveTheSitesIsRefusedUnlessTheSiteLimitsNothing) {
  JobConfig job = PrivateJob();
  job.privacy.delta = 2e-5;
  SitePolicyConfig policy = PlainPolicy();
  EXPECT_THAT(CheckSitePolicy(policy, job, kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("privacy.delta is 2e-05, policy.delta_total allows 1e-05")));

  policy.epsilon_total.reset();
  EXPECT_OK(CheckSitePolicy(policy, job, kFacts));

  policy.epsilon_max = 5.0;
  EXPECT_THAT(CheckSitePolicy(policy, job, kFacts), StatusIs(absl::StatusCode::kPermissionDenied));
  policy.delta_total = 2e-5;
  EXPECT_OK(CheckSitePolicy(policy, job, kFacts));
}

TEST(SitePolicyTest, AClipNormAboveTheSitesIsRefused) {
  SitePolicyConfig policy = PlainPolicy();
  policy.clip_norm_max = 1.0;
  EXPECT_OK(CheckSitePolicy(policy, PrivateJob(), kFacts));

  policy.clip_norm_max = 0.5;

  EXPECT_THAT(CheckSitePolicy(policy, PrivateJob(), kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("privacy.clip_norm is 1, policy.clip_norm_max allows 0.5")));
}

TEST(SitePolicyTest, NoiseOfTheCoordinatorIsPrivacyOnlyForASiteThatTrustsIt) {
  JobConfig job = PrivateJob();
  job.privacy.unit = PrivacyUnit::kClient;
  job.privacy.placement = NoisePlacement::kCoordinator;
  SitePolicyConfig policy = PlainPolicy();
  EXPECT_THAT(CheckSitePolicy(policy, job, kFacts),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("policy.allow_coordinator_noise: true trusts it")));

  policy.allow_coordinator_noise = true;
  EXPECT_OK(CheckSitePolicy(policy, job, kFacts));

  policy.require_privacy = true;
  EXPECT_OK(CheckSitePolicy(policy, job, kFacts));
}

TEST(SitePolicyTest, LimitsOfNoiseDoNotConcernAJobWithoutPrivacy) {
  SitePolicyConfig policy = PlainPolicy();
  policy.epsilon_max = 0.1;
  policy.clip_norm_max = 0.1;

  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), kFacts));
}

}  // namespace
}  // namespace skerry
