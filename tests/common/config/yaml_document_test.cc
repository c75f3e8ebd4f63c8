#include "common/config/yaml_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/config/job_text.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Parsed {
  std::optional<YamlNode> root;
  std::vector<std::string> errors;
};

Parsed Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  ConfigDiagnostics diagnostics("a.yaml");
  Parsed parsed{ParseYaml(text, {"a.yaml", 1}, diagnostics), {}};
  for (const std::string& override_text : overrides) {
    ApplyOverride(override_text, *parsed.root, diagnostics);
  }
  parsed.errors = Lines(diagnostics.errors());
  return parsed;
}

// The node at a path of keys.
const YamlNode* At(const YamlNode& root, std::initializer_list<std::string_view> keys) {
  const YamlNode* node = &root;
  for (const std::string_view key : keys) {
    if (node != nullptr) node = FindEntry(*node, key);
  }
  return node;
}

TEST(YamlDocumentTest, TreeHoldsKindsTextsAndTheLinesOfKeys) {
  const Parsed parsed = Parse("a: 1\nb:\n  c: [x, \"2\"]\n  d:\ne: {}\n");

  ASSERT_THAT(parsed.errors, IsEmpty());
  const YamlNode& root = *parsed.root;
  EXPECT_EQ(At(root, {"a"})->text, "1");
  EXPECT_FALSE(At(root, {"a"})->is_quoted);
  const YamlNode* list = At(root, {"b", "c"});
  ASSERT_EQ(list->kind, YamlNode::Kind::kList);
  ASSERT_EQ(list->children.size(), 2u);
  EXPECT_TRUE(list->children[1].is_quoted);
  EXPECT_EQ(list->place.line, 3);
  EXPECT_EQ(At(root, {"b", "d"})->kind, YamlNode::Kind::kNull);
  EXPECT_EQ(At(root, {"e"})->kind, YamlNode::Kind::kSection);
  EXPECT_EQ(At(root, {"e"})->place.line, 5);
  EXPECT_EQ(At(root, {"nothing"}), nullptr);
}

TEST(YamlDocumentTest, EmptyTextIsNothing) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n"}) {
    const Parsed parsed = Parse(text);
    EXPECT_THAT(parsed.errors, IsEmpty());
    EXPECT_EQ(parsed.root->kind, YamlNode::Kind::kNull);
  }
}

TEST(YamlDocumentTest, RepeatedKeyIsAnErrorWithItsPathAndTheFirstCounts) {
  const Parsed parsed = Parse("a:\n  - b: 1\n  - b: 2\n    c: 3\n    b: {x: 1, x: 2}\na: 4\n");

  EXPECT_THAT(parsed.errors, ElementsAre("a.yaml:5: a[1].b is given twice, first on line 3",
                                         "a.yaml:5: a[1].b.x is given twice, first on line 5",
                                         "a.yaml:6: a is given twice, first on line 1"));
  ASSERT_EQ(At(*parsed.root, {"a"})->children.size(), 2u);
  EXPECT_EQ(At(At(*parsed.root, {"a"})->children[1], {"b"})->text, "2");
}

TEST(YamlDocumentTest, SyntaxErrorNamesItsLine) {
  EXPECT_THAT(Parse("a: 1\nb: [1, 2\nc: 3\n").errors,
              ElementsAre(HasSubstr("a.yaml:3: not valid YAML")));
  EXPECT_THAT(Parse("a: 1\n\tb: 2\n").errors, ElementsAre(HasSubstr("not valid YAML")));
  EXPECT_THAT(Parse("a: \"x\nb: 2\n").errors, ElementsAre(HasSubstr("illegal EOF in scalar")));
  EXPECT_THAT(Parse("a: 'x\nb: 2\n\n").errors, ElementsAre(HasSubstr("illegal EOF in scalar")));
}

TEST(YamlDocumentTest, SeveralDocumentsAreRefused) {
  EXPECT_THAT(Parse("a: 1\n---\nb: 2\n").errors,
              ElementsAre(HasSubstr("expected one document, got several")));
}

TEST(YamlDocumentTest, AnchorsAliasesAndTagsAreRefused) {
  EXPECT_THAT(Parse("a: &x 1\n").errors, ElementsAre(HasSubstr("a.yaml:1: anchors")));
  EXPECT_THAT(Parse("a: 1\nb: &x {}\n").errors, ElementsAre(HasSubstr("a.yaml:2: anchors")));
  EXPECT_THAT(Parse("a: !!int 1\n").errors, ElementsAre(HasSubstr("tags are not supported")));
  EXPECT_THAT(Parse("a: !thing {}\n").errors, ElementsAre(HasSubstr("got !thing")));
}

TEST(YamlDocumentTest, KeysAreWords) {
  EXPECT_THAT(Parse("{[a]: 1}\n").errors, ElementsAre(HasSubstr("expected a word as key")));
  EXPECT_THAT(Parse("? {a: b}\n: 1\n").errors, ElementsAre(HasSubstr("expected a word as key")));
  EXPECT_THAT(Parse("? \n: 1\n").errors, ElementsAre(HasSubstr("expected a word as key")));
}

TEST(YamlDocumentTest, DepthIsAcceptedUpToTheLimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };

  EXPECT_THAT(Parse(nested(kYamlDepthMax)).errors, IsEmpty());
  EXPECT_THAT(Parse(nested(kYamlDepthMax + 1)).errors,
              ElementsAre("a.yaml:1: nested more than 16 levels deep"));
}

TEST(YamlDocumentTest, SizeAndCountsAreAcceptedUpToTheirLimits) {
  EXPECT_THAT(Parse(std::string(kYamlBytesMax, '\n')).errors, IsEmpty());
  EXPECT_THAT(Parse(std::string(kYamlBytesMax + 1, '\n')).errors,
              ElementsAre("a.yaml: expected at most 1048576 bytes, got 1048577"));

  std::string keys;
  for (size_t i = 0; i < kYamlKeysMax; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(Parse(keys).errors, IsEmpty());
  EXPECT_THAT(Parse(keys + "more: 1\n").errors,
              ElementsAre("a.yaml:257: more than 256 keys in one section"));

  std::string items;
  for (size_t i = 0; i < kYamlValuesMax; ++i) items += "- a\n";
  EXPECT_THAT(Parse(items).errors, ElementsAre(HasSubstr("more than 100000 values")));
}

TEST(YamlDocumentTest, ControlBytesAndBrokenUtf8AreRefusedWithTheirLine) {
  EXPECT_THAT(Parse("a: 1\nb: \x04\nc: 3\n").errors,
              ElementsAre("a.yaml:2: expected text, got the control byte 0x04"));
  for (const char* broken : {"\xC3", "\xC3(", "\x80", "\xFF", "\xC0\x80", "\xE2\x82"}) {
    EXPECT_THAT(Parse(std::string("a: ") + broken).errors,
                ElementsAre("a.yaml:1: the text is not valid UTF-8"));
  }
  EXPECT_EQ(At(*Parse("a: \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n").root, {"a"})->text,
            "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
}

TEST(YamlOverrideTest, ReplacesAddsAndMakesSections) {
  const Parsed parsed = Parse("a: {b: 1, c: 2}\nlist: [{x: 1}]\n",
                              {"a.b=5", "new.deep.key=x=y", "list.0.x=7", "a.c={d: 3}", "e="});

  ASSERT_THAT(parsed.errors, IsEmpty());
  EXPECT_EQ(At(*parsed.root, {"a", "b"})->text, "5");
  EXPECT_EQ(At(*parsed.root, {"a", "c", "d"})->text, "3");
  EXPECT_EQ(At(*parsed.root, {"new", "deep", "key"})->text, "x=y");
  EXPECT_EQ(At(At(*parsed.root, {"list"})->children[0], {"x"})->text, "7");
  EXPECT_EQ(At(*parsed.root, {"e"})->kind, YamlNode::Kind::kNull);
  EXPECT_EQ(At(*parsed.root, {"a", "b"})->place.source, "--set a.b");
}

TEST(YamlOverrideTest, BadOverrideIsNamed) {
  EXPECT_THAT(Parse("a: 1\nlist: [1]\n",
                    {"novalue", "a.b=1", "list.1=2", "list.x=2", "=3", "a..b=1", "k=[1"})
                  .errors,
              testing::UnorderedElementsAre(HasSubstr("--set novalue: expected key=value"),
                                            HasSubstr("--set a.b: b does not lie in a section"),
                                            HasSubstr("--set list.1: 1 does not lie in"),
                                            HasSubstr("--set list.x: x does not lie in"),
                                            HasSubstr("--set : expected a key of words"),
                                            HasSubstr("--set a..b: "),
                                            HasSubstr("--set k: expected a word as key")));
}

}  // namespace
}  // namespace skerry
