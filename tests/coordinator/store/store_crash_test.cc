// Kills and power cuts: the directory is copied at a moment, and the copy must open as what had
// been promised by then.
#include <filesystem>
#include <fstream>
#include <utility>

#include "common/base/file.h"
#include "coordinator/store/run_store.h"
#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

class StoreCrashTest : public StoreFixture {
 protected:
  // What a kill would leave: the files as they are now, without the open handles.
  std::string Copy(const std::string& name) {
    const std::string to = folder_ / name;
    std::filesystem::copy(dir(), to, std::filesystem::copy_options::recursive);
    std::filesystem::remove(to + "/run.db-shm");  // rebuilt from the log, as after a reboot
    return to;
  }
};

TEST_F(StoreCrashTest, EveryPrefixOfARunOpensAsThatPrefix) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  const std::vector<std::vector<Record>> batches = {
      {Started(1)},
      {WithAggregate(1), Started(2)},
      {WithCheckpoint(2), Started(3)},
      {WithAggregate(3)},
      {Started(4)},
      {WithCheckpoint(4), EvaluationRecorded{ModelVersion(4), 100, {{"loss", 0.5}}}},
      {RunEnded{RunStatus::kCompleted, ""}}};
  struct Expected {
    uint64_t committed, open, base;
    size_t replay;
  };
  const std::vector<Expected> expected = {{0, 1, 0, 0}, {1, 2, 0, 1}, {2, 3, 2, 0}, {3, 0, 2, 1},
                                          {3, 4, 2, 1}, {4, 0, 4, 0}, {4, 0, 4, 0}};

  for (size_t i = 0; i < batches.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_OK(store.Append(batches[i], kStart));
    const std::string copy = Copy(fmt::format("copy{}", i));

    ASSERT_OK_AND_ASSIGN(RunStore reopened, RunStore::Open(copy, "0.1.0", kStart));
    ASSERT_OK_AND_ASSIGN(const RestoredStore restored, reopened.Restore());

    EXPECT_EQ(restored.run.last_committed, RoundId(expected[i].committed));
    EXPECT_EQ(restored.run.open_round.has_value(), expected[i].open != 0);
    if (restored.run.open_round.has_value()) {
      EXPECT_EQ(restored.run.open_round->round, RoundId(expected[i].open));
    }
    EXPECT_EQ(restored.base_round, RoundId(expected[i].base));
    EXPECT_EQ(restored.replay.size(), expected[i].replay);
    for (const RoundId round : restored.replay) {
      EXPECT_OK(reopened.ReadAggregate(round, layout_));
    }
    EXPECT_OK(ReadCheckpoint(copy, restored.base, layout_,
                             expected[i].base == 0 ? nullptr : state_layout_));
  }
}

TEST_F(StoreCrashTest, LogTornAtAnyPlaceOpensAsAnEarlierPrefix) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  for (uint64_t round = 1; round <= 3; ++round) {
    ASSERT_OK(AppendAll(store, Started(round), WithAggregate(round)));
  }
  const std::string intact = Copy("intact");
  const auto log_bytes = std::filesystem::file_size(intact + "/run.db-wal");
  uint64_t last_before = 3;

  // 1531 is odd and prime, so cuts fall everywhere: in headers of log frames, in pages, between.
  // The first commits hold the tables themselves; without them there is no run to open.
  bool is_run_gone = false;
  for (uint64_t cut = 0; cut <= log_bytes; cut += 1531) {
    SCOPED_TRACE(cut);
    const std::string torn = folder_ / "torn";
    std::filesystem::remove_all(torn);
    std::filesystem::copy(intact, torn, std::filesystem::copy_options::recursive);
    std::filesystem::resize_file(torn + "/run.db-wal", log_bytes - cut);

    auto reopened = RunStore::Open(torn, "0.1.0", kStart);
    if (!reopened.ok()) {
      EXPECT_THAT(reopened, StatusIs(absl::StatusCode::kFailedPrecondition,
                                     testing::HasSubstr("interrupted")));
      is_run_gone = true;
      continue;
    }
    EXPECT_FALSE(is_run_gone);
    ASSERT_OK_AND_ASSIGN(const RestoredStore restored, reopened->Restore());
    EXPECT_LE(restored.run.last_committed.value(), last_before);
    EXPECT_EQ(restored.replay.size(), restored.run.last_committed.value());
    last_before = restored.run.last_committed.value();
  }
  EXPECT_EQ(last_before, 0u);
  EXPECT_TRUE(is_run_gone);
}

TEST_F(StoreCrashTest, GarbageAfterTheLastCommitIsIgnored) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(AppendAll(store, Started(1), WithAggregate(1)));
  const std::string copy = Copy("copy");
  std::ofstream(copy + "/run.db-wal", std::ios::app | std::ios::binary) << std::string(9000, 'g');

  ASSERT_OK_AND_ASSIGN(RunStore reopened, RunStore::Open(copy, "0.1.0", kStart));

  ASSERT_OK_AND_ASSIGN(const RestoredStore restored, reopened.Restore());
  EXPECT_EQ(restored.run.last_committed, RoundId(1));
}

}  // namespace
}  // namespace skerry
