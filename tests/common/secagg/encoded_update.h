// Encodings and updates of tests, each with the rounding of a round of the test's choice.
#pragma once

#include <cstdint>
#include <vector>

#include "common/secagg/fixed_point.h"
#include "common/secagg/rounding_key.h"
#include "tests/support/status_matchers.h"

namespace skerry {

inline UpdateEncoding Encoding(size_t parameter_count, const EncodingLimits& limits,
                               bool has_metrics = false) {
  auto encoding = UpdateEncoding::Create({parameter_count, has_metrics}, limits);
  EXPECT_OK(encoding);
  return *encoding;
}

inline SecretBytes Key(uint64_t round) { return RoundingKey(1, NodeId("node-0"), RoundId(round)); }

inline std::vector<RingElement> Encode(const UpdateEncoding& encoding, const UpdateInput& input,
                                       uint64_t round = 1) {
  std::vector<RingElement> out(encoding.layout().size());
  EXPECT_OK(EncodeUpdate(encoding, input, Key(round), out));
  return out;
}

}  // namespace skerry
