#include "common/identity/join_proof.h"

#include "common/crypto/transcript.h"

namespace skerry {
namespace {

Transcript TranscriptOf(const JoinClaim& claim) {
  Transcript transcript("skerry-join-v1");
  transcript.Append("nonce", claim.nonce)
      .Append("run_id", claim.run_id.value())
      .AppendU64("version", claim.version)
      .Append("node", claim.node.value())
      .Append("process", claim.process.value());
  return transcript;
}

}  // namespace

Ed25519Signature SignJoin(const JoinClaim& claim, const Ed25519SecretKey& key) {
  return key.Sign(TranscriptOf(claim).bytes());
}

bool IsValidJoin(const JoinClaim& claim, const Ed25519PublicKey& key,
                 std::span<const uint8_t> signature) {
  return key.Verify(TranscriptOf(claim).bytes(), signature);
}

}  // namespace skerry
