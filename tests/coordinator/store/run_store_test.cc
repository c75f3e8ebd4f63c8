#include "coordinator/store/run_store.h"

#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <utility>

#include "common/base/file.h"
#include "common/tensor/safetensors.h"
#include "coordinator/store/schema.h"
#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using RunStoreTest = StoreFixture;

// Every file this process writes ends at `bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_before_ = std::signal(SIGXFSZ, SIG_IGN);
    SKERRY_ASSERT(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{bytes, before_.rlim_max};
    SKERRY_ASSERT(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_before_);
  }

 private:
  rlimit before_{};
  void (*handler_before_)(int) = nullptr;
};

TEST_F(RunStoreTest, NewRunHoldsTheInitialModelAndNoRound) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.run.last_committed, RoundId(0));
  EXPECT_FALSE(restored.run.open_round.has_value());
  EXPECT_EQ(restored.run.model_sha256, Info().initial_sha256);
  EXPECT_EQ(restored.run.last_evaluated, ModelVersion(0));
  EXPECT_EQ(restored.base_round, RoundId(0));
  EXPECT_THAT(restored.replay, IsEmpty());
  EXPECT_EQ(restored.status, RunStatus::kRunning);
  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint base,
                       ReadCheckpoint(dir(), restored.base, layout_, nullptr));
  EXPECT_EQ(Values(base.model), Values(Model(0)));
}

TEST_F(RunStoreTest, SecondRunInOneDirectoryIsRefused) {
  { ASSERT_OK(Create()); }

  EXPECT_THAT(Create(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--resume")));
}

TEST_F(RunStoreTest, CreationInterruptedBeforeTheRunWasWrittenCanBeRepeated) {
  ASSERT_OK(MakeDirectories(dir()));
  { ASSERT_OK(SqliteDatabase::Open(DatabasePath(dir()), SqliteMode::kCreate)); }
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("interrupted")));

  EXPECT_OK(Create());
}

TEST_F(RunStoreTest, SecondCoordinatorIsToldWhoHasTheRun) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr(fmt::format("process {}", ::getpid()))));
}

TEST_F(RunStoreTest, OpenRoundIsRestoredWithItsCohortAndNewestAttempt) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithCheckpoint(1), Started(2)));
    ASSERT_OK(AppendAll(store, Started(2, /*attempt=*/2)));
  }

  ASSERT_OK_AND_ASSIGN(RunStore store, Open());

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.run.last_committed, RoundId(1));
  EXPECT_EQ(restored.run.model_sha256, Sha(1));
  ASSERT_TRUE(restored.run.open_round.has_value());
  EXPECT_EQ(restored.run.open_round->round, RoundId(2));
  EXPECT_EQ(restored.run.open_round->attempt, AttemptId(2));
  EXPECT_EQ(restored.run.open_round->invited, Started(2).invited);
}

TEST_F(RunStoreTest, RoundsAfterTheCheckpointAreRestoredAsAggregatesInOrder) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1)));
    ASSERT_OK(AppendAll(store, Started(2), WithCheckpoint(2)));
    ASSERT_OK(AppendAll(store, Started(3), WithAggregate(3), Started(4), WithAggregate(4)));
  }

  ASSERT_OK_AND_ASSIGN(RunStore store, Open());

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.base_round, RoundId(2));
  EXPECT_THAT(restored.replay, ElementsAre(RoundId(3), RoundId(4)));
  ASSERT_OK_AND_ASSIGN(const ParameterVector third, store.ReadAggregate(RoundId(3), layout_));
  ASSERT_OK_AND_ASSIGN(const ParameterVector fourth, store.ReadAggregate(RoundId(4), layout_));
  EXPECT_EQ(Values(third), Values(Model(3.5f)));
  EXPECT_EQ(Values(fourth), Values(Model(4.5f)));
  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint base,
                       ReadCheckpoint(dir(), restored.base, layout_, state_layout_));
  EXPECT_EQ(Values(base.model), Values(Model(2)));
  EXPECT_EQ(Values(base.state.value()), Values(State(-1)));
}

TEST_F(RunStoreTest, CheckpointReplacesTheAggregatesBeforeIt) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1)));
  ASSERT_OK(store.ReadAggregate(RoundId(1), layout_));

  ASSERT_OK(AppendAll(store, Started(2), WithCheckpoint(2)));

  EXPECT_THAT(store.ReadAggregate(RoundId(1), layout_), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(RunStoreTest, AggregateOfAnotherSizeIsDataLoss) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1)));
  const auto larger = *ParameterLayout::Create({{"w", {100}}});

  EXPECT_THAT(store.ReadAggregate(RoundId(1), larger),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("64 bytes, expected 400")));
}

TEST_F(RunStoreTest, OnlyTheNewestCheckpointsAreKept) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  for (uint64_t round = 1; round <= 4; ++round) {
    ASSERT_OK(AppendAll(store, Started(round), WithCheckpoint(round)));
  }

  EXPECT_FALSE(Exists("models/round-000000.safetensors"));
  EXPECT_FALSE(Exists("models/round-000002.safetensors"));
  EXPECT_FALSE(Exists("state/round-000002.safetensors"));
  EXPECT_TRUE(Exists("models/round-000003.safetensors"));
  EXPECT_TRUE(Exists("state/round-000003.safetensors"));
  EXPECT_TRUE(Exists("models/round-000004.safetensors"));
  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.base_round, RoundId(4));
}

TEST_F(RunStoreTest, BaseOfLaterAggregatesIsKeptHoweverOldItIs) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  for (uint64_t round = 1; round <= 9; ++round) {
    ASSERT_OK(AppendAll(store, Started(round), WithAggregate(round)));
  }

  EXPECT_TRUE(Exists("models/round-000000.safetensors"));
  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.base_round, RoundId(0));
  EXPECT_EQ(restored.replay.size(), 9u);
}

TEST_F(RunStoreTest, LastModelIsTheNewestCheckpointUnderASecondName) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  for (uint64_t round = 1; round <= 2; ++round) {
    ASSERT_OK(AppendAll(store, Started(round), WithCheckpoint(round)));

    EXPECT_TRUE(std::filesystem::equivalent(Path("model.safetensors"),
                                            Path("models/" + CheckpointFileName(RoundId(round)))));
  }
}

TEST_F(RunStoreTest, LastModelWrittenBetweenCheckpointsLeavesTheCheckpointAlone) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithCheckpoint(1), Started(2), WithAggregate(2)));
    ASSERT_OK(store.WriteLastModel(Model(77), RoundId(2)));
  }

  ASSERT_OK_AND_ASSIGN(RunStore store, Open());

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile last, ReadSafetensors(Path("model.safetensors")));
  EXPECT_EQ(Values(last.parameters), Values(Model(77)));
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile checkpoint,
                       ReadSafetensors(Path("models/round-000001.safetensors")));
  EXPECT_EQ(Values(checkpoint.parameters), Values(Model(1)));
}

TEST_F(RunStoreTest, FilesThatNoCommitNamesAreRemovedWhenTheRunIsOpened) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithCheckpoint(1), Started(2)));
    WithCheckpoint(2);  // written, then killed before the commit
    std::ofstream(Path("models/round-000003.safetensors.tmp-12-0")) << "half";
    std::ofstream(Path("models/mine.safetensors")) << "a person's own";
  }

  ASSERT_OK(Open());

  EXPECT_FALSE(Exists("models/round-000002.safetensors"));
  EXPECT_FALSE(Exists("state/round-000002.safetensors"));
  EXPECT_FALSE(Exists("models/round-000003.safetensors.tmp-12-0"));
  EXPECT_TRUE(Exists("models/mine.safetensors"));
  EXPECT_TRUE(Exists("models/round-000001.safetensors"));
}

TEST_F(RunStoreTest, RoundCommittedTwiceIsRefusedAndTheFirstStays) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1)));
  RoundCommitted again = WithAggregate(1);
  again.model_sha256 = Sha(99);

  EXPECT_THAT(AppendAll(store, again), StatusIs(absl::StatusCode::kInternal));

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.run.model_sha256, Sha(1));
}

TEST_F(RunStoreTest, BatchThatFailsLeavesNoTrace) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  EXPECT_FALSE(AppendAll(store, Started(1), WithAggregate(1), WithAggregate(2)).ok());

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.run.last_committed, RoundId(0));
  EXPECT_FALSE(restored.run.open_round.has_value());
  EXPECT_OK(AppendAll(store, Started(1), WithAggregate(1)));
}

TEST_F(RunStoreTest, FullDiskIsNamedAndTheRunGoesOnOnceThereIsSpace) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(AppendAll(store, Started(1)));
  RoundCommitted large = Committed(1);
  large.aggregate =
      std::make_shared<const ParameterVector>(*ParameterLayout::Create({{"w", {1 << 20}}}));
  {
    const FileSizeLimit limit(1 << 20);

    EXPECT_THAT(AppendAll(store, large),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("run.db")));
  }
  ASSERT_OK_AND_ASSIGN(const RestoredStore before, store.Restore());
  EXPECT_EQ(before.run.last_committed, RoundId(0));

  ASSERT_OK(AppendAll(store, large));

  ASSERT_OK_AND_ASSIGN(const RestoredStore after, store.Restore());
  EXPECT_EQ(after.run.last_committed, RoundId(1));
}

TEST_F(RunStoreTest, EndOfTheRunIsRestored) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  ASSERT_OK(AppendAll(store, RunEnded{RunStatus::kInterrupted, "SIGTERM"}));

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.status, RunStatus::kInterrupted);
}

TEST_F(RunStoreTest, ContinuedRunIsRunningAgain) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, RunEnded{RunStatus::kFailed, "disk full"}));
  }

  { ASSERT_OK(Open()); }

  ASSERT_OK_AND_ASSIGN(const RunHistory history, ReadRunHistory(dir()));
  EXPECT_EQ(history.status, RunStatus::kRunning);
  EXPECT_FALSE(history.ended_unix_ms.has_value());
}

TEST_F(RunStoreTest, CompletedRunStaysCompletedWhenOpened) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, RunEnded{RunStatus::kCompleted, ""}));
  }

  ASSERT_OK_AND_ASSIGN(RunStore store, Open());

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.status, RunStatus::kCompleted);
}

TEST_F(RunStoreTest, NewestEvaluationIsRestored) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());

  ASSERT_OK(AppendAll(store, EvaluationRecorded{ModelVersion(3), 10, {{"loss", 1.0}}},
                      EvaluationRecorded{ModelVersion(2), 10, {{"loss", 2.0}}}));

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, store.Restore());
  EXPECT_EQ(restored.run.last_evaluated, ModelVersion(3));
}

TEST_F(RunStoreTest, MissingRunIsNotFound) {
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("run.db")));
}

TEST_F(RunStoreTest, FileThatIsNoDatabaseIsDataLoss) {
  ASSERT_OK(MakeDirectories(dir()));
  ASSERT_OK(WriteFileAtomically(DatabasePath(dir()), std::string(4096, 'x')));

  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("run.db")));
}

TEST_F(RunStoreTest, OverwrittenPageIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithCheckpoint(1)));
  }
  std::fstream file(DatabasePath(dir()), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(2 * 4096);
  file << std::string(3 * 4096, '\x7f');
  file.close();

  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace skerry
