// Made-up files of llama2.c, and where the real ones are.
#pragma once

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/rng.h"

namespace skerry {

// The folder that SKERRY_TEST_DATA names.
inline std::optional<std::string> TestDataFolder() {
  const char* const folder = std::getenv("SKERRY_TEST_DATA");
  if (folder == nullptr) return std::nullopt;
  return std::string(folder);
}

template <typename T>
void AppendRaw(const T& value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// <unk>, <s>, </s>, all bytes, then `texts` with scores that fall from 0 by 1 each.
inline std::vector<std::pair<float, std::string>> TokensWith(
    const std::vector<std::string>& texts) {
  std::vector<std::pair<float, std::string>> tokens = {
      {0.0f, "<unk>"}, {0.0f, "\n<s>\n"}, {0.0f, "\n</s>\n"}};
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(0.0f, fmt::format("<0x{:02X}>", byte));
  float score = 0.0f;
  for (const std::string& text : texts) tokens.emplace_back(score--, text);
  return tokens;
}

inline std::string TokenizerBytes(const std::vector<std::pair<float, std::string>>& tokens) {
  std::string bytes;
  AppendRaw(uint32_t{64}, bytes);
  for (const auto& [score, text] : tokens) {
    AppendRaw(score, bytes);
    AppendRaw(static_cast<int32_t>(text.size()), bytes);
    bytes += text;
  }
  return bytes;
}

}  // namespace skerry
