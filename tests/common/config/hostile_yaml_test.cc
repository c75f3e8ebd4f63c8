// Texts made to break a YAML parser: each must give an error, quickly and without a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/rng.h"
#include "common/config/agent_loader.h"
#include "common/config/job_loader.h"
#include "common/config/yaml_document.h"
#include "tests/common/config/job_text.h"

namespace skerry {
namespace {

std::string Repeat(const std::string& part, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += part;
  return text;
}

std::vector<std::string> HostileTexts() {
  std::string billion_laughs = "a0: &a0 [x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = std::to_string(i - 1);
    billion_laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + last +
                      ", *a" + last + "]\n";
  }
  std::string staircase;
  for (size_t i = 0; i < 1000; ++i) staircase += std::string(i, ' ') + "a:\n";
  return {
      Repeat("[", 50'000),
      Repeat("{", 50'000),
      Repeat("{a: ", 20'000),
      Repeat("- ", 400'000),
      Repeat("? ", 400'000),
      Repeat("a: ", 300'000),
      Repeat("]", 1000),
      Repeat("\"", 999),
      Repeat("a: |\n", 1000),
      Repeat("---\n", 100'000),
      Repeat("k: 1\n", 20'000),
      Repeat("!", 1000),
      Repeat("&a ", 1000),
      Repeat("*a ", 1000),
      Repeat("%TAG ! x\n", 1000),
      staircase,
      billion_laughs,
      std::string(2'000'000, 'a'),
      std::string(1000, '\0'),
      std::string("\xFF\xFE\x61\x00", 4),
      "\xEF\xBB\xBF",
      "%YAML 9.9\n---\na: 1\n",
      "<<: {a: 1}\n",
      "? ? ? a\n",
      "a: b: c\n",
      "\"\\x\"",
      "\"\\uD800\": 1",
      "- - - -\n -\n",
      "{a, b: [c}",
      "key: !<tag:x> [",
      "a: 'unclosed",
      "a: \"unclosed",
      ": : :",
      "!!binary aGVsbG8=",
      "{? : }",
      "[?",
      "[a: {b: [?:",
      "|",
      ">9\n a",
      "@",
      "`",
      "%",
  };
}

TEST(HostileYamlTest, EveryTextGivesAnErrorAndNoJobNorAgent) {
  for (const std::string& text : HostileTexts()) {
    const JobReading job = ReadJob(text, "hostile");
    const AgentReading agent = ReadAgent(text, "hostile");

    EXPECT_FALSE(job.job.has_value()) << text.substr(0, 40);
    EXPECT_FALSE(agent.agent.has_value()) << text.substr(0, 40);
    EXPECT_FALSE(job.errors.empty()) << text.substr(0, 40);
    EXPECT_LE(job.errors.size(), 101u) << text.substr(0, 40);
    for (const ConfigError& error : job.errors) {
      EXPECT_LT(error.message.size(), 1000u);
      EXPECT_EQ(error.message.find_first_of(std::string("\n\0", 2)), std::string::npos);
    }
  }
}

TEST(HostileYamlTest, OverridesAreAsSafeAsFiles) {
  for (const std::string& text : HostileTexts()) {
    EXPECT_FALSE(ReadJob(kSmallJob, "job.yaml", {text}).job.has_value()) << text.substr(0, 40);
    // A few of the texts are nothing at all as a value; a number takes nothing for an error.
    EXPECT_FALSE(ReadJob(kSmallJob, "job.yaml", {"round.count=" + text}).job.has_value())
        << text.substr(0, 40);
  }
}

// Bytes changed, dropped and doubled in a valid job: any answer is fine that is a job or an error.
TEST(HostileYamlTest, DamagedJobsNeverCrash) {
  Rng rng = Rng::Derive(1, "hostile_yaml_test");
  std::string job(kCsvJob);
  job +=
      "round: {nodes: 8, quorum: 6}\n"
      "strategy: {name: fedprox, mu: 0.1}\n"
      "seed: \"\\u0041\" # comment\n";
  const std::string alphabet = "{}[]:,-?&*!|>'\"%@` \n\t#ab01~\\<";
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = job;
    for (uint64_t changes = 1 + rng.Below(6); changes > 0; --changes) {
      const size_t at = rng.Below(damaged.size());
      switch (rng.Below(3)) {
        case 0:
          damaged[at] = alphabet[rng.Below(alphabet.size())];
          break;
        case 1:
          damaged.erase(at, 1 + rng.Below(4));
          break;
        default:
          damaged.insert(at, 1, alphabet[rng.Below(alphabet.size())]);
          break;
      }
    }
    const JobReading reading = ReadJob(damaged, "damaged");
    ASSERT_NE(reading.job.has_value(), !reading.errors.empty()) << damaged;
  }
}

}  // namespace
}  // namespace skerry
