#include "common/base/file.h"

#include <filesystem>
#include <sys/stat.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(FileTest, WrittenTextIsReadBack) {
  TemporaryDirectory folder;

  ASSERT_OK(WriteFileAtomically(folder / "a.txt", "hello"));

  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder / "a.txt", 5));
  EXPECT_EQ(text, "hello");
}

TEST(FileTest, FileLargerThanTheLimitIsRefused) {
  TemporaryDirectory folder;
  ASSERT_OK(WriteFileAtomically(folder / "a.txt", "hello"));

  EXPECT_THAT(ReadFile(folder / "a.txt", 4),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than 4 bytes")));
}

TEST(FileTest, FileWithoutASizeIsReadUpToTheLimit) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile("/proc/self/status", 1 << 20));

  EXPECT_THAT(text, HasSubstr("Name:"));
  EXPECT_THAT(ReadFile("/proc/self/status", 10), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(FileTest, MissingFileAndFolderAreNamed) {
  TemporaryDirectory folder;

  EXPECT_THAT(ReadFile(folder / "none", 10),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder / "none")));
  EXPECT_THAT(ReadFile(folder.path(), 10),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder")));
  EXPECT_THAT(WriteFileAtomically(folder / "none/a.txt", "x"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(FileTest, NothingIsVisibleBeforeCommitAndNothingRemainsWithoutIt) {
  TemporaryDirectory folder;
  ASSERT_OK(WriteFileAtomically(folder / "a.txt", "old"));
  {
    ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::Create(folder / "a.txt"));
    const std::string text = "new";
    ASSERT_OK(file.Write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  }

  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder / "a.txt", 100));
  EXPECT_EQ(text, "old");
  size_t file_count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++file_count;
  }
  EXPECT_EQ(file_count, 1u);
}

TEST(FileTest, PermissionsOfANewFileAreTheOnesAskedFor) {
  TemporaryDirectory folder;

  ASSERT_OK(WriteFileAtomically(folder / "secret", "x", 0600));

  struct stat info = {};
  ASSERT_EQ(::stat((folder / "secret").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(FileTest, FoldersAreMadeWithTheirParents) {
  TemporaryDirectory folder;

  EXPECT_OK(MakeDirectories(folder / "a/b/c"));
  EXPECT_OK(MakeDirectories(folder / "a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

TEST(FileTest, ANewFileDoesNotReplaceAnythingAndLeavesNoTemporaryFile) {
  TemporaryDirectory folder;
  const std::string text = "new";
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());

  ASSERT_OK(WriteNewFile(folder / "a.key", bytes, 0600));
  EXPECT_THAT(WriteNewFile(folder / "a.key", bytes), StatusIs(absl::StatusCode::kAlreadyExists));

  struct stat info = {};
  ASSERT_EQ(::stat((folder / "a.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(info.st_nlink, 1u);
  const std::filesystem::directory_iterator files(folder.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

}  // namespace
}  // namespace skerry
