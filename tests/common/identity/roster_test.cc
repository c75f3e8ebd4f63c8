#include "common/identity/roster.h"

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/crypto/hex.h"
#include "common/identity/z85.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Keys that differ in their first byte; the Z85 of `seed` and 31 zeros, and its hex.
std::array<uint8_t, 32> KeyBytes(uint8_t seed) {
  std::array<uint8_t, 32> bytes{};
  bytes[0] = seed;
  return bytes;
}
std::string Curve(uint8_t seed) { return Z85Encode(KeyBytes(seed)); }
std::string Ed(uint8_t seed) { return HexOf(KeyBytes(seed)); }

absl::StatusOr<Roster> Parse(std::string_view text) {
  const RosterSource source{"r.txt", text};
  return Roster::Parse({&source, 1});
}

std::string TwoSites() {
  return "# two sites\nnode n2 " + Ed(2) + " a\n\n  process\tb " + Curve(20) + "\r\nnode n10 " +
         Ed(3) + " b\nprocess a " + Curve(10) + "\nnode n1 " + Ed(1) + " a";
}

TEST(RosterTest, LinesInAnyOrderAreReadAndSorted) {
  ASSERT_OK_AND_ASSIGN(const Roster roster, Parse(TwoSites()));

  EXPECT_THAT(roster.NodeIds(), ElementsAre(NodeId("n1"), NodeId("n10"), NodeId("n2")));
  ASSERT_EQ(roster.processes().size(), 2u);
  EXPECT_EQ(roster.processes()[0].name, ProcessName("a"));
  EXPECT_EQ(roster.processes()[1].name, ProcessName("b"));
  const RosterNode* node = roster.FindNode(NodeId("n10"));
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->key, Ed25519PublicKey(KeyBytes(3)));
  EXPECT_EQ(roster.ProcessOf(*node).name, ProcessName("b"));
}

TEST(RosterTest, ProcessesAreFoundByNameAndByKey) {
  ASSERT_OK_AND_ASSIGN(const Roster roster, Parse(TwoSites()));

  ASSERT_NE(roster.FindProcess(ProcessName("b")), nullptr);
  EXPECT_EQ(roster.FindProcess(ProcessName("b")), roster.FindProcess(CurvePublicKey(KeyBytes(20))));
  EXPECT_EQ(roster.FindProcess(CurvePublicKey(KeyBytes(10)))->name, ProcessName("a"));
  EXPECT_EQ(roster.FindProcess(ProcessName("c")), nullptr);
  EXPECT_EQ(roster.FindProcess(CurvePublicKey(KeyBytes(11))), nullptr);
  EXPECT_EQ(roster.FindProcess(CurvePublicKey(KeyBytes(99))), nullptr);
  EXPECT_EQ(roster.FindNode(NodeId("n")), nullptr);
  EXPECT_EQ(roster.FindNode(NodeId("zz")), nullptr);
}

TEST(RosterTest, TheCanonicalTextIsTheSortedLines) {
  ASSERT_OK_AND_ASSIGN(const Roster roster, Parse(TwoSites()));
  const std::string canonical = "node n1 " + Ed(1) + " a\nnode n10 " + Ed(3) + " b\nnode n2 " +
                                Ed(2) + " a\nprocess a " + Curve(10) + "\nprocess b " + Curve(20) +
                                "\n";

  EXPECT_EQ(roster.CanonicalText(), canonical);
  EXPECT_EQ(roster.hash(), Sha256Of(canonical));
  ASSERT_OK_AND_ASSIGN(const Roster again, Parse(canonical));
  EXPECT_EQ(again.hash(), roster.hash());
}

TEST(RosterTest, NodesSortByNameAlsoWhereOneNameBeginsAnother) {
  // The lines themselves must be in bytewise order: "n " before "n-1 ".
  ASSERT_OK_AND_ASSIGN(const Roster roster,
                       Parse("process p " + Curve(1) + "\nnode n-1 " + Ed(1) + " p\nnode n " +
                             Ed(2) + " p\nnode n.1 " + Ed(3) + " p\n"));
  EXPECT_THAT(roster.NodeIds(), ElementsAre(NodeId("n"), NodeId("n-1"), NodeId("n.1")));
  EXPECT_EQ(roster.CanonicalText().substr(0, 7), "node n ");
}

TEST(RosterTest, UpperCaseKeysGiveTheSameHash) {
  std::string upper = Ed(0xab);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const std::string process = "process p " + Curve(1) + "\nnode n ";
  EXPECT_EQ(Parse(process + upper + " p")->hash(), Parse(process + Ed(0xab) + " p")->hash());
}

TEST(RosterTest, AnEmptyRosterHasNobodyAndTheHashOfNothing) {
  ASSERT_OK_AND_ASSIGN(const Roster roster, Parse("# nobody yet\n"));
  EXPECT_THAT(roster.NodeIds(), IsEmpty());
  EXPECT_EQ(roster.hash(), Sha256Of(std::string_view()));
  EXPECT_EQ(Roster().hash(), roster.hash());
}

TEST(RosterTest, AllErrorsAreReportedAtOnceInOrderOfLines) {
  const std::string text = "process a " + Curve(1) +              // 1
                           "\nprocess a " + Curve(2) +            // 2: name again
                           "\nprocess c " + Curve(1) +            // 3: key again
                           "\nnode x " + Ed(1) + " zz" +          // 4: unknown process
                           "\nnode x " + Ed(2) + " a" +           // 5: name again
                           "\nnode y " + Ed(1) + " a" +           // 6: key again
                           "\nnode z abcd a" +                    // 7: short key
                           "\nprocess d tooshort" +               // 8
                           "\nnode b@d " + Ed(9) + " a" +         // 9: name
                           "\nnodes q" +                          // 10: word
                           "\nnode e " + Ed(8) +                  // 11: too few
                           "\nprocess f " + Curve(7) + " # no" +  // 12: too many
                           "\nnode g " + Ed(7) + " h;i";          // 13: process name
  const absl::Status status = Parse(text).status();

  EXPECT_EQ(status.code(), kInvalid);
  const std::string message(status.message());
  const std::vector<std::string> expected = {
      "r.txt:2: process a is already at r.txt:1",
      "r.txt:3: the key is already used at r.txt:1",
      "r.txt:4: process zz of node x has no line of its own",
      "r.txt:5: node x is already at r.txt:4",
      "r.txt:6: the key is already used at r.txt:4",
      "r.txt:7: Ed25519 key: expected 64 hexadecimal digits, got 4 characters",
      "r.txt:8: CURVE key: expected 40 characters of Z85, got 8",
      "r.txt:9: node must be 1 to 64 characters of [A-Za-z0-9._-], got \"b@d\"",
      "r.txt:10: expected \"process NAME CURVE_KEY\" or \"node ID ED25519_KEY PROCESS\", got "
      "\"nodes\" with 1 more words",
      "r.txt:11: expected \"process NAME CURVE_KEY\" or \"node ID ED25519_KEY PROCESS\", got "
      "\"node\" with 2 more words",
      "r.txt:12: expected \"process NAME CURVE_KEY\" or \"node ID ED25519_KEY PROCESS\", got "
      "\"process\" with 4 more words",
      "r.txt:13: process must be 1 to 64 characters of [A-Za-z0-9._-], got \"h;i\"",
  };
  EXPECT_EQ(message, fmt::format("{}", fmt::join(expected, "\n")));
}

TEST(RosterTest, ManyErrorsAreCounted) {
  std::string text;
  for (int i = 0; i < 250; ++i) text += "nonsense\n";
  const absl::Status status = Parse(text).status();
  EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr("r.txt:100:")));
  EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr("and 150 more")));
  EXPECT_THAT(status, Not(StatusIs(kInvalid, HasSubstr("r.txt:101:"))));
}

TEST(RosterTest, ControlCharactersDoNotReachTheTerminal) {
  const absl::Status status = Parse("\x1b[2J" + std::string(200, 'x') + "\n").status();
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\x1b")));
  EXPECT_LT(status.message().size(), 250u);
}

TEST(RosterTest, SourcesAreCheckedAgainstEachOther) {
  const std::string first = "process a " + Curve(1) + "\n";
  const std::string second = "node n " + Ed(1) + " a\nprocess a " + Curve(2) + "\n";
  const std::vector<RosterSource> sources = {{"roster.txt", first}, {"site.part", second}};
  EXPECT_THAT(Roster::Parse(sources),
              StatusIs(kInvalid, HasSubstr("site.part:2: process a is already at roster.txt:1")));
}

TEST(RosterTest, NodesBeyondTheLimitAreRefusedOnce) {
  const auto parse = [](std::string_view text) {
    const RosterSource source{"r.txt", text};
    return Roster::Parse({&source, 1}, /*node_count_max=*/3);
  };
  const std::string full = TwoSites() + "\n";  // three nodes, the last in line 7
  EXPECT_OK(parse(full));
  EXPECT_THAT(parse(full + "node n4 " + Ed(4) + " a\nnode n5 " + Ed(5) + " a\n"),
              StatusIs(kInvalid, "r.txt:8: more than 3 nodes"));
}

// A registered node may cost little: a million of them are held in memory.
static_assert(sizeof(RosterNode) <= 80);

TEST(RosterTest, AFileIsReadAndAMissingOneNamed) {
  TemporaryDirectory folder;
  ASSERT_OK(WriteFileAtomically(folder / "roster.txt", TwoSites()));
  EXPECT_EQ(Roster::Load(folder / "roster.txt")->hash(), Parse(TwoSites())->hash());
  EXPECT_THAT(Roster::Load(folder / "none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(DiffRostersTest, EqualRostersDoNotDiffer) {
  const RosterDiff diff = DiffRosters(*Parse(TwoSites()), *Parse(TwoSites()));
  EXPECT_THAT(diff.removed_nodes, IsEmpty());
  EXPECT_THAT(diff.added_nodes, IsEmpty());
  EXPECT_THAT(diff.removed_processes, IsEmpty());
  EXPECT_THAT(diff.added_processes, IsEmpty());
}

TEST(DiffRostersTest, AddedRemovedAndChangedThingsAreListed) {
  const std::string before =
      "process gone " + Curve(1) + "\nprocess new-key " + Curve(2) + "\nprocess same " + Curve(3) +
      "\nnode gone " + Ed(1) + " gone\nnode moved " + Ed(2) + " same\nnode new-key " + Ed(3) +
      " same\nnode same " + Ed(4) + " same\nnode under-new-key " + Ed(5) + " new-key\n";
  const std::string after =
      "process added " + Curve(9) + "\nprocess new-key " + Curve(8) + "\nprocess same " + Curve(3) +
      "\nnode added " + Ed(9) + " added\nnode moved " + Ed(2) + " added\nnode new-key " + Ed(8) +
      " same\nnode same " + Ed(4) + " same\nnode under-new-key " + Ed(5) + " new-key\n";
  const RosterDiff diff = DiffRosters(*Parse(before), *Parse(after));

  EXPECT_THAT(diff.removed_processes, ElementsAre(ProcessName("gone"), ProcessName("new-key")));
  EXPECT_THAT(diff.added_processes, ElementsAre(ProcessName("added"), ProcessName("new-key")));
  EXPECT_THAT(diff.removed_nodes, ElementsAre(NodeId("gone"), NodeId("moved"), NodeId("new-key")));
  EXPECT_THAT(diff.added_nodes, ElementsAre(NodeId("added"), NodeId("moved"), NodeId("new-key")));
}

TEST(DiffRostersTest, FromAndToNobody) {
  const Roster roster = *Parse(TwoSites());
  EXPECT_EQ(DiffRosters(Roster(), roster).added_nodes, roster.NodeIds());
  EXPECT_EQ(DiffRosters(roster, Roster()).removed_nodes, roster.NodeIds());
}

TEST(RosterNamesTest, NamesAreOneTo64HarmlessCharacters) {
  EXPECT_TRUE(IsValidName("A-z_0.9"));
  EXPECT_TRUE(IsValidName(std::string(64, 'x')));
  EXPECT_FALSE(IsValidName(std::string(65, 'x')));
  for (const std::string_view bad : {"", "a b", "a/b", "a:b", "#", "\xc3\xa9"}) {
    EXPECT_FALSE(IsValidName(bad)) << bad;
  }
}

}  // namespace
}  // namespace skerry
