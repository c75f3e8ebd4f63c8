// Endpoints and the processes, connections and addresses around them; their options.
#include <sys/stat.h>
#include <sys/wait.h>

#include <gmock/gmock.h>

#include "common/transport/router_endpoint.h"
#include "tests/common/transport/endpoints.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// An agent process of its own, so that it can be stopped without a word.
class AgentProcess {
 public:
  explicit AgentProcess(const std::string& address, LinkOptions link = {}) : child_(::fork()) {
    if (child_ != 0) return;
    DealerOptions options;
    options.link = link;
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

// ZeroMQ 4.3.4 would abort here if it had heartbeats to send.
TEST(RouterEndpointTest, ConnectionThatEndsWithItsQueueFullWaitsUntilItIsRead) {
  constexpr size_t kCount = 64;
  Net net(Net::Scheme::kIpc);
  LinkOptions link;
  link.receive_messages_max = 1;
  net.StartRouter(link);
  const size_t sender = net.AddDealer(net.Enrol("alpha"));
  const size_t bystander = net.AddDealer(net.Enrol("beta"));
  const PeerId peer = net.Introduce(sender);
  net.router_log_.messages.clear();
  // The router's process is busy: a bystander's waiting is what lets time pass.
  const auto wait = [&] {
    for (int i = 0; i < 40; ++i) net.dealers_[bystander].Poll(kStep, net.now_);
  };

  size_t sent = 0;
  while (sent < kCount && net.dealers_[sender].Send(TextMessage("update"))) ++sent;
  wait();
  net.is_dealer_silent_[sender] = true;
  { const DealerEndpoint closed = std::move(net.dealers_[sender]); }
  wait();

  EXPECT_TRUE(net.Until([&] { return !net.router_log_.gone.empty(); }));
  EXPECT_EQ(net.router_log_.gone.front().peer, peer);
  EXPECT_GT(net.router_log_.messages.size(), 0u);
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
