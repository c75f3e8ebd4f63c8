#include "common/transport/zap_handler.h"

#include <array>

#include <zmq.h>

#include "common/base/status.h"
#include "common/transport/zmq_frames.h"

namespace skerry {
namespace {

constexpr size_t kCurveKeyBytes = 32;

// Parts of a request, RFC 27.
enum RequestPart { kVersion, kRequestId, kDomain, kAddress, kRoutingId, kMechanism, kCredentials };

std::string KeyText(const std::string& request_credentials) {
  std::array<char, 41> text = {};
  SKERRY_ASSERT(::zmq_z85_encode(text.data(),
                                 reinterpret_cast<const uint8_t*>(request_credentials.data()),
                                 kCurveKeyBytes) != nullptr);
  return text.data();
}

// Our listeners speak IPv6, where IPv4 addresses look like ::ffff:10.0.0.3.
std::string PlainAddress(const std::string& address) {
  constexpr std::string_view kMappedPrefix = "::ffff:";
  return address.starts_with(kMappedPrefix) ? address.substr(kMappedPrefix.size()) : address;
}

bool IsCurve(const std::vector<std::string>& request) {
  return request[kMechanism] == "CURVE" && request.size() == kCredentials + 1 &&
         request[kCredentials].size() == kCurveKeyBytes;
}

}  // namespace

absl::StatusOr<ZapHandler> ZapHandler::Create(const ZmqContext& context,
                                              Authenticator authenticate) {
  SKERRY_ASSIGN_OR_RETURN(ZmqSocket socket, ZmqSocket::Create(context, ZMQ_REP));
  SKERRY_RETURN_IF_ERROR(socket.Bind("inproc://zeromq.zap.01"));
  return ZapHandler(std::move(socket), std::move(authenticate));
}

std::optional<std::string> ZapHandler::UserIdFor(const std::vector<std::string>& request) const {
  // ipc connections get an explicit empty name: without an answer from here, ZeroMQ would take a
  // name the peer itself claims in its handshake.
  if (request[kMechanism] == "NULL" && request[kDomain] == kIpcDomain) return std::string();
  if (!IsCurve(request) || request[kDomain] != kTcpDomain || !authenticate_) return std::nullopt;
  const std::optional<ProcessName> process = authenticate_(KeyText(request[kCredentials]));
  if (!process) return std::nullopt;
  return process->value();
}

void ZapHandler::Work(std::vector<RefusedConnection>& refused, size_t refused_max) {
  for (auto request = ReceiveTextParts(socket_); !request.empty();
       request = ReceiveTextParts(socket_)) {
    if (request.size() <= kMechanism || request[kVersion] != "1.0") {
      SendTextParts(socket_, {"1.0", "", "500", "malformed request", "", ""});
      continue;
    }
    const std::optional<std::string> user_id = UserIdFor(request);
    if (user_id) {
      SendTextParts(socket_, {"1.0", request[kRequestId], "200", "OK", *user_id, ""});
      continue;
    }
    SendTextParts(socket_, {"1.0", request[kRequestId], "400", "key not in the roster", "", ""});
    if (refused.size() < refused_max) {
      refused.push_back({PlainAddress(request[kAddress]),
                         IsCurve(request) ? KeyText(request[kCredentials]) : std::string()});
    }
  }
}

}  // namespace skerry
