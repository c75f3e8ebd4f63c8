// Decides which connections a coordinator accepts (ZeroMQ authentication protocol, RFC 27).
// Internal to this library; driven by RouterEndpoint on its thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/transport/router_endpoint.h"
#include "common/transport/zmq_handle.h"

namespace skerry {

class ZapHandler {
 public:
  // A socket with this domain and no CURVE is guarded by file permissions: all are accepted.
  static constexpr std::string_view kIpcDomain = "skerry-ipc";
  static constexpr std::string_view kTcpDomain = "skerry-tcp";

  static absl::StatusOr<ZapHandler> Create(const ZmqContext& context, Authenticator authenticate);

  // Answers every waiting request and appends the refused ones, `refused_max` at most, so that a
  // flood of strangers costs no memory.
  void Work(std::vector<RefusedConnection>& refused, size_t refused_max);
  int fd() const { return socket_.fd(); }

 private:
  ZapHandler(ZmqSocket socket, Authenticator authenticate)
      : socket_(std::move(socket)), authenticate_(std::move(authenticate)) {}
  std::optional<std::string> UserIdFor(const std::vector<std::string>& request) const;

  ZmqSocket socket_;
  Authenticator authenticate_;
};

}  // namespace skerry
