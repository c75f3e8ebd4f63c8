// Every file in configs/ loads, and its README names every key of a resolved job.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/config/agent_loader.h"
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "tests/common/config/job_text.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

const std::filesystem::path kConfigs = std::filesystem::path(SKERRY_SOURCE_DIR) / "configs";

std::vector<std::filesystem::path> Files(bool are_agents) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kConfigs)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() == ".yaml" && name.starts_with("agent") == are_agents) {
      files.push_back(entry.path());
    }
  }
  return files;
}

// The keys of YAML with one key a line.
std::set<std::string> Keys(const std::string& yaml) {
  std::set<std::string> keys;
  std::istringstream lines(yaml);
  for (std::string line; std::getline(lines, line);) {
    const size_t begin = line.find_first_not_of(' ');
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line[begin] == '-') continue;
    keys.insert(line.substr(begin, colon - begin));
  }
  return keys;
}

TEST(ConfigsTest, EveryJobLoadsAndReadsBackFromItsResolvedText) {
  const auto files = Files(/*are_agents=*/false);
  ASSERT_GE(files.size(), 6u);
  for (const auto& file : files) {
    SCOPED_TRACE(file);
    ASSERT_OK_AND_ASSIGN(const JobConfig job, LoadJob(file.string()));

    EXPECT_OK(ParseJob(ResolvedYaml(job), "resolved"));
  }
}

TEST(ConfigsTest, EveryAgentLoads) {
  const auto files = Files(/*are_agents=*/true);
  ASSERT_GE(files.size(), 2u);
  for (const auto& file : files) EXPECT_OK(LoadAgent(file.string())) << file;
}

TEST(ConfigsTest, ReferenceNamesEveryKeyOfEveryResolvedJob) {
  std::ifstream file(kConfigs / "README.md");
  const std::string reference((std::istreambuf_iterator<char>(file)),
                              std::istreambuf_iterator<char>());
  ASSERT_FALSE(reference.empty());

  // Between them these print every key that depends on a word.
  std::set<std::string> keys;
  for (const std::vector<std::string>& overrides : std::vector<std::vector<std::string>>{
           {},
           {"strategy.name=fedprox", "data.partition.scheme=dirichlet"},
           {"strategy.name=fedavgm", "data.partition.scheme=shards"},
           {"strategy.name=fedadam", "training.optimizer.name=adam"}}) {
    ASSERT_OK_AND_ASSIGN(const JobConfig job, ParseJob(kSmallJob, "job.yaml", overrides));
    keys.merge(Keys(ResolvedYaml(job)));
  }
  ASSERT_OK_AND_ASSIGN(
      const JobConfig csv,
      ParseJob(kCsvJob, "job.yaml", {"data.partition={scheme: column, name: site}"}));
  keys.merge(Keys(ResolvedYaml(csv)));

  EXPECT_GT(keys.size(), 60u);
  for (const std::string& key : keys) {
    // As a key of its section's table ("`mu`") or with its section ("`storage.keep_models`").
    const bool is_named = reference.find("`" + key + "`") != std::string::npos ||
                          reference.find("." + key + "`") != std::string::npos ||
                          reference.find("`" + key + ".") != std::string::npos;
    EXPECT_TRUE(is_named) << key << " is not in configs/README.md";
  }
}

}  // namespace
}  // namespace skerry
