// A coordinator's and an agent's endpoint in one test, over real sockets in a folder of their own.
//
// The two are polled in turn by the test's thread until what it waits for has happened. There is
// no clock: a poll waits a little inside, and the number of turns is generous.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <zmq.h>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/transport/dealer_endpoint.h"
#include "common/transport/router_endpoint.h"

namespace skerry {

inline constexpr Duration kStep = std::chrono::milliseconds(5);
inline constexpr int kTurnsMax = 6000;

struct CurveKeys {
  std::string public_key;
  std::string secret_key;
};

inline CurveKeys MakeCurveKeys() {
  char public_key[41];
  char secret_key[41];
  SKERRY_ASSERT(::zmq_curve_keypair(public_key, secret_key) == 0);
  return {public_key, secret_key};
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "skerry-XXXXXX").string();
    SKERRY_ASSERT(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Keeps what an endpoint reported so far.
struct RouterLog {
  std::vector<ReceivedMessage> messages;
  std::vector<PeerGone> gone;
  std::vector<RefusedConnection> refused;
  int may_send_count = 0;
  int woken_count = 0;

  void Add(RouterPoll poll) {
    for (auto& message : poll.messages) messages.push_back(std::move(message));
    gone.insert(gone.end(), poll.gone.begin(), poll.gone.end());
    for (auto& one : poll.refused) refused.push_back(std::move(one));
    may_send_count += poll.may_send ? 1 : 0;
    woken_count += poll.was_woken ? 1 : 0;
  }
};

struct DealerLog {
  std::vector<Message> messages;
  std::vector<std::string> downs;
  int up_count = 0;
  int may_send_count = 0;

  void Add(DealerPoll poll) {
    up_count += poll.is_link_up ? 1 : 0;
    for (auto& message : poll.messages) messages.push_back(std::move(message));
    if (poll.link_down) downs.push_back(*std::move(poll.link_down));
    may_send_count += poll.may_send ? 1 : 0;
  }
};

inline Message TextMessage(const std::string& text) { return {Frame::Own(text), std::nullopt}; }

inline std::string TextOf(const Frame& frame) {
  return {reinterpret_cast<const char*>(frame.bytes().data()), frame.size()};
}
inline std::string TextOf(const Message& message) { return TextOf(message.envelope); }

// One coordinator and any number of agents, over `scheme`.
class Net {
 public:
  enum class Scheme { kIpc, kTcp };

  explicit Net(Scheme scheme) : scheme_(scheme), server_keys_(MakeCurveKeys()) {}

  // At a port the system chooses, or again at the address it had before.
  void StartRouter(LinkOptions link = {}) {
    RouterOptions options;
    options.addresses = {address_.empty() ? FirstAddress() : address_};
    options.secret_key_z85 = server_keys_.secret_key;
    options.link = link;
    options.authenticate = [this](std::string_view key) -> std::optional<ProcessName> {
      const auto found = roster_.find(std::string(key));
      if (found == roster_.end()) return std::nullopt;
      return found->second;
    };
    auto router = RouterEndpoint::Create(options);
    ASSERT_TRUE(router.ok()) << router.status();
    router_.emplace(*std::move(router));
    address_ = router_->addresses().front();
  }
  void StopRouter() { router_.reset(); }

  CurveKeys Enrol(const std::string& process) {
    CurveKeys keys = MakeCurveKeys();
    roster_.emplace(keys.public_key, ProcessName(process));
    return keys;
  }
  void Revoke(const CurveKeys& keys) { roster_.erase(keys.public_key); }

  // Retries at once, so that no test waits.
  size_t AddDealer(const CurveKeys& keys, LinkOptions link = {}) {
    DealerOptions options;
    options.address = address_;
    options.keys = DealerKeys{keys.public_key, keys.secret_key, server_keys_.public_key};
    options.retry_wait_min = std::chrono::microseconds(1);
    options.retry_wait_max = std::chrono::microseconds(1);
    options.link = link;
    return AddDealer(options);
  }
  size_t AddDealer(const DealerOptions& options) {
    auto dealer = DealerEndpoint::Create(options, Rng(1));
    SKERRY_ASSERT(dealer.ok());
    dealers_.push_back(*std::move(dealer));
    dealer_logs_.emplace_back();
    return dealers_.size() - 1;
  }

  // Polls everyone once.
  void Turn() {
    now_ += kStep;
    if (router_) router_log_.Add(router_->Poll(kStep));
    for (size_t i = 0; i < dealers_.size(); ++i) {
      if (!is_dealer_silent_[i]) dealer_logs_[i].Add(dealers_[i].Poll(kStep, now_));
    }
  }
  ::testing::AssertionResult Until(const std::function<bool()>& is_done) {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      if (is_done()) return ::testing::AssertionSuccess();
      Turn();
    }
    return ::testing::AssertionFailure() << "it did not happen";
  }
  ::testing::AssertionResult UntilUp(size_t dealer) {
    return Until([&] { return dealers_[dealer].is_up(); });
  }
  // The dealer says hello; the router then knows its peer id.
  PeerId Introduce(size_t dealer) {
    const size_t before = router_log_.messages.size();
    EXPECT_TRUE(UntilUp(dealer));
    EXPECT_TRUE(dealers_[dealer].Send(TextMessage("hello")));
    EXPECT_TRUE(Until([&] { return router_log_.messages.size() > before; }));
    return router_log_.messages.back().peer;
  }

  Scheme scheme_;
  CurveKeys server_keys_;
  TemporaryFolder folder_;
  std::string address_;
  std::map<std::string, ProcessName> roster_;
  std::optional<RouterEndpoint> router_;
  RouterLog router_log_;
  std::vector<DealerEndpoint> dealers_;
  std::vector<DealerLog> dealer_logs_;
  std::map<size_t, bool> is_dealer_silent_;  // true: never polled, so it does not read
  Instant now_{};

 private:
  std::string FirstAddress() const {
    return scheme_ == Scheme::kIpc ? "ipc://" + folder_.path() + "/socket" : "tcp://127.0.0.1:*";
  }
};

}  // namespace skerry
