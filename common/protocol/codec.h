// Envelope <-> bytes, with the limits of limits.h. The one place where bytes from a peer become
// messages: what passes here has sane sizes, known members and well-formed ids; whether it makes
// sense now is the machines' business.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "skerry.pb.h"

namespace skerry::protocol {

// Appends nothing to the wire format: protobuf's own bytes.
std::string Encode(const proto::Envelope& envelope);

// Fails with kInvalidArgument, saying which field is wrong, if the bytes are no Envelope, have no
// known body, or break a limit.
absl::StatusOr<proto::Envelope> Decode(std::span<const uint8_t> bytes);

// "the round was closed": a reason in words, for people.
std::string Describe(proto::RejectReason reason);

}  // namespace skerry::protocol
