#include "coordinator/store/schema.h"

#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::HasSubstr;

using SchemaTest = StoreFixture;

absl::Status Change(const std::string& run_dir, const std::string& sql) {
  SKERRY_ASSIGN_OR_RETURN(SqliteDatabase database,
                          SqliteDatabase::Open(DatabasePath(run_dir), SqliteMode::kReadWrite));
  return database.Execute(sql);
}

TEST_F(SchemaTest, NewerTablesAreRefusedWithBothVersionsNamed) {
  { ASSERT_OK(Create()); }
  ASSERT_OK(Change(dir(), "PRAGMA user_version = 2"));

  for (const absl::Status& status : {Open().status(), ReadRunHistory(dir()).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("version 2, this program knows 1")));
  }
}

TEST_F(SchemaTest, DatabaseOfAnotherProgramIsRefused) {
  { ASSERT_OK(Create()); }
  ASSERT_OK(Change(dir(), "PRAGMA application_id = 7"));

  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another program")));
}

TEST(EncodeParticipantsTest, EncodingIsTheDocumentedOne) {
  const std::vector<ParticipantRecord> participants = {
      {NodeId("node-1"), Participation::kAccepted, "", std::chrono::microseconds(1204311)},
      {NodeId("node-7"), Participation::kCut, "no progress for 30 s", std::nullopt}};

  EXPECT_EQ(EncodeParticipants(participants),
            R"({"accepted":{"node-1":1204311},"cut":{"node-7":"no progress for 30 s"}})");
}

TEST(EncodeParticipantsTest, EveryStateIsReadBackSortedByNode) {
  std::vector<ParticipantRecord> participants;
  for (size_t i = 0; i < kParticipationCount; ++i) {
    participants.push_back(
        {NodeId(fmt::format("n{}", 9 - i)), static_cast<Participation>(i), "", std::nullopt});
  }

  ASSERT_OK_AND_ASSIGN(const auto decoded, DecodeParticipants(EncodeParticipants(participants)));

  ASSERT_EQ(decoded.size(), kParticipationCount);
  for (size_t i = 0; i < kParticipationCount; ++i) {
    const ParticipantRecord& expected = participants[kParticipationCount - 1 - i];
    EXPECT_EQ(decoded[i].node, expected.node);
    EXPECT_EQ(decoded[i].participation, expected.participation);
  }
}

TEST(EncodeParticipantsTest, ReasonWithBytesThatAreNotTextIsKeptReadable) {
  const std::vector<ParticipantRecord> participants = {
      {NodeId("x"), Participation::kFailed, "bad \xff\"\n byte", std::nullopt}};

  ASSERT_OK_AND_ASSIGN(const auto decoded, DecodeParticipants(EncodeParticipants(participants)));

  EXPECT_EQ(decoded.at(0).reason, "bad \xEF\xBF\xBD\"\n byte");
}

TEST(DecodeParticipantsTest, DamagedTextIsDataLoss) {
  for (const char* text : {"", "[]", "{\"accepted\":[]}", "{\"asleep\":{\"a\":1}}", "{\"cut\":"}) {
    EXPECT_THAT(DecodeParticipants(text), StatusIs(absl::StatusCode::kDataLoss)) << text;
  }
}

TEST(DecodeNodesTest, DamagedTextIsDataLoss) {
  for (const char* text : {"", "{}", "[1]", "[\"a\""}) {
    EXPECT_THAT(DecodeNodes(text), StatusIs(absl::StatusCode::kDataLoss)) << text;
  }
}

TEST(RunStatusTest, NamesAreReadBack) {
  for (const RunStatus status :
       {RunStatus::kRunning, RunStatus::kCompleted, RunStatus::kFailed, RunStatus::kInterrupted}) {
    EXPECT_EQ(RunStatusFromName(RunStatusName(status)), status);
  }
  EXPECT_EQ(RunStatusFromName("asleep"), std::nullopt);
}

}  // namespace
}  // namespace skerry
