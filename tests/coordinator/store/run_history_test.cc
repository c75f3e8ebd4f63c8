#include "coordinator/store/run_history.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <unistd.h>

#include "coordinator/store/schema.h"
#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::ElementsAre;

constexpr uid_t kNobody = 65534;

using RunHistoryTest = StoreFixture;

TEST_F(RunHistoryTest, EverythingWrittenIsReadBack) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    RoundCommitted first = WithCheckpoint(1);
    first.node_metrics = NodeMetrics{90, 60, 31.5};
    const std::vector<Record> commit = {
        Started(1), first, EventRecorded{RoundId(1), "node cut", "b", "no progress for 30 s"},
        EvaluationRecorded{ModelVersion(1), 1000, {{"accuracy", 0.75}, {"loss", 0.6}}}};
    ASSERT_OK(store.Append(commit, kStart + 5000,
                           RoundTraffic{RoundId(1), 1000, 2000, std::chrono::seconds(3)}));
    ASSERT_OK(AppendAll(store, Started(2)));
  }

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));

  EXPECT_EQ(history.info.run_id, Info().run_id);
  EXPECT_EQ(history.info.job_name, "fashion_cnn");
  EXPECT_EQ(history.info.job_yaml, Info().job_yaml);
  EXPECT_EQ(history.info.guarantee, Info().guarantee);
  EXPECT_EQ(history.info.seed, Info().seed);
  EXPECT_EQ(history.info.roster_sha256, Info().roster_sha256);
  EXPECT_EQ(history.info.initial_sha256, Info().initial_sha256);
  EXPECT_EQ(history.info.software_version, "0.1.0");
  EXPECT_EQ(history.info.rounds_planned, 10u);
  EXPECT_EQ(history.info.keep_models, 2u);
  EXPECT_EQ(history.info.started_unix_ms, kStart);
  EXPECT_EQ(history.status, RunStatus::kRunning);

  ASSERT_EQ(history.rounds.size(), 1u);
  const RoundHistory& round = history.rounds[0];
  const RoundCommitted expected = Committed(1);
  EXPECT_EQ(round.committed.round, RoundId(1));
  EXPECT_EQ(round.committed.model_sha256, Sha(1));
  EXPECT_EQ(round.committed.weight_sum, 120);
  EXPECT_EQ(round.committed.clamped_sum, 3);
  EXPECT_EQ(round.committed.update_norm, 0.25);
  EXPECT_EQ(round.committed.node_metrics->examples, 90);
  EXPECT_EQ(round.committed.node_metrics->correct, 60);
  EXPECT_EQ(round.committed.node_metrics->loss_sum, 31.5);
  EXPECT_EQ(round.committed.timings.until_quorum, expected.timings.until_quorum);
  EXPECT_EQ(round.committed.timings.until_closed, expected.timings.until_closed);
  EXPECT_EQ(round.committed.timings.committing, expected.timings.committing);
  ASSERT_EQ(round.committed.participants.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(round.committed.participants[i].node, expected.participants[i].node);
    EXPECT_EQ(round.committed.participants[i].participation,
              expected.participants[i].participation);
    EXPECT_EQ(round.committed.participants[i].reason, expected.participants[i].reason);
    EXPECT_EQ(round.committed.participants[i].finished_after,
              expected.participants[i].finished_after);
  }
  EXPECT_EQ(round.traffic.bytes_sent, 1000u);
  EXPECT_EQ(round.traffic.bytes_received, 2000u);
  EXPECT_EQ(round.traffic.wall, std::chrono::seconds(3));
  EXPECT_EQ(round.committed_unix_ms, kStart + 5000);

  EXPECT_EQ(history.evaluations.at(1).metrics.at("accuracy"), 0.75);
  EXPECT_EQ(history.evaluations.at(1).examples, 1000u);
  ASSERT_EQ(history.events.size(), 1u);
  EXPECT_EQ(history.events[0].event.kind, "node cut");
  EXPECT_EQ(history.events[0].event.node, "b");
  EXPECT_EQ(history.events[0].event.detail, "no progress for 30 s");
  EXPECT_EQ(history.events[0].unix_ms, kStart + 5000);
  ASSERT_TRUE(history.open_round.has_value());
  EXPECT_EQ(history.open_round->round, RoundId(2));
  EXPECT_EQ(history.checkpoints.size(), 2u);
}

TEST_F(RunHistoryTest, SurvivorsAreTheAcceptedNodesOfEachCommittedRound) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  RoundCommitted second = WithAggregate(2);
  second.participants = {{NodeId("b"), Participation::kAccepted, "", std::nullopt},
                         {NodeId("c"), Participation::kFailed, "disk", std::nullopt}};
  ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1), Started(2), second, Started(3)));

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));

  EXPECT_THAT(Survivors(history),
              ElementsAre(ElementsAre(NodeId("a"), NodeId("c")), ElementsAre(NodeId("b"))));
}

TEST_F(RunHistoryTest, LiveRunIsReadWhileItIsWritten) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  for (uint64_t round = 1; round <= 3; ++round) {
    ASSERT_OK(AppendAll(store, Started(round), WithAggregate(round)));

    ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));

    EXPECT_EQ(history.rounds.size(), round);
  }
}

TEST_F(RunHistoryTest, MetricThatIsNotANumberStaysOneAndInfinityToo) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  const double infinity = std::numeric_limits<double>::infinity();
  ASSERT_OK(AppendAll(
      store, EvaluationRecorded{ModelVersion(1), 1, {{"loss", std::nan("")}, {"mae", infinity}}}));

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));

  EXPECT_TRUE(std::isnan(history.evaluations.at(1).metrics.at("loss")));
  EXPECT_EQ(history.evaluations.at(1).metrics.at("mae"), infinity);
}

TEST_F(RunHistoryTest, EachStartOfACoordinatorIsASession) {
  { ASSERT_OK(Create()); }
  { ASSERT_OK(Open()); }

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));

  ASSERT_EQ(history.sessions.size(), 2u);
  EXPECT_EQ(history.sessions[1].software_version, "0.1.1");
  EXPECT_EQ(history.sessions[1].started_unix_ms, kStart + 1000);
  EXPECT_EQ(history.info.software_version, "0.1.0");
}

TEST_F(RunHistoryTest, ArchivedRunIsReadFromAFolderThatCannotBeWritten) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1)));
  }
  const auto set_mode = [](const std::string& path, unsigned mode) {
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
  };
  set_mode(folder_.path(), 0755);
  set_mode(dir(), 0555);

  const bool is_root = ::geteuid() == 0;  // may write everywhere, so somebody else must read
  if (is_root) {
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  const auto history = ReadRunHistory(dir());
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }

  set_mode(dir(), 0755);
  ASSERT_OK(history);
  EXPECT_EQ(history->rounds.size(), 1u);
}

TEST_F(RunHistoryTest, MissingRunIsNotFound) {
  EXPECT_THAT(ReadRunHistory(dir()), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace skerry
