// Masks: long rows of pseudo-random ring elements that hide an update. Two nodes that share a key
// add and subtract the same mask, so it cancels in their sum.
#pragma once

#include <cstddef>
#include <span>

#include "common/crypto/secret_bytes.h"
#include "common/secagg/ring.h"

namespace skerry {

// A key hides one vector of one session: under the difference of two vectors that were hidden by
// one key, the key is gone.
struct MaskKey {
  SecretBytes key;  // KeyStream::kKeyBytes
  bool is_subtracted = false;
};

// Adds every mask to `sum`, or subtracts it, modulo 2^32: coordinate i takes word first + i of the
// key's KeyStream. A vector may so be masked in pieces of any size, by several threads. Pure.
void ApplyMasks(std::span<RingElement> sum, std::span<const MaskKey> masks, size_t first = 0);

}  // namespace skerry
