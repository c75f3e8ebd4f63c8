// The keystream of AES-128 in counter mode (NIST SP 800-38A), a long row of pseudo-random bytes
// that both ends of a shared key can compute, from any position.
//
// Byte i is byte i mod 16 of AES(key, i / 16), the block number as a 128-bit big-endian integer. A
// key is used for one row only; the row's position says where in the data the bytes belong, so
// data may be processed in pieces of any size. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace skerry {

class KeyStream {
 public:
  static constexpr size_t kKeyBytes = 16;
  // How long reads are computed; the stream is the same. kFastest takes the wide instructions where
  // the processor has them.
  enum class Path { kFastest, kOpenSsl };
  // `key` must hold kKeyBytes.
  explicit KeyStream(std::span<const uint8_t> key, Path path = Path::kFastest);
  ~KeyStream();
  KeyStream(KeyStream&&) noexcept;
  KeyStream& operator=(KeyStream&&) noexcept;

  // Writes the keystream bytes from `position` on. Going on where the last call ended is cheapest.
  void Read(uint64_t position, std::span<uint8_t> out);
  // The same as little-endian words: word w is bytes 4w to 4w + 3.
  void ReadWords(uint64_t position, std::span<uint32_t> out);

 private:
  struct Context;
  void ReadByOpenSsl(uint64_t position, std::span<uint8_t> out);
  void Seek(uint64_t position);
  void ReadAhead(std::span<uint8_t> out);
  std::unique_ptr<Context> context_;
};

}  // namespace skerry
