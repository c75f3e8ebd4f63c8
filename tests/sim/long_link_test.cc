// Slow links and links that are down for minutes: a transfer goes on where it was, and whoever is
// slow holds up nobody else.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/cluster.h"

namespace skerry {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::IsEmpty;

constexpr int64_t kParameters = 1'750'000;  // 7 MB
// With the weight and the count.
constexpr uint64_t kUploadBytes = (kParameters + 2) * sizeof(float);
constexpr uint64_t kMegabitPerS = 125'000;

// Four processes with one node each, all of which are needed, and the transfers of a real run. The
// first one's link is slow: a model takes it 56 s down and again up.
Scenario SlowScenario() {
  Scenario scenario;
  scenario.seed = 5;
  scenario.weather = 6;
  scenario.node_count = 4;
  scenario.process_count = 4;
  scenario.dimension = kParameters;
  scenario.round.count = 1;
  scenario.round.nodes = 4;
  scenario.round.quorum = 4;
  scenario.sends_models_inline = false;
  scenario.inline_upload_bytes_max = 256 << 10;
  scenario.upload_memory_bytes = 64 << 20;
  scenario.chunk_bytes = 256 << 10;
  scenario.window_bytes = 1 << 20;
  scenario.slow_links = {{ProcessName("p-0"), kMegabitPerS}};
  scenario.slot_rate_min = 1 << 20;
  return scenario;
}

Duration FinishedAfter(const RunResult& result, const char* node) {
  for (const ParticipantRecord& participant : result.log.committed.at(0).participants) {
    if (participant.node == NodeId(node)) return participant.finished_after.value_or(Duration(-1));
  }
  return Duration(-1);
}

TEST(LongLinkTest, ASixMinuteCutInTheMiddleOfAnUploadCostsSixMinutesAndNoByteTwice) {
  Scenario scenario = SlowScenario();
  const RunResult calm = RunCluster(scenario);
  const Duration uploading = FinishedAfter(calm, "n-0000");
  ASSERT_GT(uploading, seconds(100));
  // Half of the upload is there.
  const Instant cut = Instant() + uploading - seconds(28);
  scenario.outages = {{.process = ProcessName("p-0"), .from = cut, .length = minutes(6)}};

  const RunResult result = RunCluster(scenario);

  EXPECT_THAT(calm.violations, IsEmpty());
  EXPECT_EQ(calm.log.upload_bytes.at(ProcessName("p-0")), kUploadBytes);
  EXPECT_THAT(result.violations, IsEmpty());
  EXPECT_EQ(result.model_sha256, calm.model_sha256);
  EXPECT_EQ(result.log.trainings.size(), 4u);
  const uint64_t sent = result.log.upload_bytes.at(ProcessName("p-0"));
  EXPECT_GT(sent, kUploadBytes) << "something was lost on the way";
  EXPECT_LT(sent, kUploadBytes * 3 / 2);
  EXPECT_LT(FinishedAfter(result, "n-0000"), uploading + minutes(6) + seconds(20));
}

TEST(LongLinkTest, ANodeAtOneMegabitASecondIsWaitedForWhileItMovesAndHoldsNobodyUp) {
  Scenario scenario = SlowScenario();
  // Three slow ones for two memory slots, and one that comes behind them.
  for (const char* name : {"p-1", "p-2"}) {
    scenario.slow_links[ProcessName(name)] = kMegabitPerS;
  }
  scenario.outages = {{.process = ProcessName("p-3"), .from = Instant(), .length = seconds(70)}};
  // Once that one is there, nodes without progress are cut.
  scenario.round.quorum = 1;
  scenario.round.stall_timeout = seconds(20);

  const RunResult result = RunCluster(scenario);

  EXPECT_THAT(result.violations, IsEmpty());
  ASSERT_EQ(result.log.committed.size(), 1u);
  for (const char* slow : {"n-0000", "n-0001", "n-0002"}) {
    EXPECT_GT(FinishedAfter(result, slow), seconds(100)) << slow;
  }
  const Duration fast = FinishedAfter(result, "n-0003");
  EXPECT_GT(fast, seconds(70));
  EXPECT_LT(fast, seconds(90)) << "slow uploads gave their memory up";
}

}  // namespace
}  // namespace skerry
