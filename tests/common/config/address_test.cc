#include "common/config/address.h"

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(AddressTest, HostsPortsAndPathsAreAccepted) {
  for (const char* address : {"tcp://coordinator.example.org:7700", "tcp://10.0.0.1:1",
                              "tcp://[::1]:65535", "ipc:///tmp/skerry.sock"}) {
    EXPECT_OK(CheckAddress(address, AddressUse::kDial)) << address;
    EXPECT_OK(CheckAddress(address, AddressUse::kListen)) << address;
  }
}

TEST(AddressTest, AnyHostAndAnyPortAreOnlyForListening) {
  for (const char* address : {"tcp://*:7700", "tcp://127.0.0.1:0"}) {
    EXPECT_OK(CheckAddress(address, AddressUse::kListen)) << address;
    EXPECT_THAT(CheckAddress(address, AddressUse::kDial),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << address;
  }
}

TEST(AddressTest, EverythingElseIsRefused) {
  for (const char* address :
       {"", "7700", "host:7700", "tcp://", "tcp://host", "tcp://host:", "tcp://:7700",
        "tcp://host:65536", "tcp://host:7700x", "tcp://ho st:7700", "tcp://host:-1", "udp://host:1",
        "inproc://x", "ipc://", "tcp://[]:1", "tcp://host:7700;tcp://other:1"}) {
    EXPECT_THAT(CheckAddress(address, AddressUse::kListen),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must ")))
        << address;
  }
}

TEST(AddressTest, PathIsLimitedToWhatASocketAddressHolds) {
  EXPECT_OK(CheckAddress("ipc://" + std::string(107, 'p'), AddressUse::kDial));
  EXPECT_THAT(CheckAddress("ipc://" + std::string(108, 'p'), AddressUse::kDial),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1..107 bytes")));
}

}  // namespace
}  // namespace skerry
