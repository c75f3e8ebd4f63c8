#include "tests/support/chaos_proxy.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <list>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/rng.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// What a lane holds before it stops reading, so that a slow side holds the other one back.
constexpr size_t kLaneBytesMax = 256 << 10;
// A token bucket of a tenth of a second.
constexpr double kBurstSeconds = 0.1;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family = AF_UNIX;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address Parse(const std::string& text) {
  Address address;
  if (text.starts_with("ipc://")) {
    auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
    const std::string path = text.substr(6);
    SKERRY_ASSERT(path.size() < sizeof(local->sun_path));
    local->sun_family = AF_UNIX;
    std::memcpy(local->sun_path, path.data(), path.size());
    address.size = sizeof(*local);
    return address;
  }
  SKERRY_ASSERT(text.starts_with("tcp://") && text.find("127.0.0.1") != std::string::npos);
  auto* internet = reinterpret_cast<sockaddr_in*>(&address.storage);
  internet->sin_family = AF_INET;
  internet->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  internet->sin_port = htons(static_cast<uint16_t>(std::stoi(text.substr(text.rfind(':') + 1))));
  address.size = sizeof(*internet);
  address.family = AF_INET;
  return address;
}

int NewSocket(const Address& address, int flags = 0) {
  const int fd = ::socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  SKERRY_ASSERT(fd >= 0);
  return fd;
}

// Finds the ends of messages in a stream of ZMTP 3: a greeting of 64 bytes, then frames of flags
// (1: more follow, 2: long, 4: command), a length of 1 or 8 bytes, and the body.
class MessageCutter {
 public:
  struct Message {
    std::string bytes;
    size_t end = 0;  // in what was fed
  };
  // Takes the stream's next bytes; gives the messages that end in them, each whole.
  std::vector<Message> Feed(std::string_view bytes) {
    std::vector<Message> messages;
    pending_ += bytes;
    if (!is_greeted_) {
      if (pending_.size() < kGreetingBytes) return messages;
      is_greeted_ = true;
      pending_.erase(0, kGreetingBytes);
    }
    for (;;) {
      if (pending_.size() < 2) return messages;
      const auto flags = static_cast<uint8_t>(pending_[0]);
      const size_t head = (flags & 2) != 0 ? 9 : 2;
      if (pending_.size() < head) return messages;
      uint64_t length = 0;
      for (size_t i = 1; i < head; ++i) length = length << 8 | static_cast<uint8_t>(pending_[i]);
      if (pending_.size() - head < length) return messages;
      const size_t frame = head + static_cast<size_t>(length);
      const bool is_command = (flags & 4) != 0;
      if (!is_command) message_ += pending_.substr(0, frame);
      pending_.erase(0, frame);
      if (is_command || (flags & 1) != 0) continue;
      messages.push_back({std::exchange(message_, {}), bytes.size() - pending_.size()});
    }
  }

 private:
  static constexpr size_t kGreetingBytes = 64;
  bool is_greeted_ = false;
  std::string pending_;
  std::string message_;
};

// One direction of one connection.
struct Lane {
  int from = -1;
  int to = -1;
  std::deque<std::pair<Instant, std::string>> queue{};  // and when they may leave
  size_t queued_bytes = 0;
  bool is_ended = false;  // nothing more comes from `from`
  double tokens = 0;
  Instant filled_at{};
  MessageCutter cutter{};

  void Put(Instant leaves_at, std::string bytes) {
    queued_bytes += bytes.size();
    queue.emplace_back(leaves_at, std::move(bytes));
  }
};

struct Connection {
  Lane up;
  Lane down;
  bool is_broken = false;
};

}  // namespace

class ChaosProxy::Impl {
 public:
  Impl(const std::string& target, int number, uint64_t seed)
      : target_(Parse(target)), rng_(Rng::Derive(seed, fmt::format("proxy {}", number))) {
    const bool is_local = target_.family == AF_UNIX;
    address_ = is_local ? fmt::format("{}-{}", target, number) : "tcp://127.0.0.1:0";
    Address address = Parse(address_);
    listener_ = NewSocket(address, SOCK_NONBLOCK);
    SKERRY_ASSERT(::bind(listener_, address.get(), address.size) == 0);
    SKERRY_ASSERT(::listen(listener_, 16) == 0);
    if (!is_local) {
      sockaddr_in bound{};
      socklen_t size = sizeof(bound);
      SKERRY_ASSERT(::getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
      address_ = fmt::format("tcp://127.0.0.1:{}", ntohs(bound.sin_port));
    }
    std::array<int, 2> ends{};
    SKERRY_ASSERT(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    wake_read_ = ends[0];
    wake_write_ = ends[1];
    thread_ = std::thread([this] { Run(); });
  }

  ~Impl() {
    is_stopping_ = true;
    Wake();
    thread_.join();
    for (const int fd : {listener_, wake_read_, wake_write_}) ::close(fd);
  }

  const std::string& address() const { return address_; }
  void SetWeather(const NetworkWeather& weather) {
    {
      const std::lock_guard lock(mutex_);
      weather_ = weather;
    }
    Wake();
  }

  std::atomic<uint64_t> bytes_up = 0;
  std::atomic<uint64_t> connection_count = 0;
  std::atomic<uint64_t> repeat_count = 0;

 private:
  void Wake() { SKERRY_ASSERT(::write(wake_write_, "x", 1) == 1 || errno == EAGAIN); }

  void Accept(const NetworkWeather& weather) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    const int server = weather.is_cut ? -1 : NewSocket(target_);
    if (server < 0 || ::connect(server, target_.get(), target_.size) != 0) {
      if (server >= 0) ::close(server);
      ::close(client);
      return;
    }
    SKERRY_ASSERT(::fcntl(server, F_SETFL, O_NONBLOCK) == 0);
    ++connection_count;
    connections_.push_back(
        {.up = {.from = client, .to = server}, .down = {.from = server, .to = client}});
  }

  void Read(Lane& lane, const NetworkWeather& weather, Instant now, bool is_up) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(lane.from, buffer.data(), buffer.size());
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      lane.is_ended = true;
      return;
    }
    const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
    if (is_up) bytes_up += bytes.size();
    std::string passed;
    size_t begin = 0;
    for (const MessageCutter::Message& message : lane.cutter.Feed(bytes)) {
      if (rng_.Uniform() >= weather.repeat_probability) continue;
      passed += bytes.substr(begin, message.end - begin);
      passed += message.bytes;
      begin = message.end;
      ++repeat_count;
    }
    lane.Put(now + weather.delay, passed.append(bytes.substr(begin)));
  }

  // Sends what is due; false if the other side is gone.
  bool Write(Lane& lane, const NetworkWeather& weather, Instant now) {
    const auto rate = static_cast<double>(weather.bytes_per_s);
    lane.tokens = std::min(lane.tokens + rate * Seconds(now - lane.filled_at),
                           std::max(rate * kBurstSeconds, 1.0));
    lane.filled_at = now;
    while (!lane.queue.empty() && lane.queue.front().first <= now) {
      std::string& bytes = lane.queue.front().second;
      size_t size = bytes.size();
      if (rate > 0) size = std::min(size, static_cast<size_t>(lane.tokens));
      if (size == 0) return true;
      const ssize_t put = ::send(lane.to, bytes.data(), size, MSG_NOSIGNAL);
      if (put < 0) return errno == EAGAIN;
      lane.tokens -= rate > 0 ? static_cast<double>(put) : 0;
      lane.queued_bytes -= static_cast<size_t>(put);
      bytes.erase(0, static_cast<size_t>(put));
      if (bytes.empty()) lane.queue.pop_front();
    }
    return true;
  }

  // What to wait for at this lane; a time limit if something becomes due by itself.
  void Plan(const Lane& lane, bool is_held, const NetworkWeather& weather, Instant now,
            std::vector<pollfd>& polled, int& timeout_ms) const {
    const bool reads = !is_held && !lane.is_ended && lane.queued_bytes < kLaneBytesMax;
    polled.push_back({.fd = reads ? lane.from : -1, .events = POLLIN, .revents = 0});
    const auto at_most = [&timeout_ms](int64_t ms) {
      const int bounded = static_cast<int>(std::clamp<int64_t>(ms, 1, 1000));
      timeout_ms = timeout_ms < 0 ? bounded : std::min(timeout_ms, bounded);
    };
    bool writes = false;
    if (!is_held && !lane.queue.empty()) {
      const Instant due = lane.queue.front().first;
      if (due > now) {
        at_most(std::chrono::ceil<std::chrono::milliseconds>(due - now).count());
      } else if (weather.bytes_per_s > 0 && lane.tokens < 1) {
        at_most(20);
      } else {
        writes = true;
      }
    }
    polled.push_back({.fd = writes ? lane.to : -1, .events = POLLOUT, .revents = 0});
  }

  void Run() {
    while (!is_stopping_) {
      NetworkWeather weather;
      {
        const std::lock_guard lock(mutex_);
        weather = weather_;
      }
      const Instant planned_at = SystemClock().Now();
      int timeout_ms = -1;
      std::vector<pollfd> polled = {{.fd = wake_read_, .events = POLLIN, .revents = 0},
                                    {.fd = listener_, .events = POLLIN, .revents = 0}};
      for (const Connection& connection : connections_) {
        Plan(connection.up, false, weather, planned_at, polled, timeout_ms);
        Plan(connection.down, weather.is_agent_deaf, weather, planned_at, polled, timeout_ms);
      }
      SKERRY_ASSERT(::poll(polled.data(), polled.size(), timeout_ms) >= 0 || errno == EINTR);
      std::array<char, 64> ignored;
      while (::read(wake_read_, ignored.data(), ignored.size()) > 0) {
      }
      const Instant now = SystemClock().Now();
      size_t at = 2;
      for (Connection& connection : connections_) {
        for (const bool is_up : {true, false}) {
          Lane& lane = is_up ? connection.up : connection.down;
          if (polled[at].revents != 0) Read(lane, weather, now, is_up);
          at += 2;
          const bool is_held = !is_up && weather.is_agent_deaf;
          if (!is_held && !Write(lane, weather, now)) connection.is_broken = true;
          if (lane.is_ended && lane.queue.empty()) connection.is_broken = true;
        }
        connection.is_broken |= weather.is_cut;
      }
      connections_.remove_if([](const Connection& connection) {
        if (!connection.is_broken) return false;
        ::close(connection.up.from);
        ::close(connection.up.to);
        return true;
      });
      if (polled[1].revents != 0) Accept(weather);
    }
    for (const Connection& connection : connections_) {
      ::close(connection.up.from);
      ::close(connection.up.to);
    }
  }

  Address target_;
  std::string address_;
  Rng rng_;
  int listener_ = -1;
  int wake_read_ = -1;
  int wake_write_ = -1;
  std::atomic<bool> is_stopping_ = false;
  std::mutex mutex_;
  NetworkWeather weather_;
  std::list<Connection> connections_;
  std::thread thread_;
};

ChaosProxy::ChaosProxy(const std::string& target, int number, uint64_t seed)
    : impl_(std::make_unique<Impl>(target, number, seed)) {}
ChaosProxy::~ChaosProxy() = default;
const std::string& ChaosProxy::address() const { return impl_->address(); }
void ChaosProxy::SetWeather(const NetworkWeather& weather) { impl_->SetWeather(weather); }
uint64_t ChaosProxy::bytes_up() const { return impl_->bytes_up; }
uint64_t ChaosProxy::connection_count() const { return impl_->connection_count; }
uint64_t ChaosProxy::repeat_count() const { return impl_->repeat_count; }

}  // namespace skerry
