#include "coordinator/keys/keys_command.h"

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/crypto/hex.h"
#include "common/identity/key_files.h"
#include "common/identity/roster.h"
#include "common/identity/z85.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class KeysCommandTest : public testing::Test {
 protected:
  // Makes a site's keys and returns the path of its part.
  std::string Site(const std::string& name, const std::vector<std::string>& nodes) {
    auto made =
        NewProcessKeys({.process = name, .nodes = nodes, .folder = folder_ / name}, random_);
    EXPECT_OK(made);
    return made->roster_part_path;
  }

  std::string Text() const { return *ReadFile(roster_path_, 1 << 20); }

  TemporaryDirectory folder_;
  SeededRandom random_{1};
  const std::string roster_path_ = folder_ / "roster.txt";
};

TEST_F(KeysCommandTest, CoordinatorKeysAreWrittenAndDescribed) {
  ASSERT_OK_AND_ASSIGN(const NewCoordinatorResult result,
                       NewCoordinatorKeys(folder_ / "keys", random_));
  ASSERT_OK_AND_ASSIGN(const CurveKeyPair keys, ReadCurveKeyFile(result.key_path));
  EXPECT_EQ(keys.public_key(), result.public_key);
  EXPECT_THAT(Describe(result), HasSubstr(Z85Encode(result.public_key.bytes())));
  EXPECT_THAT(NewCoordinatorKeys(folder_ / "keys", random_),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(KeysCommandTest, BadNamesMakeNoFolder) {
  const auto status_of = [&](const std::string& process, const std::vector<std::string>& nodes) {
    return NewProcessKeys({.process = process, .nodes = nodes, .folder = folder_ / "x"}, random_)
        .status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(status_of("a b", {"n"}), StatusIs(kInvalid, HasSubstr("process must be")));
  EXPECT_THAT(status_of("p", {}), StatusIs(kInvalid, HasSubstr("at least one node")));
  EXPECT_THAT(status_of("p", {"n", ""}), StatusIs(kInvalid, HasSubstr("node must be")));
  EXPECT_THAT(status_of("p", {"n", "m", "n"}), StatusIs(kInvalid, HasSubstr("n is named twice")));
  EXPECT_THAT(ReadProcessKeys(folder_ / "x"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(KeysCommandTest, PartsMakeARosterAndLaterPartsExtendIt) {
  ASSERT_OK_AND_ASSIGN(const RosterChange first,
                       AddToRoster({.part_paths = {Site("s2", {"n3"}), Site("s1", {"n2", "n1"})},
                                    .roster_path = roster_path_}));
  EXPECT_THAT(first.processes, ElementsAre("s1", "s2"));
  EXPECT_THAT(first.nodes, ElementsAre("n1", "n2", "n3"));

  ASSERT_OK(WriteFileAtomically(roster_path_, "# ours\n" + Text() + "# end"));
  ASSERT_OK_AND_ASSIGN(const RosterChange second, AddToRoster({.part_paths = {Site("s3", {"n4"})},
                                                               .roster_path = roster_path_}));
  EXPECT_THAT(second.nodes, ElementsAre("n4"));
  EXPECT_EQ(second.node_count, 4u);
  EXPECT_EQ(second.process_count, 3u);
  EXPECT_THAT(Text(), testing::StartsWith("# ours\n"));
  EXPECT_THAT(Text(), HasSubstr("# end\nprocess s3 "));
  ASSERT_OK_AND_ASSIGN(const Roster roster, Roster::Load(roster_path_));
  EXPECT_EQ(roster.hash(), second.hash);
  EXPECT_EQ(Describe(second, "added"),
            fmt::format("added process s3\nadded node n4\nroster: 4 nodes in 3 processes, SHA-256 "
                        "{}\n",
                        HexOf(roster.hash())));
}

TEST_F(KeysCommandTest, AClashLeavesTheRosterAsItWas) {
  const std::string part = Site("s1", {"n1"});
  ASSERT_OK(AddToRoster({.part_paths = {part}, .roster_path = roster_path_}));
  const std::string before = Text();

  EXPECT_THAT(AddToRoster({.part_paths = {Site("s2", {"n2"}), part}, .roster_path = roster_path_}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("s1/roster.part:1: process s1 is already at " + roster_path_)));
  EXPECT_EQ(Text(), before);
  EXPECT_THAT(AddToRoster({.part_paths = {folder_ / "none"}, .roster_path = roster_path_}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Text(), before);
}

TEST_F(KeysCommandTest, RevokingANodeTakesItsLineOnly) {
  ASSERT_OK(AddToRoster({.part_paths = {Site("s1", {"n1", "n10"}), Site("s2", {"n2"})},
                         .roster_path = roster_path_}));
  ASSERT_OK(WriteFileAtomically(roster_path_, "# n1 is ours\n" + Text()));

  ASSERT_OK_AND_ASSIGN(const RosterChange change,
                       Revoke({.roster_path = roster_path_, .names = {"n1"}}));
  EXPECT_THAT(change.nodes, ElementsAre("n1"));
  EXPECT_THAT(change.processes, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const Roster roster, Roster::Load(roster_path_));
  EXPECT_THAT(roster.NodeIds(), ElementsAre(NodeId("n10"), NodeId("n2")));
  EXPECT_EQ(roster.processes().size(), 2u);
  EXPECT_EQ(change.hash, roster.hash());
  EXPECT_THAT(Text(), testing::StartsWith("# n1 is ours\nprocess s1"));
}

TEST_F(KeysCommandTest, RevokingAProcessTakesItsNodes) {
  ASSERT_OK(AddToRoster({.part_paths = {Site("s1", {"n1", "n10"}), Site("s2", {"n2"})},
                         .roster_path = roster_path_}));

  ASSERT_OK_AND_ASSIGN(const RosterChange change,
                       Revoke({.roster_path = roster_path_, .names = {"s1", "n1"}}));
  EXPECT_THAT(change.processes, ElementsAre("s1"));
  EXPECT_THAT(change.nodes, ElementsAre("n1", "n10"));
  EXPECT_EQ(change.node_count, 1u);
  EXPECT_THAT(Roster::Load(roster_path_)->NodeIds(), ElementsAre(NodeId("n2")));
}

TEST_F(KeysCommandTest, UnknownNamesAreAllReportedAndNothingChanges) {
  ASSERT_OK(AddToRoster({.part_paths = {Site("s1", {"n1"})}, .roster_path = roster_path_}));
  const std::string before = Text();

  const absl::Status status =
      Revoke({.roster_path = roster_path_, .names = {"x", "n1", "y"}}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound,
                               "\"x\" is not in the roster\n\"y\" is not in the roster"));
  EXPECT_EQ(Text(), before);
}

TEST_F(KeysCommandTest, ANameOfANodeAndAProcessMustBeToldApart) {
  ASSERT_OK(AddToRoster(
      {.part_paths = {Site("both", {"other"}), Site("s", {"both"})}, .roster_path = roster_path_}));

  EXPECT_THAT(Revoke({.roster_path = roster_path_, .names = {"both"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("node:both or process:both")));
  ASSERT_OK_AND_ASSIGN(const RosterChange node,
                       Revoke({.roster_path = roster_path_, .names = {"node:both"}}));
  EXPECT_THAT(node.nodes, ElementsAre("both"));
  EXPECT_THAT(node.processes, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const RosterChange process,
                       Revoke({.roster_path = roster_path_, .names = {"process:both"}}));
  EXPECT_THAT(process.processes, ElementsAre("both"));
  EXPECT_THAT(process.nodes, ElementsAre("other"));
}

}  // namespace
}  // namespace skerry
