#include "common/transport/spool_file.h"

#include <csignal>
#include <numeric>
#include <sys/resource.h>

#include "tests/common/transport/endpoints.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

std::vector<uint8_t> Counting(size_t size) {
  std::vector<uint8_t> bytes(size);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

TEST(SpoolFileTest, WhatWasAppendedIsReadBackInPieces) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1 << 20));
  const std::vector<uint8_t> bytes = Counting(1000);

  ASSERT_OK_AND_ASSIGN(const uint64_t first, spool.Append(bytes));
  ASSERT_OK_AND_ASSIGN(const uint64_t second, spool.Append(bytes));
  std::vector<uint8_t> piece(300);
  ASSERT_OK(spool.ReadAt(second + 500, piece));

  EXPECT_EQ(first, 0u);
  EXPECT_EQ(second, 1000u);
  EXPECT_TRUE(std::equal(piece.begin(), piece.end(), bytes.begin() + 500));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SpoolFileTest, WritesAtAnyOffset) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1 << 20));
  const std::vector<uint8_t> bytes = {1, 2, 3, 4};

  ASSERT_OK(spool.WriteAt(10, bytes));
  ASSERT_OK(spool.WriteAt(8, bytes));
  std::vector<uint8_t> all(14);
  ASSERT_OK(spool.ReadAt(0, all));

  EXPECT_EQ(all, (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 3, 4}));
  EXPECT_EQ(spool.size(), 14u);
}

TEST(SpoolFileTest, BoundIsKeptAndSaid) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1000));

  ASSERT_OK(spool.Append(Counting(1000)));
  EXPECT_THAT(spool.Append(Counting(1)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1000 bytes")));
  EXPECT_THAT(spool.WriteAt(UINT64_MAX, Counting(2)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(spool.size(), 1000u);
}

TEST(SpoolFileTest, ReadingPastTheEndIsRefused) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1000));
  ASSERT_OK(spool.Append(Counting(10)));
  std::vector<uint8_t> piece(5);

  EXPECT_OK(spool.ReadAt(5, piece));
  EXPECT_THAT(spool.ReadAt(6, piece), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(spool.ReadAt(UINT64_MAX, piece), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(SpoolFileTest, DiscardKeepsOffsetsAndTheRest) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1 << 20));
  const std::vector<uint8_t> bytes = Counting(20'000);
  ASSERT_OK(spool.Append(bytes));

  spool.Discard(0, 8192);
  std::vector<uint8_t> rest(20'000 - 8192);
  ASSERT_OK(spool.ReadAt(8192, rest));

  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), bytes.begin() + 8192));
  EXPECT_EQ(spool.size(), 20'000u);
}

TEST(SpoolFileTest, ClearedFileStartsAnew) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1000));
  ASSERT_OK(spool.Append(Counting(1000)));

  ASSERT_OK(spool.Clear());

  ASSERT_OK_AND_ASSIGN(const uint64_t offset, spool.Append(Counting(1000)));
  EXPECT_EQ(offset, 0u);
}

TEST(SpoolFileTest, FolderThatDoesNotExistIsNamed) {
  EXPECT_THAT(SpoolFile::Create("/no/such/folder", 1000),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/folder")));
}

// The kernel refuses to grow a file past this limit much as it refuses on a full disk.
TEST(SpoolFileTest, RefusedWriteIsAStatusAndWhatWasWrittenStays) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(folder.path(), 1 << 20));
  ASSERT_OK(spool.Append(Counting(1000)));
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler_before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 1500;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);

  const absl::StatusOr<uint64_t> refused = spool.Append(Counting(1000));

  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler_before);
  EXPECT_FALSE(refused.ok());
  std::vector<uint8_t> piece(1000);
  ASSERT_OK(spool.ReadAt(0, piece));
  EXPECT_EQ(piece, Counting(1000));
}

}  // namespace
}  // namespace skerry
