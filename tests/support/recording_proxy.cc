#include "tests/support/recording_proxy.h"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <list>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace skerry {
namespace {

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  SKERRY_ASSERT(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// -1 if nobody listens there.
int Connect(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = AddressOf(path);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  ::close(fd);
  return -1;
}

struct Pair {
  int client;
  int server;  // -1 once it has hung up
  std::string sent{};
};

// What can be read at once; empty at the end of the stream.
std::string ReadSome(int fd) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  return got > 0 ? std::string(buffer.data(), static_cast<size_t>(got)) : std::string();
}

// A peer that has hung up loses it.
void WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}

}  // namespace

RecordingProxy::RecordingProxy(std::string path, std::string target)
    : path_(std::move(path)), target_(std::move(target)) {
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = AddressOf(path_);
  SKERRY_ASSERT(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
                0);
  SKERRY_ASSERT(::listen(listener_, 16) == 0);
  std::array<int, 2> ends;
  SKERRY_ASSERT(::pipe2(ends.data(), O_CLOEXEC) == 0);
  stop_read_ = ends[0];
  stop_write_ = ends[1];
  thread_ = std::thread([this] { Run(); });
}

RecordingProxy::~RecordingProxy() {
  Finish();
  for (const int fd : {listener_, stop_read_, stop_write_}) ::close(fd);
}

std::string RecordingProxy::Finish() {
  if (thread_.joinable()) {
    SKERRY_ASSERT(::write(stop_write_, "x", 1) == 1);
    thread_.join();
  }
  return recorded_;
}

void RecordingProxy::Run() {
  std::list<Pair> pairs;
  bool is_stopping = false;
  while (!is_stopping || !pairs.empty()) {
    std::vector<pollfd> polled = {
        {.fd = is_stopping ? -1 : listener_, .events = POLLIN, .revents = 0},
        {.fd = is_stopping ? -1 : stop_read_, .events = POLLIN, .revents = 0}};
    for (const Pair& pair : pairs) {
      polled.push_back({.fd = pair.client, .events = POLLIN, .revents = 0});
      polled.push_back({.fd = pair.server, .events = POLLIN, .revents = 0});
    }
    SKERRY_ASSERT(::poll(polled.data(), polled.size(), -1) > 0);
    size_t at = 2;
    for (auto pair = pairs.begin(); pair != pairs.end(); at += 2) {
      if (polled[at + 1].revents != 0) {
        const std::string bytes = ReadSome(pair->server);
        if (bytes.empty()) {
          ::close(std::exchange(pair->server, -1));
          ::shutdown(pair->client, SHUT_WR);
        } else {
          WriteAll(pair->client, bytes);
        }
      }
      if (polled[at].revents != 0) {
        const std::string bytes = ReadSome(pair->client);
        if (bytes.empty()) {
          recorded_ += pair->sent;
          ::close(pair->client);
          if (pair->server >= 0) ::close(pair->server);
          pair = pairs.erase(pair);
          continue;
        }
        pair->sent += bytes;
        if (pair->server >= 0) WriteAll(pair->server, bytes);
      }
      ++pair;
    }
    if (polled[1].revents != 0) is_stopping = true;
    if (polled[0].revents != 0) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const int server = client < 0 ? -1 : Connect(target_);
      if (client >= 0 && server < 0) ::close(client);
      if (client >= 0 && server >= 0) pairs.push_back({.client = client, .server = server});
    }
  }
}

}  // namespace skerry
