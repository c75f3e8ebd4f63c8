// A bad network between one agent process and its coordinator: cuts, delays, little bandwidth, a
// reader that reads nothing, frames that come twice. Bytes pass unchanged otherwise, and in order.
//
// A thread of its own; the weather may be changed at any time. Repeated frames over ipc reach the
// peer's handlers as repeated messages; over TCP the encryption notices and ends the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/clock.h"

namespace skerry {

struct NetworkWeather {
  bool is_cut = false;          // connections break and new ones are hung up on
  Duration delay{};             // each way
  uint64_t bytes_per_s = 0;     // each way; 0 is no limit
  double repeat_probability{};  // of a message, each way
  bool is_agent_deaf = false;   // nothing comes down; what is on the way waits
};

class ChaosProxy {
 public:
  // Addresses as the programs take them, "tcp://127.0.0.1:4000" (also in IPv6 form) or
  // "ipc:///path". Listens on any free port of the loopback, or on `target` with "-N" behind it.
  // Aborts if it cannot.
  ChaosProxy(const std::string& target, int number, uint64_t seed);
  ~ChaosProxy();
  ChaosProxy(const ChaosProxy&) = delete;
  ChaosProxy& operator=(const ChaosProxy&) = delete;

  // Where the agent dials.
  const std::string& address() const;
  void SetWeather(const NetworkWeather& weather);

  // Over all connections so far.
  uint64_t bytes_up() const;
  uint64_t connection_count() const;
  uint64_t repeat_count() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
