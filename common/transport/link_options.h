// Limits and timings of a connection, the same on both ends.
#pragma once

#include <chrono>
#include <cstddef>

#include "absl/status/status.h"
#include "common/base/clock.h"

namespace skerry {

struct LinkOptions {
  // A larger frame ends the connection before it is allocated.
  size_t envelope_bytes_max = 1 << 20;
  size_t raw_bytes_max = 4 << 20;

  // Messages ZeroMQ holds for one connection, each way. With the frame limits above they bound
  // what one peer can make this process hold.
  int send_messages_max = 32;
  int receive_messages_max = 16;
  // Control messages waiting for one peer beyond that. A peer that lets them grow past this is
  // given up.
  size_t queue_bytes_max = 4 << 20;

  int io_threads = 1;
  // Kernel buffer of one connection, each way; 0 leaves it to the kernel.
  int socket_buffer_bytes = 0;

  Duration handshake_timeout = std::chrono::seconds(10);
  // Over tcp the kernel probes a silent peer so often, and ends a connection whose peer's kernel
  // has acknowledged nothing for so long. Whether the peer's program still listens is for the
  // protocol to ask. Never ZeroMQ's heartbeats: 4.3.4 aborts the process ("!_io_error") when it is
  // time for one on a connection that has ended and whose messages fill its queue.
  Duration probe_interval = std::chrono::seconds(5);
  Duration probe_timeout = std::chrono::seconds(30);

  // kInvalidArgument names the first value out of range.
  absl::Status Validate() const;
};

}  // namespace skerry
