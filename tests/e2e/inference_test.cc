// `skerry-agent infer` as a user runs it, on a reference model.
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/tensor/safetensors.h"
#include "tests/e2e/deployment.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

class InferenceTest : public testing::Test {
 protected:
  Subprocess Infer(std::vector<std::string> arguments, const std::string& model = "deepseek_v3") {
    arguments.insert(arguments.begin(),
                     {AgentProgram(), "infer", "--model",
                      fmt::format("{}/tests/golden/models/{}", SKERRY_SOURCE_DIR, model)});
    return Subprocess(arguments);
  }
  const TemporaryDirectory folder_;
};

TEST_F(InferenceTest, TokenIdsGiveTokenIdsAndLogits) {
  const std::string path = folder_ / "logits.safetensors";
  Subprocess infer = Infer(
      {"--token-ids", "0,170,147,58,304", "--max-tokens", "6", "--json", "--logits-out", path});
  ASSERT_EQ(infer.WaitForExit(), 0) << infer.standard_error();
  const auto json = nlohmann::json::parse(infer.standard_output());
  EXPECT_TRUE(json.at("text").is_null());
  EXPECT_EQ(json.at("prompt_tokens"), 5);
  EXPECT_EQ(json.at("finish_reason"), "length");
  EXPECT_EQ(json.at("cache_bytes"), (32 + 16) * 4 * 3 * 10);  // the last token is not run
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file, ReadSafetensors(path));
  const ParameterLayout& layout = *file.parameters.layout();
  ASSERT_EQ(layout.tensors().size(), 2u);
  EXPECT_EQ(layout.tensors()[0].name, "logits");
  EXPECT_EQ(layout.tensors()[0].sizes, (std::vector<int64_t>{5, 320}));
  EXPECT_EQ(layout.tensors()[1].name, "step_logits");
  EXPECT_EQ(layout.tensors()[1].sizes, (std::vector<int64_t>{6, 320}));
  const auto values = file.parameters.values();
  for (size_t step = 0; step < 6; ++step) {
    const auto row = values.subspan((5 + step) * 320, 320);
    EXPECT_EQ(json.at("generated_ids")[step],
              std::max_element(row.begin(), row.end()) - row.begin());
  }
  // The first step's logits are those after the prompt.
  EXPECT_TRUE(
      std::equal(values.begin() + 4 * 320, values.begin() + 5 * 320, values.begin() + 5 * 320));

  Subprocess plain =
      Infer({"--token-ids", "0,170,147,58,304", "--max-tokens", "6", "--ignore-eos"});
  ASSERT_EQ(plain.WaitForExit(), 0) << plain.standard_error();
  std::string expected;
  for (const auto& id : json.at("generated_ids")) expected += fmt::format("{} ", id.get<int>());
  EXPECT_EQ(plain.standard_output(), expected + "\n");
}

TEST_F(InferenceTest, ATokenThatEndsTheTextIsNotShown) {
  const std::string prompt = "0,170,147,58,304";
  Subprocess all = Infer({"--token-ids", prompt, "--max-tokens", "4", "--ignore-eos"});
  ASSERT_EQ(all.WaitForExit(), 0) << all.standard_error();
  std::istringstream ids(all.standard_output());
  int first = 0;
  int second = 0;
  ASSERT_TRUE(ids >> first >> second);
  ASSERT_NE(first, second);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(
        fmt::format("{}/tests/golden/models/deepseek_v3/{}", SKERRY_SOURCE_DIR, name),
        folder_ / name);
  }
  ASSERT_OK(WriteFileAtomically(folder_ / "generation_config.json",
                                fmt::format("{{\"eos_token_id\": {}}}", second)));

  Subprocess infer({AgentProgram(), "infer", "--model", folder_.path(), "--token-ids", prompt,
                    "--max-tokens", "4"});

  ASSERT_EQ(infer.WaitForExit(), 0) << infer.standard_error();
  EXPECT_EQ(infer.standard_output(), fmt::format("{} \n", first));
}

TEST_F(InferenceTest, ASeedRepeatsItselfAndCacheTypesDiffer) {
  const auto ids = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"--token-ids",  "0,5,9",  "--max-tokens",  "24",
                                          "--ignore-eos", "--json", "--temperature", "1.5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Subprocess infer = Infer(arguments, "llama");
    EXPECT_EQ(infer.WaitForExit(), 0) << infer.standard_error();
    return nlohmann::json::parse(infer.standard_output());
  };
  const auto first = ids({"--seed", "7"});
  EXPECT_EQ(first.at("generated_ids"), ids({"--seed", "7"}).at("generated_ids"));
  EXPECT_NE(first.at("generated_ids"), ids({"--seed", "8"}).at("generated_ids"));
  const auto half = ids({"--seed", "7", "--cache-type", "f16"});
  EXPECT_EQ(half.at("cache_bytes").get<int>() * 2, first.at("cache_bytes").get<int>());
}

TEST_F(InferenceTest, WhatCannotBeDoneIsSaidWithExitCodeTwo) {
  const auto refused = [&](std::vector<std::string> arguments, const char* text) {
    Subprocess infer = Infer(std::move(arguments));
    EXPECT_EQ(infer.WaitForExit(), 2);
    EXPECT_THAT(infer.standard_error(), HasSubstr(text));
  };
  refused({"--token-ids", "1,,2"}, "must be whole numbers with commas");
  refused({"--token-ids", "1,999"}, "token ids must be 0..319");
  refused({"--token-ids", "1", "--cache-type", "q4"}, "must be f32, f16 or q8");
  refused({"--token-ids", "1", "--temperature", "-3"}, "temperature must be 0..100");
  refused({"--token-ids", "1", "--max-tokens", "99999"}, "40960 positions");
  refused({"--prompt", "Hello"}, "tokenizer.json");
  refused({}, "--token-ids");
}

}  // namespace
}  // namespace skerry
