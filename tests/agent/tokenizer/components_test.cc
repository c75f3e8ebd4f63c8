// Every component of tokenizer.json against ids and texts that huggingface/tokenizers 0.22.2 gave
// for small files that differ in that component.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "agent/tokenizer/tokenizer.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using Ids = std::vector<int32_t>;
using nlohmann::json;

const json& Golden() {
  static const json golden = [] {
    std::ifstream file(std::string(SKERRY_SOURCE_DIR) + "/tests/golden/tokenizer/components.json");
    return json::parse(file);
  }();
  return golden;
}

// The base file with the parts that the variant names put in their place.
std::string FileOf(const json& variant) {
  json file = Golden()["base"];
  for (const auto& [key, value] : variant["tokenizer"].items()) {
    if (key == "model") {
      file["model"].update(value);
    } else {
      file[key] = value;
    }
  }
  return file.dump();
}

class ComponentsTest : public testing::TestWithParam<size_t> {
 protected:
  const json& variant() const { return Golden()["variants"][GetParam()]; }
};

TEST_P(ComponentsTest, IdsAndTextsAreTheReferences) {
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                       Tokenizer::Parse(FileOf(variant()), "", "tokenizer.json"));

  for (const json& entry : variant()["cases"]) {
    const std::string text = entry["text"];
    SCOPED_TRACE(text);
    ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer.Encode(text));
    EXPECT_EQ(ids, entry["ids"].get<Ids>());
    ASSERT_OK_AND_ASSIGN(const Ids prompt, tokenizer.Encode(text, {.add_special = true}));
    // A text that begins with the token itself gets no second one.
    Ids expected = entry["prompt"].get<Ids>();
    if (expected.size() > 1 && expected[0] == expected[1] && expected.size() > ids.size()) {
      expected.erase(expected.begin());
    }
    EXPECT_EQ(prompt, expected);
    if (entry["decoded"].is_null()) continue;  // the reference gives up there
    ASSERT_OK_AND_ASSIGN(const std::string decoded, tokenizer.Decode(entry["ids"].get<Ids>()));
    EXPECT_EQ(decoded, entry["decoded"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ComponentsTest,
                         testing::Range<size_t>(0, Golden()["variants"].size()),
                         [](const testing::TestParamInfo<size_t>& param) {
                           return Golden()["variants"][param.param]["name"].get<std::string>();
                         });

}  // namespace
}  // namespace skerry
