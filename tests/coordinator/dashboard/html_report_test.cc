#include "coordinator/dashboard/html_report.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "coordinator/dashboard/report_data.h"
#include "tests/coordinator/dashboard/secret_history.h"
#include "tests/coordinator/store/store_fixture.h"

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

RunHistory SampleHistory() {
  RunHistory history;
  history.info.job_name = "fashion_cnn";
  history.info.job_yaml = "version: 1\n";
  history.info.guarantee = "no differential privacy in this run";
  history.info.seed = 18'000'000'000'000'000'000u;
  history.info.roster_sha256 = "cafe";
  history.info.rounds_planned = 2;
  history.status = RunStatus::kCompleted;
  for (uint64_t i = 1; i <= 2; ++i) {
    RoundHistory& round = history.rounds.emplace_back();
    round.committed.round = RoundId(i);
    round.committed.model_sha256 = fmt::format("{:064x}", i);
    round.committed.participants = {
        {NodeId("n1"), Participation::kAccepted, "", std::chrono::seconds(2 * i)},
        {NodeId("n10"), Participation::kCut, "no progress for 30 s", std::nullopt},
        {NodeId("n2"), Participation::kSurplus, "", std::nullopt}};
    round.committed.timings = {std::chrono::seconds(3), std::chrono::seconds(2),
                               std::chrono::seconds(1)};
    round.traffic = {RoundId(i), 1000, 500, std::chrono::seconds(7)};
  }
  history.rounds[1].committed.participants.pop_back();
  history.rounds[1].committed.node_metrics = NodeMetrics{10, 5, 20};
  history.evaluations[2] = {ModelVersion(2), 100, {{"accuracy", 0.5}, {"loss", std::nan("")}}};
  history.events = {{{RoundId(2), "node left", "n10", "connection lost"}, 1234}};
  history.checkpoints = {{RoundId(2), {"models/round-000002.safetensors", ""}}};
  return history;
}

// What a browser would read between the data's script tags.
Json DataIn(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = page.find(open) + open.size();
  return Json::parse(page.substr(begin, page.find("</script", begin) - begin));
}

TEST(ReportDataTest, RunIsThereNumberByNumber) {
  const Json data = Json::parse(ReportData(SampleHistory()));

  EXPECT_EQ(data["run"]["job_name"], "fashion_cnn");
  EXPECT_EQ(data["run"]["guarantee"], "no differential privacy in this run");
  EXPECT_EQ(data["run"]["seed"], "18000000000000000000");
  EXPECT_EQ(data["run"]["node_count"], 3);
  EXPECT_EQ(data["run"]["model_sha256"], fmt::format("{:064x}", 2));
  EXPECT_EQ(data["rounds"].size(), 2u);
  EXPECT_EQ(data["rounds"][0]["sent"], 1000);
  EXPECT_EQ(data["rounds"][0]["received"], 500);
  EXPECT_EQ(data["rounds"][0]["wall_s"], 7.0);
  EXPECT_EQ(data["rounds"][0]["until_quorum_s"], 3.0);
  EXPECT_EQ(data["rounds"][0]["until_closed_s"], 2.0);
  EXPECT_EQ(data["rounds"][0]["committing_s"], 1.0);
  EXPECT_EQ(data["rounds"][0]["counts"], Json({{"A", 1}, {"C", 1}, {"S", 1}}));
  EXPECT_FALSE(data["rounds"][0].contains("nodes"));
  EXPECT_EQ(data["rounds"][1]["nodes"], Json({{"accuracy", 0.5}, {"loss", 2.0}}));
  EXPECT_EQ(data["evaluations"][0]["metrics"]["accuracy"], 0.5);
  EXPECT_TRUE(data["evaluations"][0]["metrics"]["loss"].is_null());
  EXPECT_EQ(data["events"][0]["kind"], "node left");
  EXPECT_EQ(data["checkpoints"][0]["model"], "models/round-000002.safetensors");
}

TEST(ReportDataTest, ParticipationIsALetterForEachNodeInNaturalOrder) {
  const Json data = Json::parse(ReportData(SampleHistory()));

  EXPECT_EQ(data["nodes"][0]["node"], "n1");
  EXPECT_EQ(data["nodes"][1]["node"], "n2");
  EXPECT_EQ(data["nodes"][2]["node"], "n10");
  EXPECT_EQ(data["participation"]["letters"], Json({"ASC", "A C"}));
  EXPECT_EQ(data["participation"]["reasons"][1], Json::array({1, 1, "surplus", ""}));
  EXPECT_EQ(data["participation"]["reasons"][0],
            Json::array({1, 2, "cut", "no progress for 30 s"}));
  EXPECT_EQ(data["nodes"][0]["mean_s"], 3.0);
  EXPECT_TRUE(data["nodes"][2]["mean_s"].is_null());
  EXPECT_EQ(data["nodes"][2]["last_reason"], "no progress for 30 s");
}

TEST(ReportDataTest, ManyNodesAreSummedAndThoseWithMostTroubleListed) {
  RunHistory history = SampleHistory();
  history.rounds.resize(1);
  auto& participants = history.rounds[0].committed.participants;
  participants.clear();
  for (int i = 0; i < 201; ++i) {
    participants.push_back({NodeId(fmt::format("n{}", i)),
                            i == 200 ? Participation::kFailed : Participation::kAccepted, "",
                            std::nullopt});
  }

  const Json many = Json::parse(ReportData(history));
  participants.pop_back();
  const Json few = Json::parse(ReportData(history));

  EXPECT_TRUE(many["participation"].is_null());
  EXPECT_EQ(many["nodes"].size(), 50u);
  EXPECT_EQ(many["nodes"][0]["node"], "n200");
  EXPECT_EQ(many["rounds"][0]["counts"], Json({{"A", 200}, {"F", 1}}));
  EXPECT_EQ(few["participation"]["letters"][0].get<std::string>(), std::string(200, 'A'));
  EXPECT_EQ(few["nodes"].size(), 200u);
}

TEST(HtmlReportTest, TextOfPeersAndJobsCannotLeaveTheData) {
  RunHistory history = SampleHistory();
  const std::string attack = "</script><script>alert(1)</script><!-- & \xff {{SCRIPT}}";
  history.info.job_name = attack;
  history.info.job_yaml = attack;
  history.events[0].event.detail = attack;
  history.rounds[0].committed.participants[1].reason = attack;

  const std::string page = HtmlReport(history);

  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  const std::string read = "</script><script>alert(1)</script><!-- & \xEF\xBF\xBD {{SCRIPT}}";
  const Json data = DataIn(page);
  EXPECT_EQ(data["run"]["job_name"], read);
  EXPECT_EQ(data["run"]["job_yaml"], read);
  EXPECT_EQ(data["events"][0]["detail"], read);
  EXPECT_EQ(data["participation"]["reasons"][0][3], read);
}

TEST(HtmlReportTest, PageIsOneFileThatLoadsNothing) {
  const std::string page = HtmlReport(SampleHistory());

  EXPECT_THAT(page, testing::StartsWith("<!doctype html>"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("Chart.js v3"));
  for (const char* outside :
       {"src=\"http", "href=\"http", "@import", "url(http", "<link", " src="}) {
    EXPECT_THAT(page, Not(HasSubstr(outside))) << outside;
  }
  EXPECT_THAT(page, Not(HasSubstr("{{")));
}

TEST(HtmlReportTest, RunWithoutARoundHasAReport) {
  RunHistory history;
  history.info.initial_sha256 = "beef";

  EXPECT_EQ(DataIn(HtmlReport(history))["run"]["model_sha256"], "beef");
}

using WriteReportTest = StoreFixture;

TEST_F(WriteReportTest, ReportIsWrittenFromTheDatabaseAlsoWhileTheRunGoesOn) {
  ASSERT_OK_AND_ASSIGN(RunStore store, Create());
  ASSERT_OK(AppendAll(store, Started(1), WithCheckpoint(1)));

  ASSERT_OK(WriteReport(dir()));

  ASSERT_OK_AND_ASSIGN(const std::string page, ReadFile(Path("report.html"), 10 << 20));
  EXPECT_EQ(DataIn(page)["rounds"][0]["sha256"], Sha(1));
  EXPECT_EQ(DataIn(page)["run"]["status"], "running");
}

TEST_F(WriteReportTest, DirectoryWithoutARunIsNotFound) {
  EXPECT_THAT(WriteReport(dir()), StatusIs(absl::StatusCode::kNotFound));
}

TEST(ReportDataTest, SecretCohortsLeaveNoTrace) {
  const std::string page = HtmlReport(SecretHistory());
  const Json data = DataIn(page);

  EXPECT_THAT(page, Not(HasSubstr("site-")));
  EXPECT_TRUE(data["run"]["hides_cohorts"]);
  EXPECT_EQ(data["run"]["node_count"], 12);
  EXPECT_TRUE(data["participation"].is_null());
  EXPECT_TRUE(data["nodes"].empty());
  for (const Json& round : data["rounds"]) {
    for (const char* key :
         {"counts", "invited", "attempt", "sent", "received", "wall_s", "until_quorum_s",
          "until_closed_s", "committing_s", "weight_sum", "committed_unix_ms"}) {
      EXPECT_FALSE(round.contains(key)) << key;
    }
    EXPECT_TRUE(round["privacy"]["noise"].is_null());
  }
  EXPECT_EQ(data["rounds"][1]["skipped"], true);
  EXPECT_EQ(data["rounds"][2]["privacy"]["epsilon"], 1.5);
  ASSERT_EQ(data["events"].size(), 1u);
  EXPECT_EQ(data["events"][0]["detail"], "");
  EXPECT_EQ(data["privacy"]["epsilon_insider"], 6.0);
}

TEST(ReportDataTest, EveryFigureOfAPrivateRunSaysWhetherEpsilonCoversIt) {
  RunHistory history = SecretHistory();
  history.job->privacy.observer = PrivacyObserver::kInsider;
  history.charges[0].clip_norm = 0.75;

  const Json data = Json::parse(ReportData(history));

  EXPECT_EQ(
      data["rounds"][0]["privacy"],
      Json({{"epsilon", 0.5}, {"epsilon_insider", 1.5}, {"noise", 2.0}, {"clip_norm", 0.75}}));
  EXPECT_EQ(data["privacy"]["noise_planned"], 2.0);
  EXPECT_EQ(data["privacy"]["noise_realised"], 2.0);
  std::map<std::string, std::string> marks;
  for (const Json& mark : data["privacy"]["marks"]) marks[mark["figure"]] = mark["disclosure"];
  EXPECT_EQ(marks["accuracy, auc, f1, mae, loss"], "public");
  EXPECT_EQ(marks["model, update norm"], "private");
  EXPECT_EQ(marks["participation, accepted, surplus"], "not private");
  EXPECT_EQ(marks["mean time of a node, time of a round"], "not private");
  EXPECT_TRUE(Json::parse(ReportData(SampleHistory()))["privacy"].is_null());
}

}  // namespace
}  // namespace skerry
