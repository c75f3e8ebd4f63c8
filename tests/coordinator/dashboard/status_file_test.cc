#include "coordinator/dashboard/status_file.h"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "tests/coordinator/dashboard/sample_view.h"
#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::HasSubstr;

class StatusFileTest : public StoreFixture {
 protected:
  static RenderOptions Plain() {
    RenderOptions options;
    options.has_colour = false;
    return options;
  }
};

TEST_F(StatusFileTest, ViewIsReadBack) {
  RunView view = SampleView();
  view.waiting_for = "waiting for node-3";
  view.status_detail = "detail";

  ASSERT_OK_AND_ASSIGN(const RunView read, ViewFromJson(ViewToJson(view)));

  EXPECT_EQ(ViewToJson(read), ViewToJson(view));
  EXPECT_EQ(read.refusals.at("not in the roster"), 1000u);
  EXPECT_EQ(Render(read, Plain()), Render(view, Plain()));
}

TEST_F(StatusFileTest, MetricThatIsNotANumberStaysOne) {
  RunView view = SampleView();
  view.rounds[1].metrics["loss"] = std::numeric_limits<double>::quiet_NaN();

  ASSERT_OK_AND_ASSIGN(const RunView read, ViewFromJson(ViewToJson(view)));

  EXPECT_TRUE(std::isnan(read.rounds[1].metrics.at("loss")));
}

TEST_F(StatusFileTest, FieldsOfAnotherTypeReadAsDefaults) {
  ASSERT_OK_AND_ASSIGN(const RunView read,
                       ViewFromJson(R"({"round":"x","nodes":[7,{"node":1}],"rounds":[[]],)"
                                    R"("events":{"a":1},"participation_counts":3})"));

  EXPECT_EQ(read.round, 0u);
  EXPECT_EQ(read.nodes.size(), 2u);
  EXPECT_THAT(ViewFromJson("[1"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(StatusFileTest, CoordinatorAtWorkIsShownByItsStatusFile) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(WriteStatusFile(dir(), SampleView()));

  ASSERT_OK_AND_ASSIGN(const std::string text, StatusText(dir(), Plain()));
  ASSERT_OK_AND_ASSIGN(const std::string json_text, StatusJson(dir()));

  EXPECT_THAT(text, HasSubstr("round 3 of 10 · training"));
  EXPECT_THAT(text, HasSubstr(fmt::format("process {}", ::getpid())));
  const auto json = nlohmann::json::parse(json_text);
  EXPECT_EQ(json["coordinator"]["running"], true);
  EXPECT_EQ(json["coordinator"]["process"], ::getpid());
  EXPECT_EQ(json["round"], 3);
}

TEST_F(StatusFileTest, StoppedCoordinatorIsShownByTheDatabaseNotByItsOldStatusFile) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, Started(1), WithCheckpoint(1)));
    ASSERT_OK(WriteStatusFile(dir(), SampleView()));
  }

  ASSERT_OK_AND_ASSIGN(const std::string text, StatusText(dir(), Plain()));
  ASSERT_OK_AND_ASSIGN(const std::string json_text, StatusJson(dir()));

  EXPECT_THAT(text, HasSubstr("round 1 of 10"));
  EXPECT_THAT(text, HasSubstr("not running; it stopped without an end"));
  const auto json = nlohmann::json::parse(json_text);
  EXPECT_EQ(json["coordinator"]["running"], false);
  EXPECT_TRUE(json["coordinator"]["process"].is_null());
}

TEST_F(StatusFileTest, CompleteRunSaysSo) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    ASSERT_OK(AppendAll(store, RunEnded{RunStatus::kCompleted, ""}));
  }

  ASSERT_OK_AND_ASSIGN(const std::string text, StatusText(dir(), Plain()));

  EXPECT_THAT(text, HasSubstr("the run is complete"));
}

TEST_F(StatusFileTest, DirectoryWithoutARunIsNotFound) {
  EXPECT_THAT(StatusText(dir(), Plain()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(StatusFileTest, PrivacyIsReadBack) {
  RunView view = SampleView();
  view.rounds[0].is_skipped = true;
  view.hides_cohorts = true;
  view.privacy = PrivacyView{.epsilon_max = 2,
                             .delta = 1e-5,
                             .epsilon_spent = 1.25,
                             .epsilon_insider = 7.5,
                             .release_count = 12,
                             .skipped_count = 1,
                             .noise_planned = 1.868,
                             .noise_realised = 2.157,
                             .clip_norm = 0.25};

  ASSERT_OK_AND_ASSIGN(const RunView read, ViewFromJson(ViewToJson(view)));

  EXPECT_EQ(ViewToJson(read), ViewToJson(view));
  EXPECT_EQ(read.privacy->epsilon_insider, 7.5);
  EXPECT_EQ(read.privacy->clip_norm, 0.25);
  EXPECT_TRUE(read.rounds[0].is_skipped);
  const auto json = nlohmann::json::parse(ViewToJson(view));
  EXPECT_EQ(json["epsilon_spent"], 1.25);
}

TEST_F(StatusFileTest, AFinishedPrivateRunShowsItsFinalEpsilon) {
  {
    RunInfo info = Info();
    info.job_yaml =
        "version: 1\nmodel: {name: mlp}\ndata: {id: x, dataset: fashion_mnist}\n"
        "privacy: {enabled: true, epsilon: 3, noise_multiplier: 1.5, records: 1000}\n";
    ASSERT_OK_AND_ASSIGN(RunStore store, RunStore::Create(dir(), info, Model(0)));
    const Record records[] = {Started(1),
                              BudgetCharged{.round = RoundId(1),
                                            .attempt = AttemptId(1),
                                            .noise_multiplier = 1.5,
                                            .noise_realised = 1.75,
                                            .sampling_rate = 0.01,
                                            .steps = 1,
                                            .survivors = 8,
                                            .epsilon_spent = 2.75},
                              WithCheckpoint(1), RunEnded{RunStatus::kCompleted, ""}};
    ASSERT_OK(store.Append(records, kStart + 1));
  }

  ASSERT_OK_AND_ASSIGN(const std::string text, StatusText(dir(), Plain()));

  EXPECT_THAT(text, HasSubstr("privacy    epsilon 2.75 of 3, delta 1e-05 · noise 1.5, was 1.75"));
  EXPECT_THAT(text, HasSubstr("the run is complete"));
}

TEST_F(StatusFileTest, ARunThatFailedSaysWhy) {
  {
    ASSERT_OK_AND_ASSIGN(RunStore store, Create());
    const Record records[] = {RunEnded{RunStatus::kFailed, "round 1 needs 8 updates"}};
    ASSERT_OK(store.Append(records, kStart + 1));
  }

  ASSERT_OK_AND_ASSIGN(const std::string text, StatusText(dir(), Plain()));

  EXPECT_THAT(text, HasSubstr("the run failed: round 1 needs 8 updates\n  the coordinator is not "
                              "running. Continue with --resume"));
}

}  // namespace
}  // namespace skerry
