#include "common/config/job_rules.h"

#include "tests/common/config/job_text.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

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
