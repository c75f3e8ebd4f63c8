#include "coordinator/dashboard/text.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry {
namespace {

using testing::ElementsAre;

TEST(BytesTextTest, UnitsChangeAtPowersOfAThousand) {
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(999), "999 B");
  EXPECT_EQ(BytesText(1000), "1.0 kB");
  EXPECT_EQ(BytesText(12'340'000), "12.3 MB");
  EXPECT_EQ(BytesText(999'499), "999 kB");
  EXPECT_EQ(BytesText(999'500), "1.0 MB");
  EXPECT_EQ(BytesText(5e15), "5000 TB");
}

TEST(DurationTextTest, PrecisionFitsTheLength) {
  using namespace std::chrono_literals;
  EXPECT_EQ(DurationText(0ms), "0.0 s");
  EXPECT_EQ(DurationText(440ms), "0.4 s");
  EXPECT_EQ(DurationText(9949ms), "9.9 s");
  EXPECT_EQ(DurationText(9950ms), "10 s");
  EXPECT_EQ(DurationText(59'499ms), "59 s");
  EXPECT_EQ(DurationText(59'500ms), "1 min 00 s");
  EXPECT_EQ(DurationText(185s), "3 min 05 s");
  EXPECT_EQ(DurationText(7980s), "2 h 13 min");
}

TEST(MetricTextTest, AccuracyIsAPercentageAndNanIsSaid) {
  EXPECT_EQ(MetricText("accuracy", 0.86414), "86.41 %");
  EXPECT_EQ(MetricText("loss", 0.39114), "0.3911");
  EXPECT_EQ(MetricText("loss", std::nan("")), "not a number");
}

TEST(FitTextTest, CutIsShownAndWideCharactersAreWhole) {
  EXPECT_EQ(FitText("abcdef", 6), "abcdef");
  EXPECT_EQ(FitText("abcdef", 5), "abcd…");
  EXPECT_EQ(FitText("日本語", 6), "日本語");
  EXPECT_EQ(FitText("日本語", 5), "日本…");
  EXPECT_EQ(FitText("日本語", 4), "日…");
  EXPECT_EQ(FitText("abc", 0), "");
  EXPECT_EQ(PadRight("ab", 4), "ab  ");
  EXPECT_EQ(PadLeft("äb", 4), "  äb");
}

TEST(PlainTextTest, ControlsAndBrokenBytesAreReplaced) {
  EXPECT_EQ(PlainText("a\tb\nc\x1b[0m"), "a b c [0m");
  EXPECT_EQ(PlainText("\xc2\x9b"
                      "31m"),
            " 31m");                                      // CSI as one character
  EXPECT_EQ(PlainText("x\xff\xc3"), "x??");               // no UTF-8
  EXPECT_EQ(PlainText("\xc0\xaf\xed\xa0\x80"), "?????");  // overlong, surrogate
  EXPECT_EQ(PlainText("a\xe2\x80\xae"
                      "b"),
            "ab");  // right-to-left override
  EXPECT_EQ(PlainText("Zürich 日本 😀"), "Zürich 日本 😀");
}

TEST(NaturalLessTest, RunsOfDigitsAreNumbers) {
  std::vector<std::string> names = {"node-10", "node-9",  "node-1", "a",
                                    "node-1b", "node-02", "node"};

  std::sort(names.begin(), names.end(), NaturalLess);

  EXPECT_THAT(names, ElementsAre("a", "node", "node-1", "node-1b", "node-02", "node-9", "node-10"));
  EXPECT_FALSE(NaturalLess("n1", "n1"));
  EXPECT_NE(NaturalLess("n01", "n1"), NaturalLess("n1", "n01"));
}

}  // namespace
}  // namespace skerry
