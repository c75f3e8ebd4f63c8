#include "common/crypto/transcript.h"

#include "common/base/bytes.h"

namespace skerry {

void Transcript::AppendSized(std::span<const uint8_t> part) {
  uint8_t length[sizeof(uint64_t)];
  StoreLittleEndian<uint64_t>(part.size(), length);
  bytes_.insert(bytes_.end(), std::begin(length), std::end(length));
  bytes_.insert(bytes_.end(), part.begin(), part.end());
}

Transcript& Transcript::Append(std::string_view label, std::span<const uint8_t> value) {
  AppendSized(AsBytes(label.data(), label.size()));
  AppendSized(value);
  return *this;
}

Transcript& Transcript::Append(std::string_view label, std::string_view value) {
  return Append(label, AsBytes(value.data(), value.size()));
}

Transcript& Transcript::AppendU64(std::string_view label, uint64_t value) {
  uint8_t bytes[sizeof(uint64_t)];
  StoreLittleEndian(value, bytes);
  return Append(label, std::span<const uint8_t>(bytes));
}

}  // namespace skerry
