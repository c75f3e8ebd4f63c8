// Whatever is hashed, signed or bound into a key goes through here, so that two different lists of
// fields never give the same bytes.
//
// A field is: length of the label, the label, length of the value, the value; lengths are 8 bytes,
// little-endian. A transcript begins with the field "purpose", which keeps a signature made for
// one thing from being used for another.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/crypto/sha256.h"

namespace skerry {

class Transcript {
 public:
  explicit Transcript(std::string_view purpose) { Append("purpose", purpose); }

  Transcript& Append(std::string_view label, std::span<const uint8_t> value);
  Transcript& Append(std::string_view label, std::string_view value);
  // As 8 bytes, little-endian.
  Transcript& AppendU64(std::string_view label, uint64_t value);

  // What is signed. Valid until the next Append.
  std::span<const uint8_t> bytes() const { return bytes_; }
  Sha256Digest Digest() const { return Sha256Of(bytes_); }

 private:
  void AppendSized(std::span<const uint8_t> part);
  std::vector<uint8_t> bytes_;
};

}  // namespace skerry
