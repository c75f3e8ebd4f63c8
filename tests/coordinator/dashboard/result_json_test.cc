#include "coordinator/dashboard/result_json.h"

#include <limits>

#include <gtest/gtest.h>

namespace skerry {
namespace {

TEST(ResultJsonTest, KeysAndOrderAreThePublicOnes) {
  RunResult result;
  result.status = "completed";
  result.rounds = 10;
  result.nodes = 8;
  result.accuracy = 0.875;
  result.loss = 0.25;
  result.model_sha256 = "ab";
  result.run_dir = "runs/x";
  result.wall_s = 12.5;

  EXPECT_EQ(ResultJson(result),
            R"({"status":"completed","exit_code":0,"rounds":10,"nodes":8,"accuracy":0.875,)"
            R"("loss":0.25,"model_sha256":"ab","epsilon":null,"delta":null,"run_dir":"runs/x",)"
            R"("wall_s":12.5})");
}

TEST(ResultJsonTest, LossThatIsNotFiniteIsNull) {
  RunResult result;
  result.loss = std::numeric_limits<double>::infinity();

  EXPECT_NE(ResultJson(result).find("\"loss\":null"), std::string::npos);
}

TEST(ResultJsonTest, DirectoryNameThatIsNoTextIsStillJson) {
  RunResult result;
  result.run_dir = "runs/\xff\"";

  EXPECT_NE(ResultJson(result).find("\"run_dir\":\"runs/\xEF\xBF\xBD\\\"\""), std::string::npos);
}

TEST(ResultJsonTest, TheInsidersEpsilonIsThereIfCohortsAreSecret) {
  RunResult result;
  result.epsilon = 2.0;
  EXPECT_EQ(ResultJson(result).find("epsilon_insider"), std::string::npos);

  result.epsilon_insider = 7.5;

  EXPECT_NE(ResultJson(result).find("\"epsilon_insider\":7.5"), std::string::npos);
}

}  // namespace
}  // namespace skerry
