#include "coordinator/dashboard/render.h"

#include <algorithm>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/dashboard/text.h"
#include "tests/coordinator/dashboard/sample_view.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;

RenderOptions Plain(size_t width, size_t height = 24) {
  RenderOptions options;
  options.width = width;
  options.height = height;
  options.has_colour = false;
  return options;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(RenderTest, TrainingRoundLooksLikeThis) {
  RunView view = SampleView();
  view.waiting_for = "waiting for node-3 (not connected, silent for 12 s)";

  // 2 rounds of 10 and of the third: 1 accepted, 1 uploading (0.95), 1 half trained (0.45), of 4.
  EXPECT_EQ(Render(view, Plain(80)),
            R"(  skerry  fashion_cnn                                  round 3 of 10 · training
  ━━━━━━━━━━━━━━━━━━────────────────────────────────────────────────────  26 %

  nodes      1 accepted · 1 uploading · 1 training · 1 invited · 3/4 connected…
  node-1   ━━━━━━  accepted             node-3   ──────  invited, left 12 s…
  node-2   ━━━───  training 50 %        node-10  ━━━━━━  uploading

  accuracy   75.00 %  +25.00  ▁█  loss 0.7500
  traffic    ↓ 3.0 MB (120 kB/s) to nodes   ↑ 4.5 MB from nodes
  time       30 s · about 1 min 30 s left
  refused    2 x malformed message, 1000 x not in the roster
  waiting    for node-3 (not connected, silent for 12 s)
  events     round 2  node cut node-3: no progress for 30 s
)");
}

TEST(RenderTest, TerminalWithoutUnicodeGetsAsciiOnly) {
  RenderOptions options = Plain(100);
  options.has_unicode = false;

  const std::string text = Render(SampleView(), options);

  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) {
    return c == '\n' || (c >= ' ' && c <= '~');
  })) << text;
}

TEST(RenderTest, NoLineReachesTheLastColumnAndTheHeightIsKept) {
  RunView view = SampleView();
  view.waiting_for = "waiting for " + std::string(300, 'x');
  for (int i = 11; i < 60; ++i) {
    AddNode(view, "a-node-with-a-long-name-" + std::to_string(i), Participation::kTraining, 300);
  }
  for (size_t width = 1; width <= 130; ++width) {
    for (const size_t height : {1u, 4u, 8u, 12u, 24u, 100u}) {
      const auto lines = LinesOf(Render(view, Plain(width, height)));

      EXPECT_LE(lines.size(), std::max<size_t>(1, std::min<size_t>(20, height - 2)));
      for (const std::string& line : lines) {
        EXPECT_LT(DisplayWidth(line), std::max<size_t>(width, 2)) << width << ": " << line;
      }
    }
  }
}

TEST(RenderTest, NodesThatDoNotFitAreCountedAndThoseAtWorkComeFirst) {
  RunView view = SampleView();
  view.nodes.clear();
  view.participation_counts = {};
  for (int i = 0; i < 100; ++i) {
    AddNode(view, "n" + std::to_string(i),
            i == 77 ? Participation::kTraining : Participation::kAccepted, 410);
  }

  const std::string text = Render(view, Plain(100));

  EXPECT_THAT(text, HasSubstr("n77   "));
  EXPECT_THAT(text, HasSubstr("training 41 %"));
  EXPECT_THAT(text, HasSubstr("99 accepted"));
  EXPECT_THAT(text, HasSubstr("… 85 more"));
}

TEST(RenderTest, ColourSurroundsTextAndChangesNothingElse) {
  RenderOptions coloured = Plain(80);
  coloured.has_colour = true;

  std::string text = Render(SampleView(), coloured);

  EXPECT_THAT(text, HasSubstr("\x1b[32m1 accepted\x1b[0m"));
  for (size_t begin = text.find('\x1b'); begin != std::string::npos; begin = text.find('\x1b')) {
    text.erase(begin, text.find('m', begin) + 1 - begin);
  }
  EXPECT_EQ(text, Render(SampleView(), Plain(80)));
}

TEST(RenderTest, PeersTextCannotSendEscapesOrLines) {
  RunView view = SampleView();
  view.nodes[3].note = "\x1b[2J\nowned";
  view.events[0].detail = "\x1b]0;title\x07\r\n";
  view.job_name = "job\x1b[31m";
  view.waiting_for = "waiting for \x9b";

  const std::string text = Render(view, Plain(100));

  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\x07")));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_EQ(LinesOf(text).size(), LinesOf(Render(SampleView(), Plain(100))).size() + 1);
}

TEST(RenderTest, RunThatHasEndedShowsHow) {
  RunView view = SampleView();
  view.status = RunStatus::kInterrupted;
  view.participation_counts = {};
  view.nodes.clear();
  view.node_connected_count = 0;

  const std::string text = Render(view, Plain(80));

  EXPECT_THAT(text, HasSubstr("interrupted"));
  EXPECT_THAT(text, HasSubstr("4 took part"));
  EXPECT_THAT(text, Not(HasSubstr(" left\n")));
}

TEST(RenderTest, RunWithoutAnyFactsIsShown) {
  EXPECT_THAT(Render(RunView(), Plain(80)), HasSubstr("round 0 of 0"));
}

TEST(RenderTest, PrivacyIsOneLineAndOnANarrowTerminalTwo) {
  RunView view = SampleView();
  view.privacy = PrivacyView{.epsilon_max = 2,
                             .delta = 1e-5,
                             .epsilon_spent = 0.8125,
                             .noise_planned = 1.868,
                             .noise_realised = 2.1573,
                             .clip_norm = 0.3};
  EXPECT_THAT(
      Render(view, Plain(100)),
      HasSubstr("  privacy    epsilon 0.8125 of 2, delta 1e-05 · noise 1.87, was 2.16 · clip "
                "0.3\n"));

  EXPECT_THAT(Render(view, Plain(60)), HasSubstr("  privacy    epsilon 0.8125 of 2, delta 1e-05\n"
                                                 "             noise 1.87, was 2.16 · clip 0.3\n"));

  view.hides_cohorts = true;
  view.privacy->epsilon_insider = 11.5;
  view.privacy->noise_realised.reset();
  view.privacy->clip_norm.reset();
  view.privacy->skipped_count = 2;
  const std::string hidden = Render(view, Plain(100));
  EXPECT_THAT(hidden, HasSubstr("insider at most 11.5 · noise 1.87 · 2 skipped\n"));
  EXPECT_THAT(hidden, HasSubstr("  nodes      secret cohorts of 4 · 3 connected\n"));
  EXPECT_THAT(hidden, Not(HasSubstr("traffic")));
}

}  // namespace
}  // namespace skerry
