// Known answers that a program asks of its cryptography before it trusts it. A library built for
// the wrong processor, or a new wide path with a fault, must stop a node at start; noticed later, a
// wrong mask is a ruined sum, and a repeated one a lost secret.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/status.h"

namespace skerry {

// Checks the keystream, AES-256-GCM, X25519 and SHA-256 against published vectors in well under a
// millisecond. Fails with kInternal, naming what is wrong and the OpenSSL in use. Any thread.
absl::Status SelfTestCrypto();

// Writes the keystream bytes from `position` on, of one key.
using KeyStreamReader = std::function<void(uint64_t position, std::span<uint8_t> out)>;

// The part for keystreams: `read` must give the stream of the key of sixteen zero bytes. Compares
// published blocks, then long reads, from aligned and odd positions and over the carries of the
// counter, with the same blocks read one at a time.
absl::Status CheckKeyStream(const KeyStreamReader& read);

}  // namespace skerry
