// The keystream of KeyStream sixty-four bytes an instruction, on processors with VAES and AVX-512.
// OpenSSL 3.0 encrypts one block an instruction. Private to common/crypto; key_stream.cc falls back
// on OpenSSL, whose blocks the self-test compares with these (self_test.h).
#pragma once

#include <cstdint>
#include <span>

#include "common/crypto/secret_bytes.h"

namespace skerry {

class WideAes {
 public:
  // Write takes whole multiples of this.
  static constexpr size_t kStepBytes = 512;

  // Whether this processor and operating system have the instructions. Nothing else here may be
  // called without.
  static bool IsSupported();

  // `key` must hold 16 bytes.
  explicit WideAes(std::span<const uint8_t> key);

  // AES-128 of the block numbers from `first_block` on, as 128-bit big-endian integers. `out` must
  // be a multiple of kStepBytes. Any thread.
  void Write(uint64_t first_block, std::span<uint8_t> out) const;

 private:
  SecretBytes round_keys_;
};

}  // namespace skerry
