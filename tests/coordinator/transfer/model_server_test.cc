#include "coordinator/transfer/model_server.h"

#include <numeric>

#include "common/base/bytes.h"
#include "common/protocol/codec.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr uint64_t kChunkBytes = 16;

SharedModel ModelOf(size_t parameter_count) {
  auto layout = *ParameterLayout::Create({{"w", {static_cast<int64_t>(parameter_count)}}});
  ParameterVector model(layout);
  std::iota(model.values().begin(), model.values().end(), 1.0f);
  return std::make_shared<const ParameterVector>(std::move(model));
}

proto::ModelRequest Request(uint64_t version, uint64_t offset, uint64_t credit_until) {
  proto::ModelRequest request;
  request.set_model_version(version);
  request.set_offset(offset);
  request.set_credit_until(credit_until);
  return request;
}

// Receives chunks and puts them together.
class Receiver {
 public:
  explicit Receiver(uint64_t total_bytes) : bytes_(total_bytes) {}
  SendResult Take(const Message& message) {
    const auto envelope = *protocol::Decode(message.envelope.bytes());
    const auto chunk = message.raw->bytes();
    std::copy(chunk.begin(), chunk.end(),
              bytes_.begin() + static_cast<ptrdiff_t>(envelope.model_chunk().offset()));
    received_ += chunk.size();
    return SendResult::kAccepted;
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  uint64_t received() const { return received_; }

 private:
  std::vector<uint8_t> bytes_;
  uint64_t received_ = 0;
};

TEST(ModelServerTest, EveryPeerGetsTheWholeModelAsFarAsItsCreditGoes) {
  const SharedModel model = ModelOf(25);  // 100 bytes, 7 chunks
  ModelServer server(kChunkBytes);
  server.Publish(ModelVersion(3), model);
  std::map<PeerId, Receiver> receivers = {{PeerId(1), Receiver(100)}, {PeerId(2), Receiver(100)}};
  const auto send = [&](PeerId peer, const Message& message) {
    return receivers.at(peer).Take(message);
  };
  ASSERT_EQ(server.HandleRequest(PeerId(1), Request(3, 0, 100)), proto::REJECT_REASON_UNSPECIFIED);
  ASSERT_EQ(server.HandleRequest(PeerId(2), Request(3, 0, 40)), proto::REJECT_REASON_UNSPECIFIED);

  EXPECT_FALSE(server.Pump(send));

  EXPECT_EQ(receivers.at(PeerId(1)).received(), 100u);
  EXPECT_EQ(receivers.at(PeerId(2)).received(), 40u);
  ASSERT_EQ(server.HandleRequest(PeerId(2), Request(3, 40, 100)), proto::REJECT_REASON_UNSPECIFIED);
  EXPECT_FALSE(server.Pump(send));
  const auto expected = AsBytes(model->values());
  for (const auto& [peer, receiver] : receivers) {
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), receiver.bytes().begin()));
  }
  EXPECT_EQ(server.sent_bytes(), 200u);
}

TEST(ModelServerTest, PeerThatCannotTakeMoreHoldsNobodyBack) {
  ModelServer server(kChunkBytes);
  server.Publish(ModelVersion(0), ModelOf(25));
  Receiver receiver(100);
  bool is_open = false;
  const auto send = [&](PeerId peer, const Message& message) {
    if (peer == PeerId(1) && !is_open) return SendResult::kWouldBlock;
    return peer == PeerId(2) ? receiver.Take(message) : SendResult::kAccepted;
  };
  server.HandleRequest(PeerId(1), Request(0, 0, 100));
  server.HandleRequest(PeerId(2), Request(0, 0, 100));

  EXPECT_TRUE(server.Pump(send));
  EXPECT_EQ(receiver.received(), 100u);
  is_open = true;
  EXPECT_FALSE(server.Pump(send));
  EXPECT_EQ(server.sent_bytes(), 200u);
}

TEST(ModelServerTest, TransferGoesOnAtTheOffsetOfANewConnection) {
  const SharedModel model = ModelOf(25);
  ModelServer server(kChunkBytes);
  server.Publish(ModelVersion(1), model);
  Receiver receiver(100);
  const auto send = [&](PeerId, const Message& message) { return receiver.Take(message); };
  server.HandleRequest(PeerId(1), Request(1, 0, 48));
  server.Pump(send);
  server.PeerGone(PeerId(1));

  server.HandleRequest(PeerId(2), Request(1, 48, 100));
  server.Pump(send);

  EXPECT_EQ(receiver.received(), 100u);
  const auto expected = AsBytes(model->values());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), receiver.bytes().begin()));
}

TEST(ModelServerTest, OtherVersionsAndOffsetsPastTheEndAreRefused) {
  ModelServer server(kChunkBytes);
  EXPECT_EQ(server.HandleRequest(PeerId(1), Request(0, 0, 4)), proto::REJECT_REASON_WRONG_ROUND);
  server.Publish(ModelVersion(1), ModelOf(25));
  EXPECT_EQ(server.HandleRequest(PeerId(1), Request(0, 0, 4)), proto::REJECT_REASON_WRONG_ROUND);
  EXPECT_EQ(server.HandleRequest(PeerId(1), Request(1, 101, 200)), proto::REJECT_REASON_MALFORMED);
  EXPECT_EQ(server.HandleRequest(PeerId(1), Request(1, 0, 101)), proto::REJECT_REASON_MALFORMED);
}

TEST(ModelServerTest, ChunkKeepsAnOlderModelAliveUntilItIsSent) {
  ModelServer server(kChunkBytes);
  SharedModel model = ModelOf(4);
  const std::weak_ptr<const ParameterVector> watched = model;
  server.Publish(ModelVersion(1), std::move(model));
  std::optional<Message> held;
  server.HandleRequest(PeerId(1), Request(1, 0, 16));
  server.Pump([&](PeerId, const Message& message) {
    held = message;
    return SendResult::kAccepted;
  });

  server.Publish(ModelVersion(2), ModelOf(4));

  EXPECT_FALSE(watched.expired());
  EXPECT_FLOAT_EQ(LoadLittleEndian<float>(held->raw->bytes().data()), 1.0f);
  held.reset();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace skerry
