#include "coordinator/dashboard/closing_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/coordinator/dashboard/sample_view.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;

RenderOptions Plain() {
  RenderOptions options;
  options.has_colour = false;
  return options;
}

RunView Ended() {
  RunView view = SampleView();
  view.status = RunStatus::kCompleted;
  view.round_count = 2;
  return view;
}

TEST(ClosingTableTest, RoundsThenTotals) {
  EXPECT_EQ(ClosingTable(Ended(), Plain()),
            R"(   round  accuracy    loss  nodes  seconds  MB down  MB up
   ───────────────────────────────────────────────────────
       1   50.00 %  1.5000    4/4     10.0     1.00   2.00
       2   75.00 %  0.7500    3/4     14.0     1.00   1.50

   status    completed, 2 of 2 rounds in 30 s
   accuracy  75.00 %
   loss      0.7500
   traffic   3.0 MB to nodes, 4.5 MB from nodes
   sha256    abcd
)");
}

TEST(ClosingTableTest, FilesAreNamedOnceTheyAreThere) {
  const TemporaryDirectory folder;
  RunView view = Ended();
  view.run_dir = folder.path();
  ASSERT_OK(WriteFileAtomically(folder / "model.safetensors", "x"));
  ASSERT_OK(WriteFileAtomically(folder / "report.html", "x"));

  const std::string text = ClosingTable(view, Plain());

  EXPECT_THAT(text, HasSubstr("model     " + folder / "model.safetensors"));
  EXPECT_THAT(text, HasSubstr("report    " + folder / "report.html"));
}

TEST(ClosingTableTest, RunWithoutARoundHasNoTable) {
  RunView view = Ended();
  view.rounds.clear();
  view.status = RunStatus::kFailed;
  view.status_detail = "no node joined";

  const std::string text = ClosingTable(view, Plain());

  EXPECT_THAT(text, Not(HasSubstr("MB down")));
  EXPECT_THAT(text, HasSubstr("failed, no node joined, 0 of 2 rounds"));
}

TEST(ClosingTableTest, MiddleOfALongRunIsLeftOutAndCounted) {
  RunView view = Ended();
  view.rounds.clear();
  for (uint64_t round = 1; round <= 100; ++round) view.rounds.push_back({round, 1, 1, 1, 0, 0, {}});

  const std::string text = ClosingTable(view, Plain());

  EXPECT_THAT(text, HasSubstr("\n       5    "));
  EXPECT_THAT(text, HasSubstr("... 60 rounds more"));
  EXPECT_THAT(text, Not(HasSubstr("\n       6    ")));
  EXPECT_THAT(text, Not(HasSubstr("\n      65    ")));
  EXPECT_THAT(text, HasSubstr("\n      66    "));
  EXPECT_THAT(text, HasSubstr("\n     100    "));
}

TEST(ClosingTableTest, RoundWithoutEvaluationHasBlanks) {
  RunView view = Ended();
  view.rounds[0].metrics.clear();

  EXPECT_THAT(ClosingTable(view, Plain()),
              HasSubstr("       1                      4/4     10.0     1.00   2.00\n"));
}

TEST(ClosingTableTest, APrivateRunSaysWhatWasSpentAndWithWhichNoise) {
  RunView view = Ended();
  view.privacy = PrivacyView{.epsilon_max = 2,
                             .delta = 1e-5,
                             .epsilon_spent = 1.98,
                             .epsilon_insider = 9.25,
                             .release_count = 12,
                             .skipped_count = 1,
                             .noise_planned = 1.868,
                             .noise_realised = 2.157,
                             .clip_norm = 0.31};

  const std::string text = ClosingTable(view, Plain());

  EXPECT_THAT(text, HasSubstr("privacy   epsilon 1.98 of 2 spent, delta 1e-05; to who saw the "
                              "cohorts at most 9.25\n"));
  EXPECT_THAT(text, HasSubstr("noise     multiplier 1.868 planned, 2.157 in the end; clip norm "
                              "0.31; 1 of 12 releases were skipped rounds\n"));
}

}  // namespace
}  // namespace skerry
