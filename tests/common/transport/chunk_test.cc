#include "common/transport/chunk.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

std::vector<ByteRange> TakeAll(ChunkSource& source) {
  std::vector<ByteRange> chunks;
  for (auto chunk = source.Next(); chunk; chunk = source.Next()) {
    chunks.push_back(*chunk);
    source.Advance();
  }
  return chunks;
}

// Takes every write and remembers nothing but a failure to give.
class FailingStore final : public ByteStore {
 public:
  absl::Status WriteAt(uint64_t, std::span<const uint8_t>) override {
    return absl::ResourceExhaustedError("full");
  }
};

TEST(ChunkSourceTest, SendsNothingBeforeItHasCredit) {
  ChunkSource source(100, 10);

  EXPECT_EQ(source.Next(), std::nullopt);
  EXPECT_FALSE(source.is_complete());
}

TEST(ChunkSourceTest, CutsChunksUpToTheCreditAndGoesOnWithMore) {
  ChunkSource source(25, 10);

  ASSERT_OK(source.Resume({0, 15}));
  EXPECT_EQ(TakeAll(source), (std::vector<ByteRange>{{0, 10}, {10, 5}}));
  ASSERT_OK(source.Extend({10, 25}));
  EXPECT_EQ(TakeAll(source), (std::vector<ByteRange>{{15, 10}}));

  EXPECT_TRUE(source.is_complete());
}

TEST(ChunkSourceTest, NextRepeatsItselfUntilTheChunkIsHandedOver) {
  ChunkSource source(25, 10);
  ASSERT_OK(source.Resume({0, 25}));

  EXPECT_EQ(source.Next(), (ByteRange{0, 10}));
  EXPECT_EQ(source.Next(), (ByteRange{0, 10}));
  source.Advance();
  EXPECT_EQ(source.Next(), (ByteRange{10, 10}));
}

TEST(ChunkSourceTest, OldCreditChangesNothing) {
  ChunkSource source(100, 10);
  ASSERT_OK(source.Resume({0, 30}));
  TakeAll(source);

  ASSERT_OK(source.Extend({0, 20}));
  EXPECT_EQ(source.Next(), std::nullopt);
  EXPECT_EQ(source.position(), 30u);
}

TEST(ChunkSourceTest, ResumeGoesOnWhereTheReceiverStands) {
  ChunkSource source(100, 10);
  ASSERT_OK(source.Resume({0, 50}));
  TakeAll(source);
  source.Suspend();
  EXPECT_EQ(source.Next(), std::nullopt);

  ASSERT_OK(source.Resume({23, 40}));
  EXPECT_EQ(TakeAll(source), (std::vector<ByteRange>{{23, 10}, {33, 7}}));
}

TEST(ChunkSourceTest, CreditPastTheEndOrBackwardsIsRefusedAndChangesNothing) {
  ChunkSource source(100, 10);
  ASSERT_OK(source.Resume({0, 20}));

  for (const ChunkCredit bad : {ChunkCredit{0, 101}, ChunkCredit{101, 101}, ChunkCredit{50, 40},
                                ChunkCredit{0, UINT64_MAX}}) {
    EXPECT_THAT(source.Resume(bad), StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_THAT(source.Extend(bad), StatusIs(absl::StatusCode::kOutOfRange));
  }
  EXPECT_THAT(source.Extend({10, 30}), StatusIs(absl::StatusCode::kOutOfRange));  // never sent

  EXPECT_EQ(TakeAll(source), (std::vector<ByteRange>{{0, 10}, {10, 10}}));
}

TEST(ChunkSourceTest, NothingToSendIsCompleteAtOnce) {
  ChunkSource source(0, 10);

  ASSERT_OK(source.Resume({0, 0}));
  EXPECT_TRUE(source.is_complete());
  EXPECT_EQ(source.Next(), std::nullopt);
}

class ChunkSinkTest : public testing::Test {
 protected:
  std::vector<uint8_t> memory_ = std::vector<uint8_t>(100);
  MemoryStore store_{memory_};
  ChunkSink sink_{100, 40};
  const std::vector<uint8_t> ten_ = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
};

TEST_F(ChunkSinkTest, FirstCreditIsOneWindow) {
  EXPECT_EQ(sink_.Restart(), (ChunkCredit{0, 40}));
  EXPECT_EQ(sink_.TakeCredit(), std::nullopt);
}

TEST_F(ChunkSinkTest, CreditIsDueOnceHalfOfTheWindowHasArrived) {
  sink_.Restart();

  ASSERT_OK(sink_.Write(0, ten_, store_));
  EXPECT_EQ(sink_.TakeCredit(), std::nullopt);
  ASSERT_OK(sink_.Write(10, ten_, store_));
  EXPECT_EQ(sink_.TakeCredit(), (ChunkCredit{20, 60}));
  EXPECT_EQ(sink_.TakeCredit(), std::nullopt);
}

TEST_F(ChunkSinkTest, LastCreditEndsAtTheTotal) {
  sink_.Restart();
  for (uint64_t offset = 0; offset < 100; offset += 10) {
    ASSERT_OK(sink_.Write(offset, ten_, store_));
    const auto credit = sink_.TakeCredit();
    EXPECT_TRUE(!credit || credit->credit_until <= 100u);
  }

  EXPECT_TRUE(sink_.is_complete());
  EXPECT_EQ(sink_.TakeCredit(), std::nullopt);
  EXPECT_EQ(sink_.Restart(), (ChunkCredit{100, 100}));
}

TEST_F(ChunkSinkTest, RepeatIsIgnoredAndAnOverlapGivesItsNewPart) {
  sink_.Restart();
  ASSERT_OK(sink_.Write(0, ten_, store_));

  const std::vector<uint8_t> other(10, 77);
  ASSERT_OK(sink_.Write(0, other, store_));
  ASSERT_OK(sink_.Write(4, other, store_));

  EXPECT_EQ(sink_.position(), 14u);
  EXPECT_TRUE(std::equal(ten_.begin(), ten_.end(), memory_.begin()));
  EXPECT_EQ(memory_[10], 77);
  EXPECT_EQ(memory_[14], 0);
}

TEST_F(ChunkSinkTest, GapIsRefused) {
  sink_.Restart();

  EXPECT_THAT(sink_.Write(10, ten_, store_), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(sink_.position(), 0u);
}

TEST_F(ChunkSinkTest, ChunkPastTheEndOrTheCreditIsRefused) {
  EXPECT_THAT(sink_.Write(0, ten_, store_), StatusIs(absl::StatusCode::kOutOfRange));
  sink_.Restart();

  EXPECT_THAT(sink_.Write(0, std::vector<uint8_t>(41), store_),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(sink_.Write(91, ten_, store_), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(sink_.Write(UINT64_MAX, ten_, store_), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(sink_.position(), 0u);
}

TEST_F(ChunkSinkTest, FailedWriteLeavesThePositionSoThatTheChunkCanBeRepeated) {
  sink_.Restart();
  FailingStore full;

  EXPECT_THAT(sink_.Write(0, ten_, full), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(sink_.position(), 0u);
  EXPECT_OK(sink_.Write(0, ten_, store_));
}

TEST(MemoryStoreTest, WriteOutsideIsRefused) {
  std::vector<uint8_t> memory(4);
  MemoryStore store(memory);
  const std::vector<uint8_t> two = {1, 2};

  EXPECT_OK(store.WriteAt(2, two));
  EXPECT_THAT(store.WriteAt(3, two), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(store.WriteAt(UINT64_MAX, two), StatusIs(absl::StatusCode::kOutOfRange));
}

uint64_t TestSeed() {
  const char* text = std::getenv("SKERRY_TEST_SEED");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

// A wire that delivers in order until it is cut. The brute-force model beside it is the list of
// bytes that arrived, kept one by one.
TEST(ChunkTransferTest, RandomTransfersWithCutsDeliverEveryByteOnceInOrder) {
  const uint64_t first_seed = TestSeed();
  for (uint64_t seed = first_seed; seed < first_seed + 500; ++seed) {
    SCOPED_TRACE("SKERRY_TEST_SEED=" + std::to_string(seed));
    Rng rng(seed);
    const uint64_t total = rng.Below(2000);
    const uint64_t window = 1 + rng.Below(300);
    std::vector<uint8_t> data(total);
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(rng.Below(256));
    ChunkSource source(total, 1 + rng.Below(100));
    ChunkSink sink(total, window);
    std::vector<uint8_t> memory(total);
    MemoryStore store(memory);
    std::vector<uint8_t> model;
    std::deque<ChunkCredit> up;
    std::deque<ByteRange> down;
    bool is_first_credit = true;
    up.push_back(sink.Restart());

    size_t step = 0;
    while (!sink.is_complete()) {
      ASSERT_LT(++step, 100'000u);
      uint64_t on_the_way = 0;
      for (const ByteRange& chunk : down) on_the_way += chunk.size;
      ASSERT_LE(on_the_way, window);
      switch (rng.Below(40) == 0 ? 3 : rng.Below(3)) {
        case 0:  // the sender gets credit
          if (up.empty()) break;
          ASSERT_OK(is_first_credit ? source.Resume(up.front()) : source.Extend(up.front()));
          is_first_credit = false;
          up.pop_front();
          break;
        case 1:  // the sender sends
          if (const auto chunk = source.Next()) {
            down.push_back(*chunk);
            source.Advance();
          }
          break;
        case 2: {  // the receiver gets a chunk, now and then twice
          if (down.empty()) break;
          const ByteRange chunk = down.front();
          down.pop_front();
          ASSERT_EQ(chunk.offset, model.size());
          const auto bytes = std::span(data).subspan(chunk.offset, chunk.size);
          model.insert(model.end(), bytes.begin(), bytes.end());
          for (uint64_t repeat = 0; repeat <= rng.Below(2); ++repeat) {
            ASSERT_OK(sink.Write(chunk.offset, bytes, store));
          }
          ASSERT_EQ(sink.position(), model.size());
          if (const auto credit = sink.TakeCredit()) up.push_back(*credit);
          break;
        }
        default:  // the connection is lost with all that is on the way
          up.clear();
          down.clear();
          source.Suspend();
          is_first_credit = true;
          up.push_back(sink.Restart());
      }
    }
    ASSERT_EQ(memory, data);
    ASSERT_EQ(model, data);
  }
}

}  // namespace
}  // namespace skerry
