#include "common/config/job_rules.h"

#include "tests/common/config/job_text.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> CsvErrors(const std::vector<std::string>& overrides) {
  return Lines(ReadJob(kCsvJob, "job.yaml", overrides).errors);
}

TEST(CohortSizeTest, IsTheRoundedFractionAndAtLeastOne) {
  const auto cohort = [](int64_t nodes, double fraction) {
    return CohortSize({.nodes = nodes, .cohort_fraction = fraction});
  };

  EXPECT_EQ(cohort(8, 1.0), 8);
  EXPECT_EQ(cohort(8, 0.5), 4);
  EXPECT_EQ(cohort(9, 0.5), 5);
  EXPECT_EQ(cohort(10, 0.01), 1);
  EXPECT_EQ(cohort(1000, 0.1), 100);
  EXPECT_EQ(cohort(100'000, 1e-9), 1);
}

TEST(InvitedCountTest, IsRoundedUpAndAtMostTheNodes) {
  const auto invited = [](int64_t nodes, double fraction, double over_selection) {
    return InvitedCount(
        {.nodes = nodes, .cohort_fraction = fraction, .over_selection = over_selection});
  };

  EXPECT_EQ(invited(100, 0.1, 1.0), 10);
  EXPECT_EQ(invited(100, 0.1, 1.1), 11);  // 10 * 1.1 is above 11 in binary
  EXPECT_EQ(invited(100, 0.1, 1.11), 12);
  EXPECT_EQ(invited(8, 1.0, 1.5), 8);
  EXPECT_EQ(invited(1, 1.0, 4.0), 1);
}

TEST(JobRulesTest, QuorumIsAtMostTheCohort) {
  EXPECT_THAT(ErrorsWith("round: {nodes: 20, cohort_fraction: 0.5, quorum: 10}\n"), IsEmpty());
  EXPECT_THAT(ErrorsWith("round:\n  nodes: 20\n  cohort_fraction: 0.5\n  quorum: 11\n"),
              ElementsAre("job.yaml:9: round.quorum must be at most 10, the cohort "
                          "(cohort_fraction 0.5 of 20 nodes), got 11"));
}

TEST(JobRulesTest, NotMoreNodesAreInvitedThanThereAre) {
  EXPECT_THAT(ErrorsWith("round: {nodes: 10, cohort_fraction: 0.5, over_selection: 2}\n"),
              IsEmpty());
  EXPECT_THAT(ErrorsWith("round: {nodes: 10, cohort_fraction: 0.5, over_selection: 2.1}\n"),
              ElementsAre(HasSubstr("round.over_selection 2.1 invites 2.1 times a cohort of 5, "
                                    "more than the 10 nodes there are")));
}

TEST(JobRulesTest, RuleOverARefusedValueIsSkipped) {
  EXPECT_THAT(ErrorsWith("round: {nodes: 0, quorum: 9}\n"),
              ElementsAre("job.yaml:6: round.nodes must be 1..100000, got 0"));
}

TEST(JobRulesTest, CsvNeedsAPathAndALabelAndOthersHaveNone) {
  EXPECT_THAT(CsvErrors({}), IsEmpty());
  EXPECT_THAT(CsvErrors({"data={id: a, dataset: csv}"}),
              ElementsAre("--set data: data.path is missing: dataset csv needs the file's path",
                          "--set data: data.label is missing: dataset csv needs the label column's "
                          "name"));
  EXPECT_THAT(ErrorsWith("", {"data.label=x"}),
              ElementsAre("--set data.label: data.label only applies to dataset csv, the dataset "
                          "is fashion_mnist"));
  EXPECT_THAT(ErrorsWith("", {"data.dataset=idx"}),
              ElementsAre(HasSubstr("data.path is missing: dataset idx needs the folder's path")));
}

TEST(JobRulesTest, OnlyCsvIsPartitionedByAColumn) {
  EXPECT_THAT(CsvErrors({"data.partition={scheme: column, name: site}"}), IsEmpty());
  EXPECT_THAT(CsvErrors({"data.partition.scheme=column"}),
              ElementsAre(HasSubstr("data.partition.name is missing")));
  EXPECT_THAT(ErrorsWith("", {"data.partition={scheme: column, name: site}"}),
              ElementsAre(HasSubstr("data.partition.scheme column only applies to dataset csv")));
}

TEST(JobRulesTest, BuiltInModelsTakeImagesOnly) {
  EXPECT_THAT(CsvErrors({"model={name: mlp}", "training.loss=cross_entropy"}),
              ElementsAre(HasSubstr("--set model: model.name mlp takes images of 1 x 28 x 28, but "
                                    "data.dataset is csv")));
}

TEST(JobRulesTest, LayersOverMnistTakeItsImages) {
  const auto errors = [](const std::string& input) {
    return ErrorsWith("", {"model={input: " + input + ", layers: [flatten, linear: {out: 10}]}"});
  };

  EXPECT_THAT(errors("[1, 28, 28]"), IsEmpty());
  EXPECT_THAT(errors("[784]"), IsEmpty());
  EXPECT_THAT(errors("[1, 28, 27]"), ElementsAre(HasSubstr("must hold the 784 values")));
}

TEST(JobRulesTest, LossFitsTheOutput) {
  EXPECT_THAT(ErrorsWith("training: {loss: bce}\n"),
              ElementsAre("job.yaml:6: training.loss bce needs model.layers with one output, mlp "
                          "has 10 classes"));
  EXPECT_THAT(CsvErrors({"training.loss=mse"}), IsEmpty());
  EXPECT_THAT(CsvErrors({"training.loss=cross_entropy"}),
              ElementsAre(HasSubstr("training.loss cross_entropy needs a model whose output is one "
                                    "value for each of two or more classes, got [1]")));
  EXPECT_THAT(CsvErrors({"model.layers.0.linear.out=2"}),
              ElementsAre("job.yaml:7: training.loss bce needs a model with the output [1], got "
                          "[2]"));
}

TEST(JobRulesTest, ModelWithoutParametersIsRefused) {
  EXPECT_THAT(CsvErrors({"model={input: [1], layers: [relu]}"}),
              ElementsAre(HasSubstr("model.layers must hold a layer with parameters")));
}

TEST(JobRulesTest, ShapeErrorsComeWithAllOthers) {
  const std::vector<std::string> errors =
      CsvErrors({"model.layers=[linear: {out: 6}, group_norm: {groups: 4}, max_pool: {kernel: 2}]",
                 "round.quorum=9"});

  EXPECT_THAT(errors, testing::UnorderedElementsAre(
                          HasSubstr("model.layers[1].group_norm has 4 groups, which do not divide "
                                    "6 channels"),
                          HasSubstr("model.layers[2].max_pool takes channels, height and width, "
                                    "got [6]"),
                          HasSubstr("round.quorum must be at most 8")));
}

// A job of `nodes` with secure aggregation and these further settings.
std::vector<std::string> SecAggErrors(int nodes, const std::string& settings,
                                      const std::vector<std::string>& overrides = {}) {
  return ErrorsWith("round: {nodes: " + std::to_string(nodes) + "}\nsecagg: {enabled: true" +
                        (settings.empty() ? "" : ", " + settings) + "}\n",
                    overrides);
}

TEST(JobRulesTest, SecureAggregationNeedsNothingButToBeSwitchedOn) {
  for (const int nodes : {4, 5, 8, 33, 64}) EXPECT_THAT(SecAggErrors(nodes, ""), IsEmpty());
}

TEST(JobRulesTest, LargeCohortsAreMaskedAlongASparseGraph) {
  EXPECT_THAT(SecAggErrors(65, ""), IsEmpty());
  EXPECT_THAT(SecAggErrors(1024, "colluders: 100, dropout_tolerance: 100"), IsEmpty());
  EXPECT_THAT(SecAggErrors(1025, "colluders: 100"),
              ElementsAre(AllOf(HasSubstr("job.yaml:7: secagg.enabled is true, but a round invites "
                                          "1025 nodes and a sum is masked among at most 1024"),
                                HasSubstr("lower round.nodes, round.cohort_fraction or "
                                          "round.over_selection"))));
}

// Nodes that are invited in excess put masks on before they are turned away.
TEST(JobRulesTest, NodesLeftOverCountAsDropOutsOfASparseGraph) {
  const std::vector<std::string> excess = {"round.cohort_fraction=0.5", "round.over_selection=1.1"};
  EXPECT_THAT(SecAggErrors(400, "colluders: 10, dropout_tolerance: 20", excess), IsEmpty());
  EXPECT_THAT(SecAggErrors(400, "colluders: 10, dropout_tolerance: 19", excess),
              ElementsAre(AllOf(HasSubstr("secagg.dropout_tolerance is 19"),
                                HasSubstr("leaves 20 of 220 nodes over"),
                                HasSubstr("raise it to 20 or lower round.over_selection"))));
}

TEST(JobRulesTest, SecureAggregationIsRefusedBelowThreeNodes) {
  EXPECT_THAT(SecAggErrors(3, ""), IsEmpty());
  EXPECT_THAT(SecAggErrors(2, ""),
              ElementsAre(AllOf(HasSubstr("job.yaml:7: secagg.enabled"),
                                HasSubstr("a round invites 2 of the at least 3 nodes it takes"),
                                HasSubstr("raise round.nodes or round.cohort_fraction"))));
}

TEST(JobRulesTest, NotMoreDropOutsArePromisedThanTheThresholdAllows) {
  // t = floor((10 + 3) / 2) + 1 = 7.
  EXPECT_THAT(SecAggErrors(10, "colluders: 3, dropout_tolerance: 3"), IsEmpty());
  EXPECT_THAT(SecAggErrors(10, "colluders: 3, dropout_tolerance: 4"),
              ElementsAre(AllOf(HasSubstr("job.yaml:7: secagg.dropout_tolerance is 4"),
                                HasSubstr("7 of 10 nodes are necessary to open the sum (colluders "
                                          "3), so only 3 may leave"),
                                HasSubstr("lower it or secagg.colluders, or raise"))));
  // With 10 nodes invited for a cohort of 8, one of the 8 may leave.
  const std::vector<std::string> invites_more = {"round.cohort_fraction=0.8",
                                                 "round.over_selection=1.25"};
  EXPECT_THAT(SecAggErrors(10, "colluders: 3, dropout_tolerance: 1", invites_more), IsEmpty());
  EXPECT_THAT(SecAggErrors(10, "colluders: 3, dropout_tolerance: 2", invites_more),
              ElementsAre(HasSubstr("7 of 8 nodes are necessary")));
}

TEST(JobRulesTest, TwoNodesOfARoundAreHonest) {
  EXPECT_THAT(SecAggErrors(10, "colluders: 8"), IsEmpty());
  EXPECT_THAT(SecAggErrors(10, "colluders: 9"),
              ElementsAre(HasSubstr("secagg.colluders must be at most 8, so that two of the 10 "
                                    "nodes of a round are honest, got 9")));
  // The default follows the roster, not the cohort, which may be too small for it.
  EXPECT_THAT(SecAggErrors(100, "", {"round.cohort_fraction=0.2"}),
              ElementsAre(HasSubstr("secagg.colluders must be at most 18")));
}

TEST(JobRulesTest, ThresholdIsWithinTheCohort) {
  EXPECT_THAT(
      SecAggErrors(20, "colluders: 1", {"round.cohort_fraction=0.5", "round.over_selection=2"}),
      ElementsAre(HasSubstr("secagg.colluders 1 of 20 nodes make 11 necessary to open the "
                            "sum, more than the cohort of 10")));
}

TEST(JobRulesTest, SurvivorsAreAtMostTheCohort) {
  EXPECT_THAT(SecAggErrors(8, "min_survivors: 8"), IsEmpty());
  EXPECT_THAT(SecAggErrors(8, "min_survivors: 9"),
              ElementsAre("job.yaml:7: secagg.min_survivors must be at most 8, the cohort "
                          "(cohort_fraction 1 of 8 nodes), got 9"));
}

TEST(JobRulesTest, SumsHaveThirtyTwoBits) {
  EXPECT_THAT(SecAggErrors(8, "ring_bits: 32"), IsEmpty());
  for (const char* bits : {"31", "64"}) {
    EXPECT_THAT(SecAggErrors(8, std::string("ring_bits: ") + bits),
                ElementsAre("job.yaml:7: secagg.ring_bits must be 32, the width in which this "
                            "build sums, got " +
                            std::string(bits)));
  }
}

TEST(JobRulesTest, SecureAggregationThatIsOffIsNotChecked) {
  EXPECT_THAT(ErrorsWith("round: {nodes: 1000}\n"
                         "secagg: {colluders: 999, dropout_tolerance: 99, ring_bits: 64}\n"),
              IsEmpty());
}

TEST(JobRulesTest, AllErrorsOfSecureAggregationComeAtOnce) {
  EXPECT_THAT(SecAggErrors(8, "colluders: 7, min_survivors: 9, ring_bits: 64"),
              testing::UnorderedElementsAre(HasSubstr("secagg.colluders"),
                                            HasSubstr("secagg.min_survivors"),
                                            HasSubstr("secagg.ring_bits")));
}

TEST(JobRulesTest, SecureAggregationIsNotJudgedByRefusedValues) {
  EXPECT_THAT(SecAggErrors(0, "dropout_tolerance: 50"),
              ElementsAre(HasSubstr("round.nodes must be")));
  EXPECT_THAT(SecAggErrors(8, "colluders: -1, dropout_tolerance: 50"),
              ElementsAre(HasSubstr("secagg.colluders must be")));
}

TEST(JobRulesTest, JobMadeInCodeIsValidatedUnderTheGivenName) {
  JobConfig job;
  job.data.id = "a";
  job.data.path = "/data";
  EXPECT_THAT(ValidateJob(job, "the test's job"), IsEmpty());

  job.round.quorum = 9;

  EXPECT_THAT(Lines(ValidateJob(job, "the test's job")),
              ElementsAre(HasSubstr("the test's job: round.quorum must be at most 8")));
}

}  // namespace
}  // namespace skerry
