// The key of a node's rounding bits when privacy is off: a run can then be repeated bit by bit.
#pragma once

#include <cstdint>

#include "common/base/strong_id.h"
#include "common/crypto/secret_bytes.h"

namespace skerry {

// HKDF-SHA256 of the job's seed, for this node, round and attempt; KeyStream::kKeyBytes long. Every
// party of a job can compute it, so it protects nothing; it only has to be fair and repeatable.
SecretBytes RoundingKey(uint64_t job_seed, const NodeId& node, RoundId round,
                        AttemptId attempt = AttemptId(1));

}  // namespace skerry
