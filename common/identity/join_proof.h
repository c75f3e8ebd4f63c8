// How a node proves on join that it holds its key: it signs the coordinator's fresh nonce with what
// it joins and through whom, so that a proof is worth nothing on another connection, in another run
// or in another process. The same over TCP and ipc.
//
// The signed bytes are Transcript("skerry-join-v1") with the fields nonce, run_id, version
// (64-bit), node, process; README.md shows them.
#pragma once

#include <cstdint>
#include <span>

#include "common/base/strong_id.h"
#include "common/crypto/signature.h"

namespace skerry {

struct JoinClaim {
  std::span<const uint8_t> nonce;  // Welcome.nonce
  RunId run_id;                    // Welcome.run_id
  uint32_t version = 0;            // Welcome.version
  NodeId node;
  ProcessName process;  // Hello.process
};

Ed25519Signature SignJoin(const JoinClaim& claim, const Ed25519SecretKey& key);

// `signature` is what the peer sent, of any length.
bool IsValidJoin(const JoinClaim& claim, const Ed25519PublicKey& key,
                 std::span<const uint8_t> signature);

}  // namespace skerry
