// Random 64-bit words for the samplers of one call: AES-128 in counter mode (NIST SP 800-38A) under
// keys drawn from a RandomBits, which is the operating system's generator outside tests. A
// cryptographic generator seeded by the system, because a system call for each few words would cost
// more than the sampling.
//
// Lives on the stack of one call and never longer: a fork between two calls copies no state that
// could give two processes the same noise. Buffer and keys are wiped on destruction. One thread.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/bytes.h"
#include "common/crypto/key_stream.h"
#include "common/crypto/random_bits.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

class RandomWords {
 public:
  // `random` must outlive it.
  explicit RandomWords(RandomBits& random);
  RandomWords(const RandomWords&) = delete;
  RandomWords& operator=(const RandomWords&) = delete;

  uint64_t Next() {
    if (next_ == kBufferedWords) Refill();
    return LoadLittleEndian<uint64_t>(buffer_.bytes().data() + sizeof(uint64_t) * next_++);
  }

 private:
  // Fits in the first-level cache beside the vector that is filled.
  static constexpr size_t kBufferedWords = 1024;
  // Counter mode differs from random words by the blocks that cannot repeat: with 2^16 blocks under
  // one key an advantage of 2^(2*16 - 129), whatever the number of keys less than 2^-80.
  static constexpr uint64_t kBytesPerKey = uint64_t{1} << 20;

  void Refill();

  RandomBits& random_;
  SecretBytes buffer_;
  size_t next_ = kBufferedWords;
  std::optional<KeyStream> stream_;
  uint64_t position_ = kBytesPerKey;
};

}  // namespace skerry
