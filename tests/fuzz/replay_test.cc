// Every file of the corpus through its fuzz target, as ordinary tests of the normal build. A target
// aborts if an invariant breaks, and the test's name is the file's.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <gtest/gtest.h>

#define SKERRY_FUZZ_TARGETS(X)                                                          \
  X(agent_yaml)                                                                         \
  X(chunk)                                                                              \
  X(csv)                                                                                \
  X(envelope) X(idx) X(job_yaml) X(key_files) X(ledger) X(npy) X(roster) X(safetensors) \
      X(tokenizer)

#define SKERRY_DECLARE(name) extern "C" int skerry_fuzz_##name(const uint8_t* data, size_t size);
SKERRY_FUZZ_TARGETS(SKERRY_DECLARE)
#undef SKERRY_DECLARE

namespace skerry {
namespace {

namespace fs = std::filesystem;

using Target = int (*)(const uint8_t*, size_t);

const std::map<std::string, Target>& Targets() {
#define SKERRY_ENTRY(name) {#name, &skerry_fuzz_##name},
  static const std::map<std::string, Target> targets = {SKERRY_FUZZ_TARGETS(SKERRY_ENTRY)};
#undef SKERRY_ENTRY
  return targets;
}

fs::path CorpusFolder() { return fs::path(SKERRY_SOURCE_DIR) / "tests/fuzz/corpus"; }

std::vector<fs::path> FilesIn(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> CorpusFiles() {
  std::vector<fs::path> files;
  for (const fs::path& folder : FilesIn(CorpusFolder())) {
    for (const fs::path& file : FilesIn(folder)) files.push_back(file);
  }
  return files;
}

std::vector<uint8_t> Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CorpusTest : public testing::TestWithParam<fs::path> {
 protected:
  Target target() const { return Targets().at(GetParam().parent_path().filename()); }
};

// A vector of its own size, so that a read past its end is a sanitizer's business.
void Feed(Target target, std::vector<uint8_t> bytes) {
  bytes.shrink_to_fit();
  EXPECT_EQ(target(bytes.data(), bytes.size()), 0);
}

TEST_P(CorpusTest, HoldsTheInvariantsWholeAndCutOff) {
  constexpr size_t kCutsMax = 64;
  const std::vector<uint8_t> bytes = Read(GetParam());
  ASSERT_FALSE(bytes.empty());

  Feed(target(), bytes);

  const size_t step = bytes.size() / kCutsMax + 1;
  for (size_t size = 0; size < bytes.size(); size += step) {
    Feed(target(), {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)});
  }
}

INSTANTIATE_TEST_SUITE_P(Files, CorpusTest, testing::ValuesIn(CorpusFiles()), [](const auto& file) {
  std::string name =
      file.param.parent_path().filename().string() + "_" + file.param.filename().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(CorpusFolderTest, EveryTargetHasACorpusAndIsBuiltForTheFuzzer) {
  std::vector<std::string> folders;
  uintmax_t bytes = 0;
  for (const fs::path& folder : FilesIn(CorpusFolder())) {
    folders.push_back(folder.filename());
    EXPECT_GE(FilesIn(folder).size(), 3u) << folder;
  }
  for (const fs::path& file : CorpusFiles()) bytes += fs::file_size(file);
  std::vector<std::string> names;
  for (const auto& [name, target] : Targets()) names.push_back(name);
  std::vector<std::string> sources;
  for (const fs::path& file : FilesIn(CorpusFolder().parent_path())) {
    const std::string name = file.filename();
    if (name.ends_with("_fuzz.cc")) sources.push_back(name.substr(0, name.size() - 8));
  }

  EXPECT_EQ(folders, names);
  EXPECT_EQ(sources, names);
  EXPECT_LT(bytes, 500'000u);  // a repository is no place for what a fuzzer can find again
}

}  // namespace
}  // namespace skerry
