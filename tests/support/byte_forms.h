// A number or a row of numbers as it might stand in a message: every way in which a program of ours
// or protobuf would write it down. For searching captured bytes for what must not be in them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace skerry {

struct ByteForm {
  std::string name;
  std::string bytes;  // four and more, so that chance does not write them
};

template <typename Value>
std::string LittleEndian(Value value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

template <typename Value>
std::string BigEndian(Value value) {
  std::string bytes = LittleEndian(value);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

inline std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7f));
  return bytes + static_cast<char>(value);
}

// Of a count of at least 2^21 (whose varint has four bytes) and below 2^24 (which a float holds).
inline std::vector<ByteForm> FormsOfCount(const std::string& name, uint32_t count) {
  return {{name + " as varint", Varint(count)},
          {name + " as zigzag varint", Varint(uint64_t{count} << 1)},
          {name + " as little-endian integer", LittleEndian(count)},
          {name + " as big-endian integer", BigEndian(count)},
          {name + " as float", LittleEndian(static_cast<float>(count))},
          {name + " as big-endian float", BigEndian(static_cast<float>(count))},
          {name + " as double", LittleEndian(static_cast<double>(count))},
          {name + " as big-endian double", BigEndian(static_cast<double>(count))},
          {name + " as text", std::to_string(count)},
          {name + " as hexadecimal text", fmt::format("{:x}", count)}};
}

inline std::vector<ByteForm> FormsOfValue(const std::string& name, float value) {
  return {{name + " as float", LittleEndian(value)},
          {name + " as big-endian float", BigEndian(value)},
          {name + " as double", LittleEndian(static_cast<double>(value))},
          {name + " as big-endian double", BigEndian(static_cast<double>(value))},
          {name + " as text", fmt::format("{}", value).substr(0, 7)}};
}

// The names of those that stand in `bytes`.
inline std::vector<std::string> FindForms(std::span<const ByteForm> forms,
                                          const std::string& bytes) {
  std::vector<std::string> found;
  for (const ByteForm& form : forms) {
    if (bytes.find(form.bytes) != std::string::npos) found.push_back(form.name);
  }
  return found;
}

}  // namespace skerry
