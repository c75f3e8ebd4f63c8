#include "common/transport/link_options.h"

#include <fmt/format.h>

namespace skerry {
namespace {

absl::Status CheckRange(const char* name, double value, double min, double max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} must be {}..{}, got {}", name, min, max, value));
}

}  // namespace

absl::Status LinkOptions::Validate() const {
  constexpr double kBytesMax = 1 << 30;
  const absl::Status checks[] = {
      CheckRange("envelope_bytes_max", static_cast<double>(envelope_bytes_max), 1, kBytesMax),
      CheckRange("raw_bytes_max", static_cast<double>(raw_bytes_max), 1, kBytesMax),
      CheckRange("send_messages_max", send_messages_max, 1, 1 << 16),
      CheckRange("receive_messages_max", receive_messages_max, 1, 1 << 16),
      CheckRange("io_threads", io_threads, 1, 64),
      CheckRange("socket_buffer_bytes", socket_buffer_bytes, 0, kBytesMax),
      CheckRange("handshake_timeout in seconds", Seconds(handshake_timeout), 0.001, 3600),
      CheckRange("probe_interval in seconds", Seconds(probe_interval), 0.001, 3600),
      CheckRange("probe_timeout in seconds", Seconds(probe_timeout), 0.001, 3600),
  };
  for (const absl::Status& check : checks) {
    if (!check.ok()) return check;
  }
  return absl::OkStatus();
}

}  // namespace skerry
