#include "agent/session/site_policy.h"

#include "tests/support/small_job.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr uint32_t kRosterSize = 100;

JobConfig PlainJob() {
  JobConfig job = SmallJob(4);
  job.round.nodes = 20;
  job.round.cohort_fraction = 0.5;
  return job;
}

SitePolicyConfig PlainPolicy() { return {.allow_plain = true, .models = {}}; }

TEST(SitePolicyTest, WithNothingWrittenAJobWithoutSecureAggregationIsRefused) {
  EXPECT_THAT(CheckSitePolicy({}, PlainJob(), kRosterSize),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.allow_plain")));
}

TEST(SitePolicyTest, AJobWithinEveryLimitIsAllowed) {
  SitePolicyConfig policy = PlainPolicy();
  policy.cohort_min = 10;
  policy.rounds_max = 10;
  policy.local_epochs_max = 1;
  policy.models = {ModelName::kCnn, ModelName::kLayers};

  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), kRosterSize));
}

TEST(SitePolicyTest, ACohortBelowTheMinimumIsRefused) {
  SitePolicyConfig policy = PlainPolicy();
  policy.cohort_min = 11;

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), kRosterSize),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("has 10 nodes")));
}

TEST(SitePolicyTest, ACohortIsNoLargerThanTheRosterThatWasAnnounced) {
  SitePolicyConfig policy = PlainPolicy();
  policy.cohort_min = 5;

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), 4),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("has 4 nodes")));
  EXPECT_OK(CheckSitePolicy(policy, PlainJob(), 5));
}

TEST(SitePolicyTest, RoundsAndEpochsAreLimited) {
  SitePolicyConfig policy = PlainPolicy();
  JobConfig job = PlainJob();
  job.round.count = 11;
  job.training.local_epochs = 3;
  policy.rounds_max = 11;
  policy.local_epochs_max = 3;
  EXPECT_OK(CheckSitePolicy(policy, job, kRosterSize));

  policy.rounds_max = 10;
  policy.local_epochs_max = 2;

  EXPECT_THAT(CheckSitePolicy(policy, job, kRosterSize),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("rounds_max"), HasSubstr("local_epochs_max"))));
}

TEST(SitePolicyTest, AModelThatIsNotListedIsRefused) {
  SitePolicyConfig policy = PlainPolicy();
  policy.models = {ModelName::kCnn};

  EXPECT_THAT(CheckSitePolicy(policy, PlainJob(), kRosterSize),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("policy.models")));
}

}  // namespace
}  // namespace skerry
