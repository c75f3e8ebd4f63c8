#include "agent/inference/stop_text.h"

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace skerry {
namespace {

TEST(StopTextTest, HoldsBackWhatCouldBecomeAStop) {
  StopText text({"\n\n", "END"});
  EXPECT_EQ(text.Push("one E"), "one ");
  EXPECT_EQ(text.Push("N"), "");
  EXPECT_EQ(text.Push("X\n"), "ENX");
  EXPECT_EQ(text.Push("two"), "\ntwo");
  EXPECT_EQ(text.Push(" END three"), " ");
  EXPECT_TRUE(text.is_stopped());
  EXPECT_EQ(text.Push("four"), "");
  EXPECT_EQ(text.Finish(), "");
}

TEST(StopTextTest, WhatWasHeldBackComesAtTheEnd) {
  StopText text({"stop"});
  EXPECT_EQ(text.Push("sto"), "");
  EXPECT_EQ(text.Finish(), "sto");
  EXPECT_FALSE(text.is_stopped());
}

// However a text is cut into pieces, what is shown is the text up to its first stop.
TEST(StopTextTest, PiecesDoNotMatter) {
  Rng rng(4);
  const std::vector<std::string> stops = {"aab", "ba", "bbbb"};
  for (int i = 0; i < 5'000; ++i) {
    std::string whole;
    for (uint64_t length = rng.Below(20); whole.size() < length;) {
      whole += static_cast<char>('a' + rng.Below(3));
    }
    size_t end = std::string::npos;
    for (const std::string& stop : stops) end = std::min(end, whole.find(stop));
    StopText text(stops);
    std::string shown;
    for (size_t at = 0; at < whole.size();) {
      const size_t size = 1 + rng.Below(4);
      shown += text.Push(std::string_view(whole).substr(at, size));
      at += size;
    }
    shown += text.Finish();
    ASSERT_EQ(shown, whole.substr(0, end)) << whole;
    ASSERT_EQ(text.is_stopped(), end != std::string::npos);
  }
}

}  // namespace
}  // namespace skerry
