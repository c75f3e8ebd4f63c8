#include "common/config/address.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace skerry {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kIpc = "ipc://";
// sockaddr_un holds 108 bytes with the terminating zero.
constexpr size_t kIpcPathBytesMax = 107;

bool IsHostCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '-' || c == '_';
}

bool IsHost(std::string_view host, AddressUse use) {
  if (host == "*") return use == AddressUse::kListen;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {  // IPv6
    const std::string_view inner = host.substr(1, host.size() - 2);
    return std::all_of(inner.begin(), inner.end(),
                       [](char c) { return IsHostCharacter(c) || c == ':' || c == '%'; });
  }
  return !host.empty() && std::all_of(host.begin(), host.end(), IsHostCharacter);
}

bool IsPort(std::string_view text, AddressUse use) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port <= 65'535 &&
         (port > 0 || use == AddressUse::kListen);
}

}  // namespace

bool IsTcpAddress(const std::string& address) { return address.starts_with(kTcp); }

absl::Status CheckAddress(const std::string& address, AddressUse use) {
  const std::string_view text = address;
  if (text.starts_with(kIpc)) {
    const size_t path_bytes = text.size() - kIpc.size();
    if (path_bytes >= 1 && path_bytes <= kIpcPathBytesMax) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format(
        "must have a path of 1..{} bytes after ipc://, got {}", kIpcPathBytesMax, path_bytes));
  }
  if (text.starts_with(kTcp)) {
    const std::string_view rest = text.substr(kTcp.size());
    const size_t colon = rest.rfind(':');
    if (colon != std::string_view::npos && IsHost(rest.substr(0, colon), use) &&
        IsPort(rest.substr(colon + 1), use)) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(fmt::format(
      "must be tcp://host:port{} or ipc://path, got {}",
      use == AddressUse::kListen ? " (host * for every interface)" : "", address.substr(0, 100)));
}

}  // namespace skerry
