// Writes small data files in the formats the readers take, byte by byte from the formats'
// descriptions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "common/base/file.h"
#include "tests/support/status_matchers.h"

namespace skerry {

inline std::string IdxBytes(const std::vector<uint32_t>& dimensions,
                            const std::vector<uint8_t>& elements) {
  std::string bytes = {0, 0, 8, static_cast<char>(dimensions.size())};
  for (const uint32_t size : dimensions) {
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(size >> shift));
  }
  return bytes + std::string(elements.begin(), elements.end());
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  ASSERT_OK(WriteFileAtomically(path, bytes));
}

inline void WriteGzip(const std::string& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
            static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

// `shape` as Python writes it: "(2, 3)" or "(2,)".
template <typename T>
std::string NpyBytes(const std::string& descr, const std::string& shape,
                     const std::vector<T>& elements, int version = 1,
                     const std::string& fortran_order = "False") {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': " + fortran_order +
                       ", 'shape': " + shape + ", }\n";
  std::string bytes = "\x93NUMPY";
  bytes.push_back(static_cast<char>(version));
  bytes.push_back(0);
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    bytes.push_back(static_cast<char>(header.size() >> (8 * i)));
  }
  bytes += header;
  return bytes.append(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T));
}

}  // namespace skerry
