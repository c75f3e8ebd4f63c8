#include "coordinator/transfer/upload_receiver.h"

#include <chrono>
#include <numeric>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kUploadBytes = 100;

class UploadReceiverTest : public testing::Test {
 protected:
  UploadReceiver Make(size_t slots) {
    return UploadReceiver({.upload_bytes = kUploadBytes,
                           .memory_slots = slots,
                           .slot_rate_min = 10,
                           .window_bytes = 40,
                           .spool_folder = folder_.path()});
  }

  static ReceiveUpload Order(const std::string& node, uint64_t peer, uint64_t content_id = 1) {
    return {NodeId(node), PeerId(peer), RoundId(1), content_id, kUploadBytes, false};
  }

  // Bytes that differ from node to node.
  static std::vector<uint8_t> BytesOf(const std::string& node) {
    std::vector<uint8_t> bytes(kUploadBytes);
    std::iota(bytes.begin(), bytes.end(), static_cast<uint8_t>(node.back()));
    return bytes;
  }

  proto::RejectReason SendChunk(UploadReceiver& receiver, const std::string& node, uint64_t peer,
                                uint64_t offset, uint64_t size, uint64_t content_id = 1) {
    proto::UploadChunk chunk;
    chunk.set_node(node);
    chunk.set_round(1);
    chunk.set_content_id(content_id);
    chunk.set_offset(offset);
    const std::vector<uint8_t> bytes = BytesOf(node);
    const auto begin = bytes.begin() + static_cast<ptrdiff_t>(offset);
    return receiver.HandleChunk(
        PeerId(peer), chunk,
        Frame::Own(std::vector<uint8_t>(begin, begin + static_cast<ptrdiff_t>(size))), now_,
        events_);
  }

  // Sends the rest from `offset` in steps of 20.
  void SendRest(UploadReceiver& receiver, const std::string& node, uint64_t peer, uint64_t offset) {
    for (; offset < kUploadBytes; offset += 20) {
      ASSERT_EQ(SendChunk(receiver, node, peer, offset, 20), proto::REJECT_REASON_UNSPECIFIED);
    }
  }

  static std::vector<uint8_t> Content(UploadBody body) {
    if (auto* frame = std::get_if<Frame>(&body)) {
      return {frame->bytes().begin(), frame->bytes().end()};
    }
    if (auto* buffer = std::get_if<SharedBuffer>(&body)) {
      return {(*buffer)->bytes.get(), (*buffer)->bytes.get() + (*buffer)->size};
    }
    std::vector<uint8_t> bytes(kUploadBytes);
    EXPECT_OK(std::get<std::shared_ptr<SpoolFile>>(body)->ReadAt(0, bytes));
    return bytes;
  }

  // Grants sent so far, as "node@offset..credit_until".
  std::vector<std::string> TakeGrants() {
    std::vector<std::string> grants;
    for (const OutgoingMessage& message : events_.send) {
      const auto& grant = message.envelope.upload_grant();
      grants.push_back(grant.node() + "@" + std::to_string(grant.offset()) + ".." +
                       std::to_string(grant.credit_until()));
    }
    events_.send.clear();
    return grants;
  }

  TemporaryDirectory folder_;
  Instant now_{};
  UploadReceiver::Events events_;
};

TEST_F(UploadReceiverTest, InlineUploadIsCompleteAtOnceAndNeedsNoSlot) {
  UploadReceiver receiver = Make(0);

  receiver.Receive(Order("a", 1), Frame::Own(BytesOf("a")), now_, events_);

  ASSERT_EQ(events_.complete.size(), 1u);
  EXPECT_EQ(events_.complete[0].node, NodeId("a"));
  EXPECT_EQ(Content(*receiver.Take(NodeId("a"), 1)), BytesOf("a"));
  EXPECT_FALSE(receiver.Take(NodeId("a"), 1).has_value());
}

TEST_F(UploadReceiverTest, OnlyAsManyAsThereAreSlotsAreGrantedAtOnce) {
  UploadReceiver receiver = Make(1);
  receiver.Receive(Order("a", 1), std::nullopt, now_, events_);
  receiver.Receive(Order("b", 2), std::nullopt, now_, events_);
  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"a@0..40"});

  SendRest(receiver, "a", 1, 0);

  EXPECT_EQ(events_.complete.size(), 1u);
  TakeGrants();
  auto body = receiver.Take(NodeId("a"), 1);
  ASSERT_TRUE(body.has_value());
  EXPECT_TRUE(TakeGrants().empty()) << "the memory is still in use";
  receiver.Release(std::move(std::get<SharedBuffer>(*body)), now_, events_);
  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"b@0..40"});
  SendRest(receiver, "b", 2, 0);
  EXPECT_EQ(Content(*receiver.Take(NodeId("b"), 1)), BytesOf("b"));
}

TEST_F(UploadReceiverTest, UploadGoesOnAtItsOffsetOverANewConnection) {
  UploadReceiver receiver = Make(1);
  receiver.Receive(Order("a", 1), std::nullopt, now_, events_);
  ASSERT_EQ(SendChunk(receiver, "a", 1, 0, 20), proto::REJECT_REASON_UNSPECIFIED);
  TakeGrants();

  receiver.Receive(Order("a", 2), std::nullopt, now_, events_);

  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"a@20..60"});
  EXPECT_EQ(SendChunk(receiver, "a", 1, 20, 20), proto::REJECT_REASON_NODE_ELSEWHERE);
  SendRest(receiver, "a", 2, 20);
  EXPECT_EQ(Content(*receiver.Take(NodeId("a"), 1)), BytesOf("a"));
}

TEST_F(UploadReceiverTest, OtherContentStartsFromNothing) {
  UploadReceiver receiver = Make(1);
  receiver.Receive(Order("a", 1, 1), std::nullopt, now_, events_);
  SendChunk(receiver, "a", 1, 0, 40);
  TakeGrants();

  receiver.Receive(Order("a", 1, 2), std::nullopt, now_, events_);

  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"a@0..40"});
  EXPECT_EQ(SendChunk(receiver, "a", 1, 40, 20, 1), proto::REJECT_REASON_OUT_OF_PHASE);
}

TEST_F(UploadReceiverTest, SlowUploadGivesItsMemoryToOneThatWaitsAndStillCompletes) {
  UploadReceiver receiver = Make(1);
  receiver.Receive(Order("slow", 1), std::nullopt, now_, events_);
  SendChunk(receiver, "slow", 1, 0, 10);
  EXPECT_FALSE(receiver.NextDeadline().has_value()) << "nobody waits, so nobody is too slow";
  receiver.Receive(Order("b", 2), std::nullopt, now_, events_);
  TakeGrants();

  ASSERT_TRUE(receiver.NextDeadline().has_value());
  now_ = *receiver.NextDeadline();
  receiver.HandleDeadline(now_, events_);

  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"b@0..40"});
  SendRest(receiver, "b", 2, 0);
  ASSERT_EQ(SendChunk(receiver, "slow", 1, 10, 10), proto::REJECT_REASON_UNSPECIFIED);
  SendRest(receiver, "slow", 1, 20);
  EXPECT_EQ(Content(*receiver.Take(NodeId("b"), 1)), BytesOf("b"));
  EXPECT_EQ(Content(*receiver.Take(NodeId("slow"), 1)), BytesOf("slow"));
}

TEST_F(UploadReceiverTest, UploadThatMovesKeepsItsMemory) {
  UploadReceiver receiver = Make(1);
  receiver.Receive(Order("a", 1), std::nullopt, now_, events_);
  receiver.Receive(Order("b", 2), std::nullopt, now_, events_);
  TakeGrants();
  SendChunk(receiver, "a", 1, 0, 20);  // 20 bytes in 2 s: exactly the rate of 10 a second

  now_ = *receiver.NextDeadline();
  receiver.HandleDeadline(now_, events_);

  for (const std::string& grant : TakeGrants()) EXPECT_EQ(grant[0], 'a') << grant;
  SendRest(receiver, "a", 1, 20);
  EXPECT_TRUE(std::holds_alternative<SharedBuffer>(*receiver.Take(NodeId("a"), 1)));
}

TEST_F(UploadReceiverTest, ChunksNobodyAskedForAreRefused) {
  UploadReceiver receiver = Make(1);
  EXPECT_EQ(SendChunk(receiver, "a", 1, 0, 20), proto::REJECT_REASON_OUT_OF_PHASE);
  receiver.Receive(Order("a", 1), std::nullopt, now_, events_);
  receiver.Receive(Order("b", 2), std::nullopt, now_, events_);

  EXPECT_EQ(SendChunk(receiver, "b", 2, 0, 20), proto::REJECT_REASON_OUT_OF_PHASE) << "no slot";
  EXPECT_EQ(SendChunk(receiver, "a", 1, 0, 60), proto::REJECT_REASON_MALFORMED) << "no credit";
  EXPECT_EQ(SendChunk(receiver, "a", 1, 20, 20), proto::REJECT_REASON_OUT_OF_PHASE) << "a gap";
}

TEST_F(UploadReceiverTest, DroppedUploadFreesItsSlot) {
  UploadReceiver receiver = Make(1);
  receiver.Receive(Order("a", 1), std::nullopt, now_, events_);
  receiver.Receive(Order("b", 2), std::nullopt, now_, events_);
  TakeGrants();

  receiver.Drop(NodeId("a"), now_, events_);

  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"b@0..40"});
  receiver.DropAll();
  receiver.Receive(Order("c", 3), std::nullopt, now_, events_);
  EXPECT_EQ(TakeGrants(), std::vector<std::string>{"c@0..40"});
}

}  // namespace
}  // namespace skerry
