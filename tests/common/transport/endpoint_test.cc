#include <atomic>
#include <memory>
#include <sys/stat.h>
#include <thread>

#include <gmock/gmock.h>

#include "common/transport/router_endpoint.h"
#include "tests/common/transport/endpoints.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class EndpointTest : public testing::TestWithParam<Net::Scheme> {};

INSTANTIATE_TEST_SUITE_P(Schemes, EndpointTest,
                         testing::Values(Net::Scheme::kIpc, Net::Scheme::kTcp),
                         [](const auto& scheme) {
                           return scheme.param == Net::Scheme::kIpc ? "Ipc" : "TcpWithCurve";
                         });

std::vector<uint8_t> Pattern(size_t size, uint8_t seed) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 31 + seed);
  return bytes;
}

TEST_P(EndpointTest, MessagesTravelBothWaysWithTheirRawFrames) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  ASSERT_TRUE(net.UntilUp(0));
  const std::vector<uint8_t> up = Pattern(size_t{1} << 20, 1);
  const std::vector<uint8_t> down = Pattern(size_t{3} << 20, 2);

  ASSERT_TRUE(net.dealers_[0].TrySend({Frame::Own("upload"), Frame::Own(up)}));
  ASSERT_TRUE(net.Until([&] { return !net.router_log_.messages.empty(); }));
  const ReceivedMessage& received = net.router_log_.messages.front();
  ASSERT_EQ(net.router_->TrySend(received.peer, {Frame::Own("model"), Frame::Own(down)}),
            SendResult::kAccepted);
  ASSERT_TRUE(net.Until([&] { return !net.dealer_logs_[0].messages.empty(); }));

  EXPECT_EQ(TextOf(received.message), "upload");
  ASSERT_TRUE(received.message.raw.has_value());
  EXPECT_TRUE(std::ranges::equal(received.message.raw->bytes(), up));
  const Message& model = net.dealer_logs_[0].messages.front();
  EXPECT_EQ(TextOf(model), "model");
  ASSERT_TRUE(model.raw.has_value());
  EXPECT_TRUE(std::ranges::equal(model.raw->bytes(), down));
}

TEST_P(EndpointTest, EmptyFramesArriveAsEmptyFrames) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  ASSERT_TRUE(net.UntilUp(0));

  ASSERT_TRUE(net.dealers_[0].Send({Frame(), Frame()}));
  ASSERT_TRUE(net.dealers_[0].Send({Frame(), std::nullopt}));
  ASSERT_TRUE(net.Until([&] { return net.router_log_.messages.size() == 2; }));

  EXPECT_EQ(net.router_log_.messages[0].message.envelope.size(), 0u);
  ASSERT_TRUE(net.router_log_.messages[0].message.raw.has_value());
  EXPECT_EQ(net.router_log_.messages[0].message.raw->size(), 0u);
  EXPECT_FALSE(net.router_log_.messages[1].message.raw.has_value());
}

TEST_P(EndpointTest, OnlyTcpNamesTheProcess) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));

  net.Introduce(0);

  EXPECT_EQ(net.router_log_.messages[0].process.value(),
            GetParam() == Net::Scheme::kTcp ? "alpha" : "");
}

TEST_P(EndpointTest, PeerThatLeavesIsReportedOnceAndAfterItsLastMessage) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  const PeerId peer = net.Introduce(0);

  ASSERT_TRUE(net.dealers_[0].Send(TextMessage("last")));
  net.dealers_[0].Close(std::chrono::seconds(5));
  net.is_dealer_silent_[0] = true;
  std::vector<std::string> order;
  for (int turn = 0; turn < kTurnsMax && net.router_log_.gone.empty(); ++turn) {
    RouterPoll poll = net.router_->Poll(kStep);
    for (const auto& message : poll.messages) order.push_back(TextOf(message.message));
    for (const PeerGone& gone : poll.gone) {
      order.push_back("gone");
      EXPECT_EQ(gone.peer, peer);
      EXPECT_EQ(gone.reason, PeerGoneReason::kDisconnected);
    }
    net.router_log_.Add(std::move(poll));
  }
  for (int turn = 0; turn < 5; ++turn) net.Turn();

  EXPECT_THAT(order, ElementsAre("last", "gone"));
  EXPECT_EQ(net.router_log_.gone.size(), 1u);
  EXPECT_EQ(net.router_->peer_count(), 0u);
}

TEST_P(EndpointTest, SendingToAPeerThatLeftSaysSo) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  const PeerId peer = net.Introduce(0);
  net.dealers_[0].Close(Duration(0));
  net.is_dealer_silent_[0] = true;

  ASSERT_TRUE(net.Until([&] {
    return net.router_->TrySend(peer, TextMessage("are you there")) == SendResult::kPeerGone;
  }));

  EXPECT_EQ(net.router_->Send(peer, TextMessage("again")), SendResult::kPeerGone);
  EXPECT_TRUE(net.Until([&] { return net.router_log_.gone.size() == 1; }));
}

TEST_P(EndpointTest, EveryConnectionHasANewPeerId) {
  Net net(GetParam());
  net.StartRouter();
  const CurveKeys keys = net.Enrol("alpha");
  net.AddDealer(keys);
  const PeerId first = net.Introduce(0);
  net.dealers_[0].Close(Duration(0));
  net.is_dealer_silent_[0] = true;
  ASSERT_TRUE(net.Until([&] { return !net.router_log_.gone.empty(); }));

  net.AddDealer(keys);
  const PeerId second = net.Introduce(1);

  EXPECT_NE(first, second);
  EXPECT_EQ(net.router_->peer_count(), 1u);
  EXPECT_EQ(net.router_log_.gone.size(), 1u);
}

TEST_P(EndpointTest, DealerReconnectsToACoordinatorThatCameBackAtTheSameAddress) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  net.Introduce(0);

  net.StopRouter();
  ASSERT_TRUE(net.Until([&] { return !net.dealer_logs_[0].downs.empty(); }));
  EXPECT_THAT(net.dealer_logs_[0].downs[0], HasSubstr("connection lost"));
  EXPECT_FALSE(net.dealers_[0].Send(TextMessage("nobody hears this")));
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[0].downs.size() > 1; }));
  EXPECT_THAT(net.dealer_logs_[0].downs[1], HasSubstr("nobody answers"));
  net.StartRouter();
  net.Introduce(0);

  EXPECT_EQ(net.dealer_logs_[0].up_count, 2);
  EXPECT_EQ(TextOf(net.router_log_.messages.back().message), "hello");
}

TEST_P(EndpointTest, LastMessageBeforeTheCoordinatorClosesArrives) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  const PeerId peer = net.Introduce(0);

  ASSERT_EQ(net.router_->Send(peer, {Frame::Own("end"), Frame::Own(Pattern(size_t{3} << 20, 3))}),
            SendResult::kAccepted);
  // A real coordinator's agents read on threads of their own while it flushes.
  std::thread closing([&] { net.router_->Close(std::chrono::seconds(30)); });
  while (net.dealer_logs_[0].downs.empty()) {
    net.dealer_logs_[0].Add(net.dealers_[0].Poll(kStep, net.now_));
  }
  closing.join();
  net.router_.reset();

  ASSERT_EQ(net.dealer_logs_[0].messages.size(), 1u);
  EXPECT_EQ(TextOf(net.dealer_logs_[0].messages[0]), "end");
}

TEST_P(EndpointTest, ForgottenPeerIsNotHeardAnyMore) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  net.AddDealer(net.Enrol("beta"));
  const PeerId alpha = net.Introduce(0);
  net.Introduce(1);
  const size_t before = net.router_log_.messages.size();

  ASSERT_EQ(net.router_->Send(alpha, TextMessage("refused")), SendResult::kAccepted);
  net.router_->Forget(alpha);
  ASSERT_TRUE(net.dealers_[0].Send(TextMessage("from alpha")));
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[0].messages.size() == 1; }));
  net.dealers_[0].Close(std::chrono::seconds(5));
  net.is_dealer_silent_[0] = true;
  ASSERT_TRUE(net.dealers_[1].Send(TextMessage("from beta")));
  ASSERT_TRUE(net.Until([&] { return net.router_log_.messages.size() > before; }));

  EXPECT_EQ(TextOf(net.router_log_.messages.back().message), "from beta");
  EXPECT_EQ(net.router_log_.messages.size(), before + 1);
  EXPECT_EQ(net.router_->Send(alpha, TextMessage("more")), SendResult::kPeerGone);
  EXPECT_THAT(net.router_log_.gone, IsEmpty());
  EXPECT_EQ(net.router_->peer_count(), 1u);
}

TEST_P(EndpointTest, FrameOverTheSizeLimitEndsTheConnectionOfItsSenderOnly) {
  Net net(GetParam());
  LinkOptions small;
  small.envelope_bytes_max = 4096;
  small.raw_bytes_max = 100'000;
  net.StartRouter(small);
  net.AddDealer(net.Enrol("alpha"));
  net.AddDealer(net.Enrol("beta"), small);
  const PeerId alpha = net.Introduce(0);
  net.Introduce(1);
  const size_t before = net.router_log_.messages.size();

  ASSERT_TRUE(net.dealers_[0].Send({Frame::Own("upload"), Frame::Own(Pattern(100'100, 4))}));
  ASSERT_TRUE(net.dealers_[1].Send({Frame::Own("upload"), Frame::Own(Pattern(100'000, 5))}));
  ASSERT_TRUE(net.Until(
      [&] { return !net.router_log_.gone.empty() && net.router_log_.messages.size() > before; }));

  EXPECT_EQ(net.router_log_.gone[0].peer, alpha);
  EXPECT_EQ(net.router_log_.messages.size(), before + 1);
  EXPECT_EQ(net.router_log_.messages.back().message.raw->size(), 100'000u);
}

TEST_P(EndpointTest, EnvelopeOverItsLimitGivesItsSenderUp) {
  Net net(GetParam());
  LinkOptions small;
  small.envelope_bytes_max = 4096;
  net.StartRouter(small);
  net.AddDealer(net.Enrol("alpha"));
  const PeerId alpha = net.Introduce(0);

  ASSERT_TRUE(net.dealers_[0].Send({Frame::Own(Pattern(4097, 6)), std::nullopt}));
  ASSERT_TRUE(net.Until([&] { return !net.router_log_.gone.empty(); }));

  EXPECT_EQ(net.router_log_.gone[0].peer, alpha);
  EXPECT_EQ(net.router_log_.gone[0].reason, PeerGoneReason::kBrokeFraming);
  EXPECT_EQ(net.router_log_.messages.size(), 1u);
}

LinkOptions TightLink() {
  LinkOptions link;
  link.send_messages_max = 2;
  link.receive_messages_max = 2;
  link.queue_bytes_max = 1 << 20;
  link.socket_buffer_bytes = 64 << 10;
  return link;
}

TEST_P(EndpointTest, PeerThatDoesNotReadBlocksBulkForItselfOnlyAndIsServedOnceItReads) {
  Net net(GetParam());
  net.StartRouter(TightLink());
  net.AddDealer(net.Enrol("slow"), TightLink());
  net.AddDealer(net.Enrol("quick"), TightLink());
  const PeerId slow = net.Introduce(0);
  const PeerId quick = net.Introduce(1);
  const Message chunk = {Frame::Own("chunk"), Frame::Own(Pattern(size_t{256} << 10, 7))};
  net.is_dealer_silent_[0] = true;

  size_t accepted = 0;
  ASSERT_TRUE(net.Until([&] {
    // Blocked for good once several turns in a row take nothing.
    const SendResult result = net.router_->TrySend(slow, chunk);
    accepted += result == SendResult::kAccepted ? 1u : 0u;
    return accepted >= 4 && net.router_log_.may_send_count > 20;
  }));
  const size_t accepted_while_silent = accepted;
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(
        net.Until([&] { return net.router_->TrySend(quick, chunk) == SendResult::kAccepted; }));
  }
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[1].messages.size() == 20; }));
  EXPECT_NE(net.router_->TrySend(slow, chunk), SendResult::kPeerGone);
  net.is_dealer_silent_[0] = false;
  ASSERT_TRUE(net.Until([&] {
    accepted += net.router_->TrySend(slow, chunk) == SendResult::kAccepted ? 1u : 0u;
    return accepted >= accepted_while_silent + 20;
  }));
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[0].messages.size() >= accepted; }));

  // Both ends' two messages, one in each engine, and what fits in the kernel's buffers.
  EXPECT_LE(accepted_while_silent, 12u);
}

TEST_P(EndpointTest, PeerThatNeverReadsIsGivenUpWhenItsQueueIsFullAndHearsOfIt) {
  Net net(GetParam());
  net.StartRouter(TightLink());
  net.AddDealer(net.Enrol("slow"), TightLink());
  const PeerId slow = net.Introduce(0);
  const Message message = {Frame::Own(Pattern(100'000, 8)), std::nullopt};
  net.is_dealer_silent_[0] = true;

  size_t accepted = 0;
  ASSERT_TRUE(net.Until([&] {
    const SendResult result = net.router_->Send(slow, message);
    accepted += result == SendResult::kAccepted ? 1u : 0u;
    return result == SendResult::kPeerGone;
  }));
  ASSERT_TRUE(net.Until([&] { return !net.router_log_.gone.empty(); }));

  EXPECT_EQ(net.router_log_.gone[0].reason, PeerGoneReason::kDoesNotRead);
  EXPECT_GE(accepted, 10u);  // the queue's 1 MiB
  EXPECT_LE(accepted, 30u);  // and the same again in ZeroMQ and the kernel
  // Else it would believe in a connection over which nobody listens.
  net.is_dealer_silent_[0] = false;
  ASSERT_TRUE(net.Until([&] { return !net.dealer_logs_[0].downs.empty(); }));
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[0].up_count == 2; }));
  const PeerId again = net.Introduce(0);
  EXPECT_NE(again, slow);
  EXPECT_EQ(net.router_log_.gone.size(), 1u);
}

TEST_P(EndpointTest, QueuedControlMessagesArriveInOrderOnceThePeerReads) {
  Net net(GetParam());
  net.StartRouter(TightLink());
  net.AddDealer(net.Enrol("slow"), TightLink());
  const PeerId slow = net.Introduce(0);
  net.is_dealer_silent_[0] = true;
  constexpr size_t kCount = 300;

  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(net.router_->Send(slow, TextMessage(std::to_string(i))), SendResult::kAccepted);
  }
  net.is_dealer_silent_[0] = false;
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[0].messages.size() == kCount; }));

  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(TextOf(net.dealer_logs_[0].messages[i]), std::to_string(i));
  }
}

TEST_P(EndpointTest, DealerTellsWhenItMaySendAgain) {
  Net net(GetParam());
  net.StartRouter(TightLink());
  net.AddDealer(net.Enrol("alpha"), TightLink());
  net.Introduce(0);
  const Message chunk = {Frame::Own("chunk"), Frame::Own(Pattern(size_t{256} << 10, 9))};

  size_t sent = 0;
  while (net.dealers_[0].TrySend(chunk)) ASSERT_LT(++sent, 20u);  // the router does not read
  ASSERT_TRUE(net.Until([&] { return net.dealer_logs_[0].may_send_count > 0; }));

  EXPECT_TRUE(net.dealers_[0].TrySend(chunk));
  EXPECT_TRUE(net.Until([&] { return net.router_log_.messages.size() == sent + 2; }));
}

TEST_P(EndpointTest, BorrowedBytesAreSentInPlaceAndLetGoAfterwards) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  const PeerId peer = net.Introduce(0);
  auto model = std::make_shared<const std::vector<uint8_t>>(Pattern(size_t{4} << 20, 10));
  const std::weak_ptr<const std::vector<uint8_t>> watch = model;
  const std::span<const uint8_t> chunk = std::span(*model).subspan(1 << 20, 1 << 20);

  const Frame frame = Frame::Borrow(chunk, model);
  EXPECT_EQ(frame.bytes().data(), chunk.data());
  ASSERT_EQ(net.router_->TrySend(peer, {Frame::Own("chunk"), frame}), SendResult::kAccepted);
  ASSERT_TRUE(net.Until([&] { return !net.dealer_logs_[0].messages.empty(); }));

  EXPECT_TRUE(std::ranges::equal(net.dealer_logs_[0].messages[0].raw->bytes(), chunk));
  // `model` and `frame` hold it still; the transport lets go of its share.
  EXPECT_TRUE(net.Until([&] { return watch.use_count() == 2; }));
}

TEST_P(EndpointTest, AnotherThreadEndsALongPoll) {
  Net net(GetParam());
  net.StartRouter();
  net.AddDealer(net.Enrol("alpha"));
  ASSERT_TRUE(net.UntilUp(0));
  for (int turn = 0; turn < 3; ++turn) net.Turn();

  std::thread worker([router = net.router_->wakeup(), dealer = net.dealers_[0].wakeup()] {
    router.Notify();
    dealer.Notify();
  });
  bool was_router_woken = false;
  bool was_dealer_woken = false;
  while (!was_router_woken) was_router_woken = net.router_->Poll(std::chrono::hours(1)).was_woken;
  while (!was_dealer_woken) {
    was_dealer_woken = net.dealers_[0].Poll(std::chrono::hours(1), net.now_).was_woken;
  }
  worker.join();

  EXPECT_FALSE(net.router_->Poll(Duration(0)).was_woken);
  EXPECT_FALSE(net.dealers_[0].Poll(Duration(0), net.now_).was_woken);
}

}  // namespace
}  // namespace skerry
