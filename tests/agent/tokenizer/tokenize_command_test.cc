#include "agent/shell/tokenize_command.h"

#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace skerry {
namespace {

const std::string kFile =
    std::string(SKERRY_SOURCE_DIR) + "/tests/golden/tokenizer/deepseek_v3_cut.json";

std::string OutputOf(const TokenizeOptions& options, const std::string& input,
                     int expected_exit = 0) {
  std::istringstream in(input);
  std::ostringstream out;
  EXPECT_EQ(TokenizeCommand(options, in, out), expected_exit);
  return out.str();
}

TEST(TokenizeCommandTest, InputIsTakenAsItIsAndComesBackUnchanged) {
  const std::string text = "Hello, \n  \n";

  const std::string ids = OutputOf({.path = kFile, .is_json = true}, text);

  EXPECT_TRUE(nlohmann::json::parse(ids)["ids"].is_array());
  EXPECT_EQ(OutputOf({.path = kFile, .is_decode = true}, ids), text);
  EXPECT_EQ(
      nlohmann::json::parse(OutputOf({.path = kFile, .is_decode = true, .is_json = true}, ids)),
      (nlohmann::json{{"text", text}}));
  EXPECT_EQ(OutputOf({.path = kFile}, ""), "{\"ids\": []}\n");
}

TEST(TokenizeCommandTest, IdsAreReadAsJsonOrAsNumbers) {
  const TokenizeOptions decode = {.path = kFile, .is_decode = true};
  const std::string text = OutputOf(decode, "{\"ids\": [30, 94, 0]}");

  EXPECT_EQ(text, "<|<｜begin▁of▁sentence｜>");
  EXPECT_EQ(OutputOf(decode, "[30, 94, 0]"), text);
  EXPECT_EQ(OutputOf(decode, " 30 94,0\n"), text);
  EXPECT_EQ(OutputOf(decode, "\n"), "");
  EXPECT_EQ(OutputOf({.path = kFile, .is_decode = true, .skip_special = true}, "30 94 0"), "<|");
}

TEST(TokenizeCommandTest, BadInputExitsWithOneAndABadTokenizerWithTwo) {
  const TokenizeOptions decode = {.path = kFile, .is_decode = true};

  for (const char* const ids :
       {"1 x", "-1", "1.5", "99999999999", "[1, -2]", "[1", "{\"id\": [1]}", "[\"1\"]", "999999"}) {
    EXPECT_EQ(OutputOf(decode, ids, 1), "") << ids;
  }
  EXPECT_EQ(OutputOf({.path = kFile}, "\xff", 1), "");
  EXPECT_EQ(OutputOf({.path = kFile + ".missing"}, "a", 2), "");
}

}  // namespace
}  // namespace skerry
