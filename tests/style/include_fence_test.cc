// Which folder may include what. One door for each third-party library, and dependencies that point
// one way only; a violation names the file, the line and the rule.
#include <map>
#include <regex>

#include "tests/style/source_tree.h"

namespace skerry {
namespace {

bool StartsWithAny(const std::string& text, const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) {
    if (text.starts_with(prefix)) return true;
  }
  return false;
}

TEST(IncludeFenceTest, ThirdPartyHeadersAreIncludedInTheirOneFolder) {
  struct Fence {
    std::regex include;
    std::vector<std::string> folders;
  };
  const std::vector<Fence> fences = {
      {std::regex(R"(#include <openssl/)"), {"common/crypto/"}},
      {std::regex(R"(#include <zmq)"), {"common/transport/"}},
      {std::regex(R"(#include <yaml-cpp/)"), {"common/config/"}},
      {std::regex(R"(#include <(torch|ATen|c10)/)"),
       {"common/ml/", "agent/inference/", "agent/quantization/", "agent/online/"}},
      {std::regex(R"(#include <sqlite3)"), {"coordinator/store/"}},
      {std::regex(R"(#include <spdlog/)"), {"common/base/"}},
      {std::regex(R"(#include <unicode/)"), {"agent/tokenizer/"}},
      {std::regex(R"(#include <kissfft/)"), {"common/privacy/fourier.cc"}},
  };
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    for (const std::string& line : source.lines) {
      for (const Fence& fence : fences) {
        if (!std::regex_search(line, fence.include)) continue;
        EXPECT_TRUE(StartsWithAny(source.path, fence.folders)) << source.path << ": " << line;
      }
    }
  }
}

// Each folder's own headers and those to its left, as common/README.md draws it.
TEST(IncludeFenceTest, OurOwnDependenciesPointOneWay) {
  const std::vector<std::string> leaves = {"common/base/"};
  const std::map<std::string, std::vector<std::string>> may_include = {
      {"common/base/", {}},
      {"common/tensor/", leaves},
      {"common/config/", leaves},
      {"common/crypto/", leaves},
      {"common/protocol/", leaves},
      {"common/transport/", leaves},
      {"common/identity/", {"common/base/", "common/crypto/"}},
      {"common/secagg/", {"common/base/", "common/config/", "common/crypto/", "common/protocol/"}},
      {"common/privacy/", {"common/base/", "common/config/", "common/crypto/"}},
      {"common/ml/",
       {"common/base/", "common/tensor/", "common/config/", "common/crypto/", "common/privacy/"}},
      {"coordinator/strategy/", {"common/base/", "common/tensor/", "common/config/"}},
      {"coordinator/selection/", {"common/base/"}},
      {"coordinator/round/",
       {"common/base/", "common/tensor/", "common/config/", "common/protocol/", "common/secagg/",
        "coordinator/selection/"}},
      {"agent/tokenizer/", leaves},
      {"agent/conversion/", {"common/base/", "common/tensor/", "agent/tokenizer/"}},
      {"agent/session/",
       {"common/base/", "common/tensor/", "common/config/", "common/privacy/", "common/protocol/",
        "common/secagg/", "common/transport/"}},
  };
  const std::regex own_include(R"(#include \"((common|agent|coordinator|tests)/[^\"]*)\")");
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    for (const auto& [folder, allowed] : may_include) {
      if (!source.path.starts_with(folder)) continue;
      for (const std::string& line : source.lines) {
        std::smatch match;
        if (!std::regex_search(line, match, own_include)) continue;
        const std::string target = match[1];
        EXPECT_TRUE(target.starts_with(folder) || StartsWithAny(target, allowed))
            << source.path << " may not include " << target;
      }
    }
  }
}

TEST(IncludeFenceTest, AgentAndCoordinatorNeverIncludeEachOtherNorTests) {
  const std::regex include(R"(#include \"(agent|coordinator|tests)/)");
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    const std::string own = source.path.substr(0, source.path.find('/'));
    for (const std::string& line : source.lines) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      EXPECT_EQ(match[1], own) << source.path << ": " << line;
    }
  }
}

// Time and entropy are arguments (common/base/clock.h, common/crypto/random_bits.h).
TEST(IncludeFenceTest, ClocksSleepsAndEntropyStayInTheirPlaces) {
  const std::regex banned(
      R"(system_clock|steady_clock|sleep_for|usleep|nanosleep|random_device|mt19937|\brand\()");
  const std::vector<std::string> allowed = {"common/base/clock.cc", "common/crypto/"};
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    if (StartsWithAny(source.path, allowed)) continue;
    for (const std::string& line : source.lines) {
      EXPECT_FALSE(std::regex_search(line, banned)) << source.path << ": " << line;
    }
  }
}

}  // namespace
}  // namespace skerry
