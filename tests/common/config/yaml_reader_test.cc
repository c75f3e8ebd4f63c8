#include "common/config/yaml_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/config/job_text.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

enum class Colour { kRed, kGreen };
constexpr EnumWord<Colour> kColours[] = {{"red", Colour::kRed}, {"green", Colour::kGreen}};

// A section read from `text`, with its errors.
class SectionReaderTest : public testing::Test {
 protected:
  SectionReader Read(const std::string& text) {
    root_ = *ParseYaml(text, {"a.yaml", 1}, diagnostics_);
    return SectionReader(root_, "", diagnostics_);
  }
  std::vector<std::string> errors() const { return Lines(diagnostics_.errors()); }

  YamlNode root_;
  ConfigDiagnostics diagnostics_{"a.yaml"};
};

TEST_F(SectionReaderTest, ValuesOfEveryTypeAreRead) {
  SectionReader section = Read(
      "i: -3\nu: 18446744073709551615\nn: 2.5e-1\nf: true\nt: a b\nnull_text: null\nl: [1, +2]\n"
      "w: green\nws: [red, green]\ns: {x: 1}\n");

  EXPECT_EQ(section.Integer("i", 0, {-3, 3}), -3);
  EXPECT_EQ(section.Unsigned("u", 0), UINT64_MAX);
  EXPECT_EQ(section.Number("n", 0, {0, 1}), 0.25);
  EXPECT_TRUE(section.Flag("f", false));
  EXPECT_EQ(section.Text("t", ""), "a b");
  EXPECT_EQ(section.OptionalText("null_text"), std::nullopt);
  EXPECT_THAT(section.Integers("l", {1, 2}, 2), ElementsAre(1, 2));
  EXPECT_EQ(section.Word("w", Colour::kRed, kColours), Colour::kGreen);
  EXPECT_THAT(section.Words("ws", kColours), ElementsAre(Colour::kRed, Colour::kGreen));
  SectionReader inner = section.Section("s");
  EXPECT_EQ(inner.Integer("x", 0, {0, 1}), 1);
  inner.Finish();
  section.Finish();
  EXPECT_THAT(errors(), IsEmpty());
}

TEST_F(SectionReaderTest, AbsentKeysGiveTheFallbackWithoutAnError) {
  SectionReader section = Read("");

  EXPECT_EQ(section.Integer("i", 7, {0, 1}), 7);
  EXPECT_EQ(section.Text("t", "x"), "x");
  EXPECT_EQ(section.Word("w", Colour::kGreen, kColours), Colour::kGreen);
  EXPECT_THAT(section.Integers("l", {0, 1}, 2), IsEmpty());
  EXPECT_EQ(section.Section("s").Integer("x", 9, {0, 1}), 9);
  EXPECT_THAT(errors(), IsEmpty());
}

TEST_F(SectionReaderTest, RefusedValuesAreNotSetAndNameLineExpectationAndValue) {
  SectionReader section = Read(
      "i: 1.5\nj: 11\nu: -1\nn: x\nm: 0\nf: yes\nt: [1]\nl: 3\nw: gren\ns: 3\nq: \"5\"\nv: inf\n");

  EXPECT_EQ(section.Integer("i", 7, {0, 10}), 7);
  EXPECT_EQ(section.Integer("j", 7, {0, 10}), 7);
  EXPECT_EQ(section.Unsigned("u", 7), 7u);
  EXPECT_EQ(section.Number("n", 0.5, {0, 1}), 0.5);
  EXPECT_EQ(section.Number("m", 0.5, {.min = 0, .max = 1, .excludes_min = true}), 0.5);
  EXPECT_TRUE(section.Flag("f", true));
  EXPECT_EQ(section.Text("t", "old"), "old");
  EXPECT_THAT(section.Integers("l", {0, 1}, 2), IsEmpty());
  EXPECT_EQ(section.Word("w", Colour::kRed, kColours), Colour::kRed);
  EXPECT_EQ(section.Section("s").Integer("x", 9, {0, 1}), 9);
  EXPECT_EQ(section.Integer("q", 7, {0, 10}), 7);
  EXPECT_EQ(section.Number("v", 0.5, {0, 1}), 0.5);
  section.Finish();
  EXPECT_THAT(
      errors(),
      ElementsAre("a.yaml:1: i must be an integer 0..10, got 1.5",
                  "a.yaml:2: j must be 0..10, got 11",
                  "a.yaml:3: u must be an integer 0..18446744073709551615, got -1",
                  "a.yaml:4: n must be a number 0..1, got x",
                  "a.yaml:5: m must be above 0 and at most 1, got 0",
                  "a.yaml:6: f must be true or false, got yes",
                  "a.yaml:7: t must be a text, got a list", "a.yaml:8: l must be a list, got 3",
                  "a.yaml:9: w must be one of red, green, got gren; did you mean green?",
                  "a.yaml:10: s must be a section of keys, got 3",
                  "a.yaml:11: q must be an integer 0..10, got \"5\"",
                  "a.yaml:12: v must be a number 0..1, got inf"));
}

TEST_F(SectionReaderTest, IntegerLimitsAreInclusiveAndOverflowIsRefused) {
  SectionReader section = Read("a: 9223372036854775807\nb: 9223372036854775808\nc: 0x10\n");

  EXPECT_EQ(section.Integer("a", 0, {0, INT64_MAX}), INT64_MAX);
  EXPECT_EQ(section.Integer("b", 1, {0, INT64_MAX}), 1);
  EXPECT_EQ(section.Integer("c", 1, {0, INT64_MAX}), 1);
  EXPECT_EQ(errors().size(), 2u);
}

TEST_F(SectionReaderTest, UnknownKeysNameTheNearestOrAll) {
  SectionReader section = Read("batchsize: 1\nbatch_size: 2\nzzz: 3\n");

  section.Integer("batch_size", 0, {0, 9});
  section.Integer("loss", 0, {0, 9});
  section.Finish();

  EXPECT_THAT(errors(),
              ElementsAre("a.yaml:1: batchsize is not a known key, did you mean batch_size?",
                          "a.yaml:3: zzz is not a known key, expected one of batch_size, loss"));
}

TEST_F(SectionReaderTest, MissingAndMisplacedKeysAreReported) {
  SectionReader section = Read("a: 1\nmu: 2\n");

  section.Require({"a", "b"});
  section.OnlyIf(true, "fedprox", {"mu"});
  section.OnlyIf(false, "fedprox", {"mu", "nu"});

  EXPECT_THAT(errors(),
              ElementsAre("a.yaml: b is missing", "a.yaml:2: mu only applies to fedprox"));
}

TEST_F(SectionReaderTest, KeysAreNotCalledMisplacedAfterTheWordThatDecidesWasRefused) {
  SectionReader section = Read("name: gren\nmu: 2\n");

  const Colour colour = section.Word("name", Colour::kRed, kColours);
  section.OnlyIf(colour == Colour::kGreen, "green", {"mu"});

  EXPECT_EQ(errors().size(), 1u);
}

TEST_F(SectionReaderTest, ListsOfIntegersAreRefusedAsAWhole) {
  SectionReader section = Read("a: []\nb: [1, 2, 3]\nc: [1, x]\nd: [1, 9]\n");

  for (const char* key : {"a", "b", "c", "d"}) {
    EXPECT_THAT(section.Integers(key, {1, 3}, 2), IsEmpty());
  }
  EXPECT_THAT(errors(), ElementsAre("a.yaml:1: a must be a list of 1..2 integers, got 0",
                                    "a.yaml:2: b must be a list of 1..2 integers, got 3",
                                    "a.yaml:3: c[1] must be an integer 1..3, got x",
                                    "a.yaml:4: d[1] must be 1..3, got 9"));
}

TEST_F(SectionReaderTest, TextsAreOneLineOfBoundedLength) {
  SectionReader section = Read("a: \"x\\ny\"\nb: " + std::string(4097, 'b') +
                               "\nc: \"\"\nd: " + std::string(4096, 'd') + "\ne: \"\\0\"\n");

  EXPECT_EQ(section.Text("a", "old"), "old");
  EXPECT_EQ(section.Text("b", "old"), "old");
  EXPECT_EQ(section.Text("c", "old"), "old");
  EXPECT_EQ(section.Text("d", "old").size(), 4096u);
  EXPECT_EQ(section.Text("e", "old"), "old");
  EXPECT_EQ(errors().size(), 4u);
}

TEST(NearestWordTest, OnlyCloseWordsAreSuggested) {
  const std::string_view words[] = {"learning_rate", "momentum", "mu", "name"};

  EXPECT_EQ(NearestWord("learningrate", words), "learning_rate");
  EXPECT_EQ(NearestWord("learn_rat", words), "");
  EXPECT_EQ(NearestWord("momentun", words), "momentum");
  EXPECT_EQ(NearestWord("nam", words), "name");
  EXPECT_EQ(NearestWord("xy", words), "");
  EXPECT_EQ(NearestWord("", words), "");
  EXPECT_EQ(NearestWord(std::string(100'000, 'm'), words), "");
}

TEST(ConfigDiagnosticsTest, ErrorsAreCountedBeyondTheHundredth) {
  ConfigDiagnostics diagnostics("a.yaml");
  for (int i = 0; i < 103; ++i) diagnostics.Add("k", "is wrong");

  const std::vector<std::string> lines = Lines(diagnostics.errors());

  ASSERT_EQ(lines.size(), 101u);
  EXPECT_EQ(lines.back(), "a.yaml: 3 more errors are not shown");
}

TEST(ConfigDiagnosticsTest, SectionIsUnsoundIfAKeyInsideOrAroundItIs) {
  ConfigDiagnostics diagnostics("a.yaml");
  diagnostics.Add("model.layers[3].linear.out", "is wrong");
  diagnostics.Add("round", "is wrong");

  EXPECT_FALSE(diagnostics.IsSound({"model"}));
  EXPECT_FALSE(diagnostics.IsSound({"data", "model.layers[3]"}));
  EXPECT_FALSE(diagnostics.IsSound({"round.quorum"}));
  EXPECT_TRUE(diagnostics.IsSound({"model.layers[30]", "model.name", "rounds", "data"}));
}

}  // namespace
}  // namespace skerry
