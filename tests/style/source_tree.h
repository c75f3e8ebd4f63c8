// Reads our own source files, for tests that police the tree.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace skerry {

struct SourceFile {
  std::string path;  // relative to the project, for example "common/base/file.cc"
  std::vector<std::string> lines;
};

// Every .h and .cc file below `folders`.
inline std::vector<SourceFile> ReadSources(const std::vector<std::string>& folders) {
  const std::filesystem::path root(SKERRY_SOURCE_DIR);
  std::vector<SourceFile> sources;
  for (const std::string& folder : folders) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cc") continue;
      SourceFile source{std::filesystem::relative(entry.path(), root).string(), {}};
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) source.lines.push_back(line);
      sources.push_back(std::move(source));
    }
  }
  EXPECT_GT(sources.size(), 20u) << "looked in the wrong place: " << root;
  return sources;
}

}  // namespace skerry
