#include "coordinator/keys/throw_away_identities.h"

#include "common/identity/key_files.h"
#include "common/identity/roster.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(ThrowAwayIdentitiesTest, FoldersAndRosterBelongTogether) {
  TemporaryDirectory folder;
  SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(
      const ThrowAwayIdentities made,
      MakeThrowAwayIdentities({.folder = folder.path(), .node_count = 10, .process_count = 3},
                              random));

  ASSERT_OK_AND_ASSIGN(const Roster roster, Roster::Load(made.roster_path));
  EXPECT_EQ(roster.nodes().size(), 10u);
  ASSERT_OK_AND_ASSIGN(const CurveKeyPair coordinator, ReadCurveKeyFile(made.coordinator_key_path));
  EXPECT_EQ(coordinator.public_key(), made.coordinator_public_key);
  ASSERT_EQ(made.processes.size(), 3u);
  int64_t next = 0;
  for (const ThrowAwayProcess& process : made.processes) {
    EXPECT_EQ(process.first_node, next);
    EXPECT_GE(process.node_count, 3);
    EXPECT_LE(process.node_count, 4);
    ASSERT_OK_AND_ASSIGN(const ProcessKeys keys, ReadProcessKeys(process.key_folder));
    EXPECT_EQ(roster.FindProcess(process.name)->key, keys.curve.public_key());
    ASSERT_EQ(keys.nodes.size(), static_cast<size_t>(process.node_count));
    for (const NodeKey& node : keys.nodes) {
      EXPECT_EQ(node.id, VirtualNodeId(next++, 10));
      const RosterNode* entry = roster.FindNode(node.id);
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(entry->key, node.key.public_key());
      EXPECT_EQ(roster.ProcessOf(*entry).name, process.name);
    }
  }
  EXPECT_EQ(next, 10);
}

TEST(ThrowAwayIdentitiesTest, NamesSortLikeNumbers) {
  EXPECT_EQ(VirtualNodeId(7, 8), NodeId("node-0007"));
  EXPECT_EQ(VirtualNodeId(9999, 10'000), NodeId("node-9999"));
  EXPECT_EQ(VirtualNodeId(7, 10'001), NodeId("node-00007"));
  EXPECT_LT(VirtualNodeId(9999, 10'001), VirtualNodeId(10'000, 10'001));
}

TEST(ThrowAwayIdentitiesTest, SenselessCountsAreRefused) {
  TemporaryDirectory folder;
  SeededRandom random(1);
  const auto make = [&](int64_t nodes, int64_t processes) {
    return MakeThrowAwayIdentities(
        {.folder = folder.path(), .node_count = nodes, .process_count = processes}, random);
  };
  EXPECT_THAT(make(0, 1), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes")));
  EXPECT_THAT(make(3, 4), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("processes")));
  EXPECT_THAT(make(3, 0), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("processes")));
  EXPECT_THAT(make(1'000'001, 1), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace skerry
