// ZeroMQ endpoints as a configuration may name them: tcp://host:port or ipc://path.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace skerry {

enum class AddressUse {
  kListen,  // host * listens on every interface; port 0 lets the system choose
  kDial,    // needs a host and a port above 0
};

// The message says what was expected, without naming the key: "must be tcp://..., got ...".
absl::Status CheckAddress(const std::string& address, AddressUse use);

bool IsTcpAddress(const std::string& address);

}  // namespace skerry
