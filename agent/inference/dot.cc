#include "agent/inference/dot.h"

#include <cstring>

namespace skerry {
namespace {

// Sixteen lanes, in as many registers as the instruction set needs for them.
constexpr size_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
// The same wherever an array of float happens to begin.
using LanesInMemory = Lanes __attribute__((aligned(4), may_alias));

#define SKERRY_INLINE [[gnu::always_inline]] inline

SKERRY_INLINE Lanes Load(const float* from) {
  return *reinterpret_cast<const LanesInMemory*>(from);
}

SKERRY_INLINE float SumOf(const Lanes& lanes) {
  float sum = 0;
  for (size_t i = 0; i < kLanes; ++i) sum += lanes[i];
  return sum;
}

SKERRY_INLINE float DotBody(const float* a, const float* b, size_t count) {
  Lanes first = {};
  Lanes second = {};
  size_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    first += Load(a + i) * Load(b + i);
    second += Load(a + i + kLanes) * Load(b + i + kLanes);
  }
  first += second;
  for (; i + kLanes <= count; i += kLanes) {
    first += Load(a + i) * Load(b + i);
  }
  float sum = SumOf(first);
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// Four rows at a time: each load of x serves all of them, and their sums do not wait for each
// other.
SKERRY_INLINE void DotRowsBody(const float* x, const float* rows, size_t stride, size_t row_count,
                               size_t count, float* out) {
  size_t row = 0;
  for (; row + 4 <= row_count; row += 4) {
    const float* const r0 = rows + row * stride;
    const float* const r1 = r0 + stride;
    const float* const r2 = r1 + stride;
    const float* const r3 = r2 + stride;
    Lanes s0 = {};
    Lanes s1 = {};
    Lanes s2 = {};
    Lanes s3 = {};
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      const Lanes v = Load(x + i);
      s0 += v * Load(r0 + i);
      s1 += v * Load(r1 + i);
      s2 += v * Load(r2 + i);
      s3 += v * Load(r3 + i);
    }
    float t0 = SumOf(s0);
    float t1 = SumOf(s1);
    float t2 = SumOf(s2);
    float t3 = SumOf(s3);
    for (; i < count; ++i) {
      t0 += x[i] * r0[i];
      t1 += x[i] * r1[i];
      t2 += x[i] * r2[i];
      t3 += x[i] * r3[i];
    }
    out[row] = t0;
    out[row + 1] = t1;
    out[row + 2] = t2;
    out[row + 3] = t3;
  }
  for (; row < row_count; ++row) out[row] = DotBody(x, rows + row * stride, count);
}

SKERRY_INLINE void AddScaledBody(float factor, const float* x, size_t count, float* y) {
  for (size_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

#undef SKERRY_INLINE

struct Kernels {
  float (*dot)(const float*, const float*, size_t);
  void (*dot_rows)(const float*, const float*, size_t, size_t, size_t, float*);
  void (*add_scaled)(float, const float*, size_t, float*);
};

// One set of functions for an instruction set; without a target, for what the build assumes.
#define SKERRY_KERNELS(name, ...)                                                          \
  __VA_ARGS__ float Dot##name(const float* a, const float* b, size_t count) {              \
    return DotBody(a, b, count);                                                           \
  }                                                                                        \
  __VA_ARGS__ void DotRows##name(const float* x, const float* rows, size_t stride,         \
                                 size_t row_count, size_t count, float* out) {             \
    DotRowsBody(x, rows, stride, row_count, count, out);                                   \
  }                                                                                        \
  __VA_ARGS__ void AddScaled##name(float factor, const float* x, size_t count, float* y) { \
    AddScaledBody(factor, x, count, y);                                                    \
  }                                                                                        \
  constexpr Kernels k##name = {Dot##name, DotRows##name, AddScaled##name};

SKERRY_KERNELS(Portable)
#if defined(__x86_64__)
SKERRY_KERNELS(Avx2, [[gnu::target("avx2,fma")]])
SKERRY_KERNELS(Avx512, [[gnu::target("avx512f,avx512vl,avx512dq,avx2,fma")]])
#endif
#undef SKERRY_KERNELS

Kernels Choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
  return kPortable;
}

const Kernels kKernels = Choose();

}  // namespace

float Dot(const float* a, const float* b, size_t count) { return kKernels.dot(a, b, count); }
void DotRows(const float* x, const float* rows, size_t stride, size_t row_count, size_t count,
             float* out) {
  kKernels.dot_rows(x, rows, stride, row_count, count, out);
}
void AddScaled(float factor, const float* x, size_t count, float* y) {
  kKernels.add_scaled(factor, x, count, y);
}

}  // namespace skerry
