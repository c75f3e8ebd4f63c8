// Peers that want to hurt: many at once, silent in the middle, loud, or announcing what nobody
// could hold. Each costs a connection for a while and nobody else anything.
#include <arpa/inet.h>
#include <cerrno>
#include <fstream>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "tests/common/transport/endpoints.h"

namespace skerry {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// What every ZMTP 3 peer says first: signature, version, mechanism, no server, filler.
std::string Greeting(const std::string& mechanism) {
  std::string greeting = "\xff";
  greeting += std::string(8, '\0') + "\x7f\x03" + std::string(1, '\0');
  greeting += mechanism + std::string(20 - mechanism.size(), '\0') + std::string(32, '\0');
  return greeting;
}

// A connection without ZeroMQ.
class RawConnection {
 public:
  explicit RawConnection(const std::string& address)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    to.sin_port = ::htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    is_connected_ = socket_.is_open() &&
                    ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  }

  bool is_connected() const { return is_connected_; }
  // Bytes taken; none if the other end does not read at the moment or has closed.
  size_t Send(std::string_view bytes) {
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  // Reads what is there.
  bool IsClosedByPeer() {
    char buffer[4096];
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got > 0) continue;
      return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    }
  }

 private:
  FileDescriptor socket_;
  bool is_connected_ = false;
};

// Pages of this process in memory, in bytes.
size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

LinkOptions QuickHandshake() {
  LinkOptions link;
  link.handshake_timeout = std::chrono::milliseconds(300);
  return link;
}

class HostilePeerTest : public testing::Test {
 protected:
  // Whoever is in the roster is heard meanwhile.
  void ExpectHonestPeerIsHeard() {
    const size_t dealer = net_.AddDealer(net_.Enrol("honest"));
    net_.Introduce(dealer);
    EXPECT_EQ(TextOf(net_.router_log_.messages.back().message), "hello");
    EXPECT_EQ(net_.router_->peer_count(), 1u);
  }

  Net net_{Net::Scheme::kTcp};
};

TEST_F(HostilePeerTest, ThousandConnectionsThatStallInTheGreetingAreClosedAndTakeLittleMemory) {
  net_.StartRouter(QuickHandshake());  // raises the limit of open files
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur < 2200) GTEST_SKIP() << "both ends need a file each, " << limit.rlim_cur;
  const size_t before = ResidentBytes();
  std::vector<RawConnection> stalled;
  stalled.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    RawConnection& connection = stalled.emplace_back(net_.address_);
    ASSERT_TRUE(connection.is_connected()) << i;
    connection.Send(Greeting("CURVE").substr(0, static_cast<size_t>(i % 40)));
  }

  ExpectHonestPeerIsHeard();

  EXPECT_TRUE(net_.Until([&] {
    return std::all_of(stalled.begin(), stalled.end(),
                       [](RawConnection& connection) { return connection.IsClosedByPeer(); });
  }));
  // Measured 3 MB with both ends in this process; the kernel's buffers do not count.
  EXPECT_LT(ResidentBytes(), before + (size_t{32} << 20));
  EXPECT_THAT(net_.router_log_.messages, SizeIs(1));
}

TEST_F(HostilePeerTest, FloodWithoutAKeyIsCutAndNothingOfItIsHeard) {
  net_.StartRouter(QuickHandshake());
  const size_t before = ResidentBytes();
  RawConnection flood(net_.address_);
  ASSERT_TRUE(flood.is_connected());
  flood.Send(Greeting("NULL"));
  const std::string noise(1 << 20, '\x55');

  size_t sent = 0;
  EXPECT_TRUE(net_.Until([&] {
    sent += flood.Send(noise);
    return flood.IsClosedByPeer();
  }));

  EXPECT_LT(ResidentBytes(), before + (size_t{64} << 20)) << sent;
  ExpectHonestPeerIsHeard();
  EXPECT_THAT(net_.router_log_.messages, SizeIs(1));
}

// The length of a command may be any 64-bit number before anybody is authenticated.
TEST_F(HostilePeerTest, FrameOfTwoToThe62BytesInTheHandshakeIsRefusedBeforeItIsAllocated) {
  net_.StartRouter();  // with the patience of a deployment: it is the length that ends it
  const size_t before = ResidentBytes();
  for (const char* mechanism : {"CURVE", "NULL"}) {
    RawConnection peer(net_.address_);
    ASSERT_TRUE(peer.is_connected());
    std::string text = Greeting(mechanism);
    text += "\x06\x40";  // a long command
    text += std::string(7, '\0') + std::string(1000, 'x');
    peer.Send(text);

    EXPECT_TRUE(net_.Until([&] { return peer.IsClosedByPeer(); })) << mechanism;
  }

  EXPECT_LT(ResidentBytes(), before + (size_t{64} << 20));
  EXPECT_THAT(net_.router_log_.messages, IsEmpty());
}

TEST_F(HostilePeerTest, EachConnectionWithAStrangeKeyIsCountedAndTheHonestOneIsHeard) {
  net_.StartRouter();
  constexpr size_t kStrangers = 50;
  std::vector<size_t> strangers;
  for (size_t i = 0; i < kStrangers; ++i) strangers.push_back(net_.AddDealer(MakeCurveKeys()));

  ASSERT_TRUE(net_.Until([&] { return net_.router_log_.refused.size() >= kStrangers; }));

  ExpectHonestPeerIsHeard();
  for (const size_t stranger : strangers) EXPECT_EQ(net_.dealer_logs_[stranger].up_count, 0);
}

}  // namespace
}  // namespace skerry
