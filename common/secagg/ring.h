// Z_2^32, in which updates are summed: natural wrap of uint32_t. Sums there are exact and do not
// depend on the order of arrival, and a mask that is added and subtracted leaves no trace.
//
// A coordinate of a sum is read as a signed integer; fixed_point.h proves that it cannot have
// wrapped when every node kept to the encoding.
#pragma once

#include <cstdint>
#include <span>

namespace skerry {

using RingElement = uint32_t;

// Signed sums lie in [-kRingSignedMax - 1, kRingSignedMax].
inline constexpr int64_t kRingSignedMax = INT32_MAX;

constexpr int32_t ToSigned(RingElement element) { return static_cast<int32_t>(element); }
constexpr RingElement ToRing(int32_t value) { return static_cast<RingElement>(value); }

// sum += update, modulo 2^32, coordinate by coordinate. The sizes must be equal.
void AddInto(std::span<RingElement> sum, std::span<const RingElement> update);

}  // namespace skerry
