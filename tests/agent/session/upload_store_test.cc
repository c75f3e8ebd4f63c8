#include "agent/session/upload_store.h"

#include "common/base/status.h"
#include "tests/support/memory_spool.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;

Frame Bytes(std::vector<uint8_t> bytes) { return Frame::Own(std::move(bytes)); }

std::vector<uint8_t> Read(const UploadStore& store, uint32_t node, ByteRange range) {
  const absl::StatusOr<Frame> frame = store.Read(HostedIndex(node), range);
  SKERRY_ASSERT(frame.ok());
  return {frame->bytes().begin(), frame->bytes().end()};
}

TEST(UploadStoreTest, WhatFitsStaysInMemoryAndTheRestGoesToTheSpool) {
  MemorySpool spool;
  UploadStore store(5, &spool);

  ASSERT_OK(store.Put(HostedIndex(0), Bytes({1, 2, 3})));
  ASSERT_OK(store.Put(HostedIndex(1), Bytes({4, 5, 6})));
  ASSERT_OK(store.Put(HostedIndex(2), Bytes({7, 8})));

  EXPECT_EQ(store.memory_bytes(), 5u);
  EXPECT_EQ(spool.size(), 3u);
  EXPECT_THAT(Read(store, 0, {.offset = 0, .size = 3}), ElementsAre(1, 2, 3));
  EXPECT_THAT(Read(store, 1, {.offset = 1, .size = 2}), ElementsAre(5, 6));
  EXPECT_THAT(Read(store, 2, {.offset = 1, .size = 1}), ElementsAre(8));
}

TEST(UploadStoreTest, DroppingGivesMemoryAndSpoolBack) {
  MemorySpool spool;
  UploadStore store(3, &spool);
  ASSERT_OK(store.Put(HostedIndex(0), Bytes({1, 2, 3})));
  ASSERT_OK(store.Put(HostedIndex(1), Bytes({4, 5, 6})));

  store.Drop(HostedIndex(0));
  store.Drop(HostedIndex(0));
  store.Drop(HostedIndex(1));

  EXPECT_EQ(store.memory_bytes(), 0u);
  EXPECT_EQ(spool.discarded_bytes, 3u);
  EXPECT_EQ(spool.size(), 0u);
}

TEST(UploadStoreTest, PuttingAgainReplaces) {
  MemorySpool spool;
  UploadStore store(3, &spool);
  ASSERT_OK(store.Put(HostedIndex(0), Bytes({1, 2, 3})));

  ASSERT_OK(store.Put(HostedIndex(0), Bytes({9})));

  EXPECT_EQ(store.memory_bytes(), 1u);
  EXPECT_THAT(Read(store, 0, {.offset = 0, .size = 1}), ElementsAre(9));
}

TEST(UploadStoreTest, AFullSpoolIsAnErrorAndNothingIsKept) {
  MemorySpool spool;
  spool.is_full = true;
  UploadStore store(2, &spool);

  EXPECT_THAT(store.Put(HostedIndex(0), Bytes({1, 2, 3})),
              StatusIs(absl::StatusCode::kResourceExhausted));

  EXPECT_EQ(store.memory_bytes(), 0u);
  ASSERT_OK(store.Put(HostedIndex(0), Bytes({1, 2})));
}

TEST(UploadStoreTest, ClearEmptiesTheSpool) {
  MemorySpool spool;
  UploadStore store(0, &spool);
  ASSERT_OK(store.Put(HostedIndex(0), Bytes({1, 2, 3})));

  store.Clear();

  EXPECT_EQ(spool.size(), 0u);
}

}  // namespace
}  // namespace skerry
