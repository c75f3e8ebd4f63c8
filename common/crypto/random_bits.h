// Where secrets, nonces and (later) privacy noise come from. Everything that needs entropy takes a
// RandomBits&; tests pass tests/support/scripted_random.h. Numbers that only have to be fair and
// repeatable come from Rng (common/base/rng.h) instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/crypto/secret_bytes.h"

namespace skerry {

class RandomBits {
 public:
  virtual ~RandomBits() = default;
  // Overwrites all of `out`. Never returns with less.
  virtual void Fill(std::span<uint8_t> out) = 0;

  SecretBytes DrawSecret(size_t size);
  uint64_t NextU64();
};

// The operating system's generator, getrandom(2). Any thread. It keeps no state in the process, so
// a fork or a copied machine image does not repeat numbers. Aborts if the system has no entropy to
// give, because nothing that asked may go on without.
RandomBits& SystemRandom();

}  // namespace skerry
