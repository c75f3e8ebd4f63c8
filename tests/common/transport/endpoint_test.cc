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

TEST_P(EndpointTest, PeerThatNeverReadsIsGivenUpWhenItsQueueIsFull) {
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

TEST(CurveTest, KeyThatIsNotInTheRosterIsRefusedAndBothEndsSaySo) {
  Net net(Net::Scheme::kTcp);
  net.StartRouter();
  const CurveKeys stranger = MakeCurveKeys();
  net.AddDealer(stranger);

  ASSERT_TRUE(net.Until(
      [&] { return !net.dealer_logs_[0].downs.empty() && !net.router_log_.refused.empty(); }));

  EXPECT_THAT(net.dealer_logs_[0].downs[0], HasSubstr("in the roster"));
  EXPECT_EQ(net.router_log_.refused[0].public_key_z85, stranger.public_key);
  EXPECT_EQ(net.router_log_.refused[0].address, "127.0.0.1");
  EXPECT_EQ(net.dealer_logs_[0].up_count, 0);
}

TEST(CurveTest, RevokedKeyIsRefusedAtItsNextConnection) {
  Net net(Net::Scheme::kTcp);
  net.StartRouter();
  const CurveKeys keys = net.Enrol("alpha");
  net.AddDealer(keys);
  net.Introduce(0);

  net.Revoke(keys);
  net.dealers_[0].Close(Duration(0));
  net.is_dealer_silent_[0] = true;
  net.AddDealer(keys);
  ASSERT_TRUE(net.Until([&] { return !net.dealer_logs_[1].downs.empty(); }));

  EXPECT_THAT(net.dealer_logs_[1].downs[0], HasSubstr("in the roster"));
}

TEST(CurveTest, WrongCoordinatorKeyNeverComesUp) {
  Net net(Net::Scheme::kTcp);
  net.StartRouter();
  const CurveKeys keys = net.Enrol("alpha");
  DealerOptions options;
  options.address = net.address_;
  options.keys = DealerKeys{keys.public_key, keys.secret_key, MakeCurveKeys().public_key};
  options.link.handshake_timeout = std::chrono::milliseconds(200);
  net.AddDealer(options);

  ASSERT_TRUE(net.Until([&] { return !net.dealer_logs_[0].downs.empty(); }));

  EXPECT_THAT(net.dealer_logs_[0].downs[0], HasSubstr("public key right"));
  EXPECT_EQ(net.dealer_logs_[0].up_count, 0);
  EXPECT_THAT(net.router_log_.messages, IsEmpty());
}

TEST(CurveTest, ClientWithoutCurveIsNotHeard) {
  Net net(Net::Scheme::kTcp);
  net.StartRouter();
  void* context = ::zmq_ctx_new();
  void* socket = ::zmq_socket(context, ZMQ_DEALER);
  const int linger = 0;
  ::zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
  ASSERT_EQ(::zmq_connect(socket, net.address_.c_str()), 0);
  ASSERT_EQ(::zmq_send(socket, "hello", 5, 0), 5);

  net.AddDealer(net.Enrol("alpha"));
  net.Introduce(0);
  for (int turn = 0; turn < 20; ++turn) net.Turn();

  EXPECT_EQ(net.router_log_.messages.size(), 1u);
  ::zmq_close(socket);
  ::zmq_ctx_term(context);
}

// A peer written by someone else, over ipc where no key is needed to play one.
class ForeignPeerTest : public testing::Test {
 protected:
  void SetUp() override {
    net_.StartRouter();
    context_ = ::zmq_ctx_new();
    socket_ = ::zmq_socket(context_, ZMQ_DEALER);
    const int linger = 0;
    ::zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof(linger));
  }
  void TearDown() override {
    ::zmq_close(socket_);
    ::zmq_ctx_term(context_);
  }
  void Connect() { ASSERT_EQ(::zmq_connect(socket_, net_.address_.c_str()), 0); }
  void SendParts(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(::zmq_send(socket_, "part", 4, i + 1 < count ? ZMQ_SNDMORE : 0), 4);
    }
  }

  Net net_{Net::Scheme::kIpc};
  void* context_ = nullptr;
  void* socket_ = nullptr;
};

TEST_F(ForeignPeerTest, MessageOfMoreThanTwoFramesGivesItsSenderUp) {
  Connect();

  SendParts(2);
  SendParts(5);
  SendParts(1);
  ASSERT_TRUE(net_.Until([&] { return !net_.router_log_.gone.empty(); }));
  for (int turn = 0; turn < 5; ++turn) net_.Turn();

  EXPECT_EQ(net_.router_log_.gone[0].reason, PeerGoneReason::kBrokeFraming);
  EXPECT_EQ(net_.router_log_.messages.size(), 1u);
  EXPECT_EQ(net_.router_->peer_count(), 0u);
}

TEST_F(ForeignPeerTest, PeerThatChoosesItsRoutingIdIsNotHeard) {
  ASSERT_EQ(::zmq_setsockopt(socket_, ZMQ_ROUTING_ID, "node7", 5), 0);
  Connect();

  SendParts(1);
  net_.AddDealer(CurveKeys{});
  net_.Introduce(0);
  for (int turn = 0; turn < 5; ++turn) net_.Turn();

  EXPECT_EQ(net_.router_log_.messages.size(), 1u);
  EXPECT_EQ(TextOf(net_.router_log_.messages[0].message), "hello");
}

// An agent process of its own, so that it can be stopped without a word.
class AgentProcess {
 public:
  explicit AgentProcess(const std::string& address) : child_(::fork()) {
    if (child_ != 0) return;
    DealerOptions options;
    options.address = address;
    options.retry_wait_min = options.retry_wait_max = std::chrono::milliseconds(1);
    auto dealer = DealerEndpoint::Create(options, Rng(1));
    for (Instant now{};; now += kStep) {
      if (dealer->Poll(kStep, now).is_link_up) dealer->Send(TextMessage("hello"));
    }
  }
  ~AgentProcess() {
    Signal(SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;
  void Signal(int signal) const { ::kill(child_, signal); }

 private:
  pid_t child_;
};

TEST(RouterEndpointTest, ProcessThatDiesIsGone) {
  Net net(Net::Scheme::kIpc);
  AgentProcess agent("ipc://" + net.folder_.path() + "/socket");
  net.StartRouter();
  ASSERT_TRUE(net.Until([&] { return !net.router_log_.messages.empty(); }));

  agent.Signal(SIGKILL);

  EXPECT_TRUE(net.Until([&] { return net.router_log_.gone.size() == 1; }));
}

TEST(RouterEndpointTest, ProcessThatFallsSilentIsGoneAfterTheHeartbeatTimeout) {
  Net net(Net::Scheme::kIpc);
  AgentProcess agent("ipc://" + net.folder_.path() + "/socket");
  LinkOptions link;
  link.heartbeat_interval = std::chrono::milliseconds(20);
  link.heartbeat_timeout = std::chrono::milliseconds(300);
  net.StartRouter(link);
  ASSERT_TRUE(net.Until([&] { return !net.router_log_.messages.empty(); }));

  agent.Signal(SIGSTOP);

  EXPECT_TRUE(net.Until([&] { return net.router_log_.gone.size() == 1; }));
}

TEST(RouterEndpointTest, HundredsOfConnectionsAtOnceAreAllServed) {
  constexpr size_t kCount = 500;
  Net net(Net::Scheme::kIpc);
  net.StartRouter();
  void* context = ::zmq_ctx_new();
  std::vector<void*> sockets;
  for (size_t i = 0; i < kCount; ++i) {
    sockets.push_back(::zmq_socket(context, ZMQ_DEALER));
    const int linger = 0;
    ::zmq_setsockopt(sockets.back(), ZMQ_LINGER, &linger, sizeof(linger));
    ASSERT_EQ(::zmq_connect(sockets.back(), net.address_.c_str()), 0);
    ASSERT_EQ(::zmq_send(sockets.back(), "hello", 5, 0), 5);
  }

  ASSERT_TRUE(net.Until([&] { return net.router_log_.messages.size() == kCount; }));
  std::set<PeerId> peers;
  for (const ReceivedMessage& message : net.router_log_.messages) peers.insert(message.peer);
  for (const PeerId peer : peers) {
    ASSERT_EQ(net.router_->Send(peer, TextMessage("welcome")), SendResult::kAccepted);
  }
  size_t answered = 0;
  for (void* socket : sockets) {
    char text[16];
    answered += ::zmq_recv(socket, text, sizeof(text), 0) == 7 ? 1u : 0u;
    ::zmq_close(socket);
  }
  ::zmq_ctx_term(context);
  ASSERT_TRUE(net.Until([&] { return net.router_log_.gone.size() == kCount; }));

  EXPECT_EQ(peers.size(), kCount);
  EXPECT_EQ(answered, kCount);
  EXPECT_EQ(net.router_->peer_count(), 0u);
}

TEST(RouterEndpointTest, IpcSocketBelongsToItsOwnerOnly) {
  Net net(Net::Scheme::kIpc);
  net.StartRouter();

  struct stat info = {};
  ASSERT_EQ(::stat((net.folder_.path() + "/socket").c_str(), &info), 0);

  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST(RouterEndpointTest, OneEndpointServesTcpAndIpc) {
  Net net(Net::Scheme::kTcp);
  const CurveKeys keys = net.Enrol("alpha");
  RouterOptions options;
  options.addresses = {"tcp://127.0.0.1:*", "ipc://" + net.folder_.path() + "/socket",
                       "tcp://127.0.0.1:*"};
  options.secret_key_z85 = net.server_keys_.secret_key;
  options.authenticate = [&](std::string_view key) -> std::optional<ProcessName> {
    if (key != keys.public_key) return std::nullopt;
    return ProcessName("alpha");
  };
  ASSERT_OK_AND_ASSIGN(RouterEndpoint router, RouterEndpoint::Create(options));
  net.router_.emplace(std::move(router));

  for (size_t i = 0; i < 3; ++i) {
    net.address_ = net.router_->addresses()[i];
    net.AddDealer(keys);
    net.Introduce(i);
  }

  std::vector<std::string> names;
  for (const auto& message : net.router_log_.messages) {
    names.push_back(message.process.value());
  }
  EXPECT_THAT(names, ElementsAre("alpha", "", "alpha"));
}

TEST(RouterEndpointTest, AddressInUseIsRefusedWithTheAddress) {
  Net net(Net::Scheme::kTcp);
  net.StartRouter();
  RouterOptions options;
  options.addresses = {net.address_};
  options.secret_key_z85 = net.server_keys_.secret_key;
  options.authenticate = [](std::string_view) { return std::nullopt; };

  EXPECT_THAT(RouterEndpoint::Create(options),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(net.address_)));
}

TEST(RouterEndpointTest, OptionsAreChecked) {
  const auto with_address = [](const std::string& address) {
    RouterOptions options;
    options.addresses = {address};
    return options;
  };
  RouterOptions bad_limit = with_address("ipc://x");
  bad_limit.link.send_messages_max = 0;

  EXPECT_THAT(RouterEndpoint::Create(RouterOptions{}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no address")));
  EXPECT_THAT(RouterEndpoint::Create(with_address("udp://x")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("udp://x")));
  EXPECT_THAT(RouterEndpoint::Create(with_address("tcp://127.0.0.1:*")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("secret key")));
  EXPECT_THAT(RouterEndpoint::Create(bad_limit),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("send_messages_max")));
  EXPECT_FALSE(RouterEndpoint::Create(with_address("ipc:///no/such/folder/socket")).ok());
}

TEST(DealerEndpointTest, OptionsAreChecked) {
  const auto create = [](const std::string& address, std::optional<DealerKeys> keys) {
    DealerOptions options;
    options.address = address;
    options.keys = std::move(keys);
    return DealerEndpoint::Create(options, Rng(1)).status();
  };
  const CurveKeys keys = MakeCurveKeys();
  const std::string not_z85(40, '~');

  EXPECT_THAT(create("host:5000", std::nullopt),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("host:5000")));
  EXPECT_THAT(create("tcp://host:5000", std::nullopt),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  EXPECT_THAT(create("tcp://host:5000", DealerKeys{"short", keys.secret_key, keys.public_key}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("40 characters")));
  EXPECT_FALSE(create("tcp://host:5000", DealerKeys{not_z85, not_z85, not_z85}).ok());
}

TEST(DealerEndpointTest, WaitsBetweenTriesAndTellsWhenTheNextIsDue) {
  TemporaryFolder folder;
  DealerOptions options;
  options.address = "ipc://" + folder.path() + "/nobody";
  options.retry_wait_min = std::chrono::seconds(1);
  options.retry_wait_max = std::chrono::seconds(8);
  ASSERT_OK_AND_ASSIGN(DealerEndpoint dealer, DealerEndpoint::Create(options, Rng(1)));
  const auto poll_until_down = [&](Instant now) {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      if (dealer.Poll(kStep, now).link_down) return true;
    }
    return false;
  };

  Instant now{};
  for (const int step_s : {1, 2, 4, 8, 8}) {
    ASSERT_TRUE(poll_until_down(now));
    ASSERT_TRUE(dealer.next_retry().has_value());
    const Duration wait = *dealer.next_retry() - now;
    EXPECT_GE(wait, std::chrono::milliseconds(step_s * 500));
    EXPECT_LE(wait, std::chrono::seconds(step_s));
    // Too early: nothing is tried.
    EXPECT_TRUE(dealer.Poll(Duration(0), *dealer.next_retry() - Duration(1)).is_empty());
    EXPECT_TRUE(dealer.next_retry().has_value());
    now = *dealer.next_retry();
  }
}

}  // namespace
}  // namespace skerry
