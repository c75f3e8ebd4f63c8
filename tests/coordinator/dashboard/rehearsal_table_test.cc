#include "coordinator/dashboard/rehearsal_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace skerry {
namespace {

using testing::HasSubstr;
using testing::Not;

RehearsedNode Ready(const std::string& name, double upload_s = 0.5) {
  return {.node = name,
          .process = "site",
          .has_joined = true,
          .participation = Participation::kAccepted,
          .reason = "",
          .ready_s = 0.2,
          .work_s = 1.0,
          .upload_s = upload_s};
}

Rehearsal AllReady() {
  Rehearsal rehearsal;
  rehearsal.job_name = "heart";
  rehearsal.address = "tcp://10.0.0.1:7700";
  rehearsal.upload_megabytes = 4.0;
  rehearsal.nodes = {Ready("a"), Ready("b"), Ready("c")};
  return rehearsal;
}

TEST(RehearsalTableTest, ReadyNodesHaveNumbersAndNoFindings) {
  const Rehearsal rehearsal = AllReady();
  EXPECT_TRUE(IsSound(rehearsal));
  const std::string table = RehearsalTable(rehearsal, {.width = 100, .height = 100});
  EXPECT_THAT(table, HasSubstr("accepted"));
  EXPECT_THAT(table, HasSubstr("64.0"));  // 4 MB in half a second, in Mbit/s
  EXPECT_THAT(table, HasSubstr("3 of 3 nodes have joined"));
  EXPECT_THAT(table, HasSubstr("Every node is ready"));
}

TEST(RehearsalTableTest, EachKindOfTroubleSaysWhatToDo) {
  Rehearsal rehearsal = AllReady();
  RehearsedNode absent = {.node = "d", .process = "site"};
  RehearsedNode failed = Ready("e");
  failed.participation = Participation::kFailed;
  failed.reason = "the node's data cannot be read";
  RehearsedNode silent = Ready("f");
  silent.participation = Participation::kCut;
  silent.ready_s = silent.work_s = silent.upload_s = std::nullopt;
  RehearsedNode stuck = Ready("g");
  stuck.participation = Participation::kCut;
  stuck.upload_s = std::nullopt;
  RehearsedNode slow = Ready("h", 20.0);
  RehearsedNode lost = Ready("i");
  lost.has_lost_session = true;
  rehearsal.nodes.insert(rehearsal.nodes.end(), {absent, failed, silent, stuck, slow, lost});

  EXPECT_FALSE(IsSound(rehearsal));
  const std::string table = RehearsalTable(rehearsal, {.width = 100, .height = 100});
  EXPECT_THAT(table,
              HasSubstr("d: never joined: start its agent, let it dial tcp://10.0.0.1:7700"));
  EXPECT_THAT(table, HasSubstr("e: the node's data cannot be read: its agent's log"));
  EXPECT_THAT(table, HasSubstr("f: took the task and showed no sign of work"));
  EXPECT_THAT(table, HasSubstr("g: its upload was not complete in time"));
  EXPECT_THAT(table, HasSubstr("h: its upload takes 20.0 s, the median is 0.5 s"));
  EXPECT_THAT(table, HasSubstr("i: sent its update, then could not help"));
  EXPECT_THAT(table, Not(HasSubstr("a: ")));
  EXPECT_THAT(table, HasSubstr("8 of 9 nodes have joined"));

  rehearsal.failure = "3 of 7 updates\x1b[31m";
  EXPECT_THAT(
      RehearsalTable(rehearsal, {.width = 100, .height = 100}),
      testing::AllOf(HasSubstr("was not completed: 3 of 7 updates"), Not(HasSubstr("\x1b[31m"))));
}

TEST(RehearsalTableTest, WhoCannotHelpToOpenTheSumIsNotReady) {
  Rehearsal rehearsal = AllReady();
  rehearsal.nodes[1].has_lost_session = true;
  EXPECT_FALSE(IsSound(rehearsal));
}

TEST(RehearsalTableTest, WhoeverIsNotDrawnOnlyHasToBeThere) {
  Rehearsal rehearsal = AllReady();
  rehearsal.nodes.push_back(
      {.node = "d", .process = "site", .is_in_cohort = false, .has_joined = true});
  EXPECT_TRUE(IsSound(rehearsal));
  rehearsal.nodes.back().has_joined = false;
  EXPECT_FALSE(IsSound(rehearsal));
}

TEST(RehearsalTableTest, JsonHasTheSameFindings) {
  Rehearsal rehearsal = AllReady();
  rehearsal.nodes.push_back({.node = "d", .process = "site"});
  const nlohmann::json json = nlohmann::json::parse(RehearsalJson(rehearsal));
  EXPECT_EQ(json["sound"], false);
  EXPECT_EQ(json["upload_mb"], 4.0);
  EXPECT_EQ(json["nodes"][0]["outcome"], "accepted");
  EXPECT_EQ(json["nodes"][3]["outcome"], "absent");
  EXPECT_TRUE(json["nodes"][3]["ready_s"].is_null());
  EXPECT_THAT(json["nodes"][3]["finding"].get<std::string>(), HasSubstr("never joined"));
}

}  // namespace
}  // namespace skerry
