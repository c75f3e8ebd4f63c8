// An agent dials something that answers and hangs up: at once, after it has read a little, or with
// a reset. Whatever of it ZeroMQ reports, the endpoint goes on trying.
#include <array>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/transport/dealer_endpoint.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr int kCalls = 600;

int Listen(uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  SKERRY_ASSERT(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  SKERRY_ASSERT(::listen(fd, 16) == 0);
  SKERRY_ASSERT(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return fd;
}

TEST(RudeListenerTest, EveryHangUpIsFollowedByAnotherCall) {
  uint16_t port = 0;
  const int listener = Listen(port);
  std::thread rude([listener] {
    for (int call = 0; call < kCalls; ++call) {
      const int fd = ::accept(listener, nullptr, nullptr);
      std::array<char, 64> greeting;
      if (call % 3 == 1) static_cast<void>(::read(fd, greeting.data(), greeting.size()));
      if (call % 3 == 2) {
        const linger reset = {.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
      }
      ::close(fd);
    }
    ::close(listener);
  });
  DealerOptions options{
      .address = fmt::format("tcp://127.0.0.1:{}", port),
      .keys = DealerKeys{.public_key_z85 = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
                         .secret_key_z85 = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
                         .coordinator_public_key_z85 = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
      .retry_wait_min = std::chrono::microseconds(100),
      .retry_wait_max = std::chrono::microseconds(200),
      .link = {}};
  ASSERT_OK_AND_ASSIGN(DealerEndpoint dealer, DealerEndpoint::Create(options, Rng(1)));

  const Instant until = SystemClock().Now() + std::chrono::seconds(60);
  int losses = 0;
  while (losses < kCalls && SystemClock().Now() < until) {
    losses +=
        dealer.Poll(std::chrono::milliseconds(100), SystemClock().Now()).link_down.has_value();
  }

  EXPECT_EQ(losses, kCalls);
  if (losses < kCalls) ::shutdown(listener, SHUT_RDWR);
  rude.join();
}

}  // namespace
}  // namespace skerry
