#include "common/identity/key_files.h"

#include <sys/stat.h>

#include "common/base/file.h"
#include "common/crypto/hex.h"
#include "common/identity/roster.h"
#include "common/identity/z85.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

ProcessKeys MakeKeys(uint64_t seed) {
  SeededRandom random(seed);
  ProcessKeys keys{CurveKeyPair::Generate(random), {}};
  keys.nodes.push_back({NodeId("a"), Ed25519SecretKey::Generate(random)});
  keys.nodes.push_back({NodeId("b.2"), Ed25519SecretKey::Generate(random)});
  return keys;
}

unsigned ModeOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(KeyFilesTest, KeysOfAProcessComeBack) {
  TemporaryDirectory folder;
  const ProcessKeys keys = MakeKeys(1);
  ASSERT_OK(WriteProcessKeys(folder / "site", ProcessName("site"), keys));

  ASSERT_OK_AND_ASSIGN(const ProcessKeys read, ReadProcessKeys(folder / "site"));
  EXPECT_TRUE(read.curve.secret() == keys.curve.secret());
  EXPECT_EQ(read.curve.public_key(), keys.curve.public_key());
  ASSERT_EQ(read.nodes.size(), 2u);
  EXPECT_EQ(read.nodes[1].id, NodeId("b.2"));
  EXPECT_TRUE(read.nodes[1].key.seed() == keys.nodes[1].key.seed());
  EXPECT_EQ(read.nodes[1].key.public_key(), keys.nodes[1].key.public_key());
}

TEST(KeyFilesTest, OnlyTheOwnerMayReadSecrets) {
  TemporaryDirectory folder;
  ASSERT_OK(WriteProcessKeys(folder / "site", ProcessName("site"), MakeKeys(1)));
  EXPECT_EQ(ModeOf(folder / "site"), 0700u);
  EXPECT_EQ(ModeOf(folder / "site/curve.key"), 0600u);
  EXPECT_EQ(ModeOf(folder / "site/nodes.keys"), 0600u);
}

TEST(KeyFilesTest, AFileOpenToOthersIsRefusedWithTheCommandThatClosesIt) {
  for (const char* name : {"site/curve.key", "site/nodes.keys"}) {
    for (const mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
      TemporaryDirectory folder;
      ASSERT_OK(WriteProcessKeys(folder / "site", ProcessName("site"), MakeKeys(1)));
      ASSERT_EQ(::chmod((folder / name).c_str(), mode), 0);
      EXPECT_THAT(
          ReadProcessKeys(folder / "site"),
          StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("chmod 600 " + (folder / name))));
    }
  }
}

TEST(KeyFilesTest, NothingIsOverwrittenAndNothingHalfWritten) {
  TemporaryDirectory folder;
  const ProcessKeys keys = MakeKeys(1);
  ASSERT_OK(WriteProcessKeys(folder.path(), ProcessName("site"), keys));
  EXPECT_THAT(WriteProcessKeys(folder.path(), ProcessName("site"), MakeKeys(2)),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("not overwritten")));
  ASSERT_OK_AND_ASSIGN(const ProcessKeys read, ReadProcessKeys(folder.path()));
  EXPECT_EQ(read.curve.public_key(), keys.curve.public_key());

  // Only the last file is in the way: the first ones are not written either.
  TemporaryDirectory other;
  ASSERT_OK(WriteFileAtomically(other / "roster.part", "mine"));
  EXPECT_THAT(WriteProcessKeys(other.path(), ProcessName("site"), keys),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(ReadProcessKeys(other.path()), StatusIs(absl::StatusCode::kNotFound));
}

TEST(KeyFilesTest, ThePartForTheRosterIsPublicAndValid) {
  TemporaryDirectory folder;
  const ProcessKeys keys = MakeKeys(1);
  ASSERT_OK(WriteProcessKeys(folder.path(), ProcessName("site"), keys));

  ASSERT_OK_AND_ASSIGN(const Roster roster, Roster::Load(RosterPartPath(folder.path())));
  EXPECT_EQ(roster.FindProcess(ProcessName("site"))->key, keys.curve.public_key());
  EXPECT_EQ(roster.FindNode(NodeId("b.2"))->key, keys.nodes[1].key.public_key());
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(RosterPartPath(folder.path()), 10'000));
  EXPECT_THAT(text, Not(HasSubstr(Z85Encode(keys.curve.secret().bytes()))));
  EXPECT_THAT(text, Not(HasSubstr(HexOf(keys.nodes[0].key.seed().bytes()))));
}

TEST(KeyFilesTest, KeysOfTheCoordinatorComeBack) {
  TemporaryDirectory folder;
  SeededRandom random(3);
  const CurveKeyPair keys = CurveKeyPair::Generate(random);
  ASSERT_OK(WriteCoordinatorKeys(folder.path(), keys));

  EXPECT_EQ(ModeOf(CoordinatorKeyPath(folder.path())), 0600u);
  ASSERT_OK_AND_ASSIGN(const CurveKeyPair read,
                       ReadCurveKeyFile(CoordinatorKeyPath(folder.path())));
  EXPECT_TRUE(read.secret() == keys.secret());
  ASSERT_OK_AND_ASSIGN(const CurvePublicKey read_public,
                       ReadCurvePublicFile(CoordinatorPublicPath(folder.path())));
  EXPECT_EQ(read_public, keys.public_key());
  EXPECT_THAT(WriteCoordinatorKeys(folder.path(), keys),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST(KeyFilesTest, MalformedNodeKeysAreRefusedWithTheirLineAndWithoutTheSeed) {
  const std::string seed(64, 'a');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a " + seed + "\nb\n", "nodes.keys:2: expected a node's name and its seed"},
      {"a/b " + seed + "\n", "nodes.keys:1: expected a node's name"},
      {"a " + seed + "\n\na " + std::string(64, 'b') + "\n", "nodes.keys:3: node a has a key"},
      {"a " + seed + "aa\n", "nodes.keys:1: seed: expected 64"},
      {"a " + seed.substr(1) + "x\n", "nodes.keys:1: seed: expected 64"},
  };
  for (const auto& [text, message] : cases) {
    TemporaryDirectory folder;
    ASSERT_OK(WriteProcessKeys(folder.path(), ProcessName("p"), MakeKeys(1)));
    ASSERT_OK(WriteFileAtomically(folder / "nodes.keys", text, 0600));
    const absl::Status status = ReadProcessKeys(folder.path()).status();
    EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr(message)));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("aaaa")));
  }
}

TEST(KeyFilesTest, MalformedCurveKeysAreRefused) {
  const ProcessKeys keys = MakeKeys(1);
  const std::string public_line = "public " + Z85Encode(keys.curve.public_key().bytes()) + "\n";
  const std::string secret_line = "secret " + Z85Encode(keys.curve.secret().bytes()) + "\n";
  const std::string other_line =
      "public " + Z85Encode(MakeKeys(2).curve.public_key().bytes()) + "\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "expected one line"},
      {public_line, "expected one line"},
      {secret_line, "expected one line"},
      {public_line + secret_line + secret_line, "k:3: expected one line"},
      {public_line + "secret abc\n", "k:2: expected 40 characters"},
      {public_line + "sekret x\n", "k:2: expected one line"},
      {other_line + secret_line, "does not belong"},
  };
  for (const auto& [text, message] : cases) {
    TemporaryDirectory folder;
    ASSERT_OK(WriteFileAtomically(folder / "k", text, 0600));
    EXPECT_THAT(ReadCurveKeyFile(folder / "k"), StatusIs(kInvalid, HasSubstr(message))) << text;
  }
  TemporaryDirectory folder;
  ASSERT_OK(WriteFileAtomically(folder / "k", "# mine\n" + secret_line + public_line, 0600));
  EXPECT_OK(ReadCurveKeyFile(folder / "k"));
}

TEST(KeyFilesTest, FoldersLargeFilesAndMissingFilesAreRefused) {
  TemporaryDirectory folder;
  EXPECT_THAT(ReadCurveKeyFile(folder.path()), StatusIs(kInvalid, HasSubstr("is not a file")));
  EXPECT_THAT(ReadCurveKeyFile(folder / "none"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(WriteFileAtomically(folder / "large", std::string(5000, '\n'), 0600));
  EXPECT_THAT(ReadCurveKeyFile(folder / "large"), StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(WriteFileAtomically(folder / "pub", "two words\n"));
  EXPECT_THAT(ReadCurvePublicFile(folder / "pub"), StatusIs(kInvalid, HasSubstr("one key")));
}

}  // namespace
}  // namespace skerry
