// Peers that must not be heard: without the right keys, or that break the framing.
#include <gmock/gmock.h>

#include "tests/common/transport/endpoints.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

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

}  // namespace
}  // namespace skerry
