// The clip norm of a round, in jobs where it is adaptive: named by the coordinator, limited by the
// job and by this site.
#include <limits>

#include "tests/agent/session/session_harness.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using proto::Envelope;
using testing::IsEmpty;
using testing::SizeIs;

JobConfig AdaptiveJob() {
  JobConfig job = SmallJob(kParameters);
  job.round.nodes = 100;
  job.privacy = {.enabled = true,
                 .unit = PrivacyUnit::kClient,
                 .epsilon = 2.0,
                 .noise_multiplier = 8.0,
                 .placement = NoisePlacement::kCoordinator,
                 .clip_norm = 2.0,
                 .adaptive_clip = AdaptiveClipConfig{},
                 .sampling = {.scheme = SamplingScheme::kFixed}};
  return job;
}

SessionOptions Options(double clip_norm_max) {
  SessionOptions options = HarnessOptions(1);
  options.policy.allow_coordinator_noise = true;
  options.policy.epsilon_total.reset();
  options.policy.clip_norm_max = clip_norm_max;
  return options;
}

class Site {
 public:
  explicit Site(JobConfig job = AdaptiveJob()) : agent(Options(2.0)) {
    agent.job = std::move(job);
    agent.BecomeActive();
  }
  // What is trained after a task with `clip_norm`.
  std::vector<TrainWork> TrainedWith(double clip_norm) {
    Envelope task = agent.TaskMessage(1, {"n-0"});
    task.mutable_round_task()->set_clip_norm(clip_norm);
    agent.Hear(task, agent.model_bytes());
    return agent.Works<TrainWork>();
  }

  SessionHarness agent;
};

TEST(ClipNormTest, UpdatesAreClippedToTheNormOfTheRound) {
  Site site;

  const std::vector<TrainWork> works = site.TrainedWith(0.25);

  ASSERT_THAT(works, SizeIs(1));
  EXPECT_EQ(works[0].clip_norm, 0.25);
}

TEST(ClipNormTest, TheLargestOfTheJobIsAllowedAndNothingAboveIt) {
  EXPECT_THAT(Site().TrainedWith(2.0), SizeIs(1));

  for (const double bad : {2.0000001, 0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    Site site;
    EXPECT_THAT(site.TrainedWith(bad), IsEmpty()) << bad;
    const std::vector<Envelope> failures = site.agent.Sent(Envelope::kNodeFailure);
    ASSERT_THAT(failures, SizeIs(1));
    EXPECT_EQ(failures[0].node_failure().reason(), proto::REJECT_REASON_POLICY);
  }
}

// The job's largest clip is refused with the job, so no round of it can ask for more.
TEST(ClipNormTest, AJobThatMayClipMoreThanTheSiteAllowsIsRefusedWhateverItsRoundsSay) {
  SessionHarness agent(Options(1.9));
  agent.job = AdaptiveJob();
  agent.JoinAll();
  Envelope task = agent.TaskMessage(1, {"n-0"});
  task.mutable_round_task()->set_clip_norm(0.1);

  agent.Hear(task, agent.model_bytes());

  EXPECT_THAT(agent.Works<LoadDataWork>(), IsEmpty());
  EXPECT_THAT(agent.Works<TrainWork>(), IsEmpty());
}

TEST(ClipNormTest, AFixedNormIsTheJobsWhateverTheTaskSays) {
  JobConfig job = AdaptiveJob();
  job.privacy.adaptive_clip.reset();
  Site site(job);

  const std::vector<TrainWork> works = site.TrainedWith(77.0);

  ASSERT_THAT(works, SizeIs(1));
  EXPECT_EQ(works[0].clip_norm, std::nullopt);
}

// Another norm for the same round is another round: what was made under the first does not leave.
TEST(ClipNormTest, ATaskWithAnotherNormBeginsTheRoundAnew) {
  Site site;
  const std::vector<TrainWork> first = site.TrainedWith(0.25);
  ASSERT_THAT(first, SizeIs(1));
  site.agent.out = {};

  site.TrainedWith(0.5);
  site.agent.Finish(first[0]);

  EXPECT_THAT(site.agent.PullAll(), IsEmpty());
}

}  // namespace
}  // namespace skerry
