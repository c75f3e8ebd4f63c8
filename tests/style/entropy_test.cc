// Randomness that protects somebody comes from the operating system: a seedable generator in a
// place that makes keys, masks, shares or noise would be found by whoever guesses the seed
// (Flower's masks came from a Mersenne Twister with a seed of 32 bits).
#include <regex>
#include <string>

#include "tests/style/source_tree.h"

namespace skerry {
namespace {

const std::regex kSeedable(
    R"(std::(mt19937|minstd_rand|ranlux|knuth_b|default_random_engine|random_device|rand\b|srand))"
    R"(|(torch|at)::(rand|normal|bernoulli|manual_seed)|common/base/rng\.h|\bRng\b)");

TEST(EntropyTest, CryptographyMasksAndNoiseKnowNoSeedableGenerator) {
  size_t line_count = 0;
  for (const SourceFile& source : ReadSources({"common", "coordinator"})) {
    const bool is_protecting = source.path.starts_with("common/crypto/") ||
                               source.path.starts_with("common/secagg/") ||
                               source.path.starts_with("common/privacy/") ||
                               source.path.starts_with("common/ml/private_") ||
                               source.path.starts_with("common/ml/grid_noise") ||
                               // the coordinator's noise, and the coins of secret cohorts
                               source.path.starts_with("coordinator/shell/");
    if (!is_protecting) continue;
    for (size_t i = 0; i < source.lines.size(); ++i, ++line_count) {
      const std::string& line = source.lines[i];
      const bool is_comment = line.find_first_not_of(' ') == line.find("//");
      if (is_comment) continue;
      EXPECT_FALSE(std::regex_search(line, kSeedable))
          << source.path << ":" << i + 1 << ": " << line;
    }
  }
  EXPECT_GT(line_count, 3000u);  // it has looked at something
}

TEST(EntropyTest, TheSearchFindsWhatItLooksFor) {
  for (const char* line : {"std::mt19937 generator(seed);", "Rng rng(1);", "torch::randn({2});",
                           "#include \"common/base/rng.h\"", "std::random_device device;"}) {
    EXPECT_TRUE(std::regex_search(std::string(line), kSeedable)) << line;
  }
}

}  // namespace
}  // namespace skerry
