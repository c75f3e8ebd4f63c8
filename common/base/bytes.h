// Little-endian reading and writing of integers in byte buffers.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace skerry {

static_assert(std::endian::native == std::endian::little,
              "tensor frames are little-endian; a big-endian port needs byte swaps in bytes.h, "
              "safetensors.cc and fixed_point.cc");

template <typename T>
T LoadLittleEndian(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
void StoreLittleEndian(T value, void* to) {
  std::memcpy(to, &value, sizeof(T));
}

inline std::span<const uint8_t> AsBytes(const void* data, size_t size) {
  return {static_cast<const uint8_t*>(data), size};
}

template <typename T>
std::span<const uint8_t> AsBytes(std::span<const T> items) {
  return AsBytes(items.data(), items.size_bytes());
}

}  // namespace skerry
