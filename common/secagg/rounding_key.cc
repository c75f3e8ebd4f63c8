#include "common/secagg/rounding_key.h"

#include "common/base/bytes.h"
#include "common/crypto/hkdf.h"
#include "common/crypto/key_stream.h"
#include "common/crypto/transcript.h"

namespace skerry {

SecretBytes RoundingKey(uint64_t job_seed, const NodeId& node, RoundId round, AttemptId attempt) {
  uint8_t seed[sizeof(uint64_t)];
  StoreLittleEndian(job_seed, seed);
  Transcript info("skerry-rounding-v1");
  info.Append("node", node.value()).AppendU64("round", round.value());
  if (attempt > AttemptId(1)) info.AppendU64("attempt", attempt.value());
  return HkdfSha256({.key_material = seed, .salt = {}, .info = info.bytes()}, KeyStream::kKeyBytes);
}

}  // namespace skerry
