#include "common/ml/data_loader.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "tests/common/ml/data_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kFashionMnist[] = "/usr/share/datasets/fashion-mnist";

DataRequest FashionRequest() {
  JobConfig job;
  job.seed = 42;
  job.data.path = kFashionMnist;
  job.model.name = ModelName::kCnn;
  return *DataRequestFor(job, job.data);
}

// A CSV with columns a, y, ward; a is the row's number.
std::string CsvRows(int count) {
  std::string text = "a,y,ward\n";
  for (int i = 0; i < count; ++i) {
    text += std::to_string(i) + "," + std::to_string(i % 2) + "," + std::to_string(i % 3) + "\n";
  }
  return text;
}

class CsvLoaderTest : public testing::Test {
 protected:
  CsvLoaderTest() {
    request_.data.dataset = DatasetKind::kCsv;
    request_.data.path = folder_ / "train.csv";
    request_.data.label = "y";
    request_.data.partition.column = "ward";
    request_.labels = {.loss = LossName::kCrossEntropy, .output_count = 2};
    request_.input = {1};
    WriteBytes(request_.data.path, CsvRows(12));
  }

  static std::vector<float> Values(const Dataset& dataset, std::span<const uint32_t> rows) {
    std::vector<float> values(rows.size() * dataset.example_size());
    dataset.GatherExamples(rows, values.data());
    return values;
  }

  TemporaryDirectory folder_;
  DataRequest request_;
};

TEST_F(CsvLoaderTest, NodeHasTheSameRowsWhicheverProcessHostsIt) {
  const std::array<uint32_t, 4> everyone = {0, 1, 2, 3};
  const std::array<uint32_t, 2> some = {3, 1};

  ASSERT_OK_AND_ASSIGN(const HostedData all, LoadHostedNodes(request_, 4, everyone));
  ASSERT_OK_AND_ASSIGN(const HostedData part, LoadHostedNodes(request_, 4, some));

  EXPECT_EQ(all.dataset->row_count(), 12u);
  EXPECT_EQ(part.dataset->row_count(), 6u);  // the others' rows are not kept
  EXPECT_EQ(Values(*part.dataset, part.rows.rows(0)), Values(*all.dataset, all.rows.rows(3)));
  EXPECT_EQ(Values(*part.dataset, part.rows.rows(1)), Values(*all.dataset, all.rows.rows(1)));
}

TEST_F(CsvLoaderTest, LabelsStayWithTheirRows) {
  const std::array<uint32_t, 1> hosted = {2};
  ASSERT_OK_AND_ASSIGN(const HostedData data, LoadHostedNodes(request_, 3, hosted));
  const auto rows = data.rows.rows(0);
  std::vector<int64_t> classes(rows.size());
  data.dataset->GatherClasses(rows, classes.data());

  const std::vector<float> values = Values(*data.dataset, rows);

  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(classes[i], static_cast<int64_t>(values[i]) % 2);
  }
}

TEST_F(CsvLoaderTest, ColumnSchemeGivesEachNodeItsValue) {
  request_.data.partition.scheme = PartitionScheme::kColumn;
  const std::array<uint32_t, 1> hosted = {1};

  ASSERT_OK_AND_ASSIGN(const HostedData data, LoadHostedNodes(request_, 3, hosted));

  EXPECT_THAT(Values(*data.dataset, data.rows.rows(0)), ElementsAre(1, 4, 7, 10));
  EXPECT_THAT(LoadHostedNodes(request_, 4, hosted),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(request_.data.path), HasSubstr("3 distinct values"))));
}

TEST_F(CsvLoaderTest, ExamplesMaxLimitsAllNodesTogether) {
  request_.data.examples_max = 5;
  const std::array<uint32_t, 2> hosted = {0, 1};

  ASSERT_OK_AND_ASSIGN(const HostedData data, LoadHostedNodes(request_, 2, hosted));
  ASSERT_OK_AND_ASSIGN(const SharedDataset own, LoadTrainingSet(request_));

  EXPECT_EQ(data.dataset->row_count(), 5u);
  EXPECT_EQ(own->row_count(), 5u);
}

TEST_F(CsvLoaderTest, BrokenRowCostsOnlyTheNodeThatOwnsIt) {
  request_.data.partition.scheme = PartitionScheme::kColumn;
  WriteBytes(request_.data.path, "a,y,ward\n1,0,0\nnan,0,1\n3,1,2\n");
  const std::array<uint32_t, 2> sound = {0, 2};
  const std::array<uint32_t, 1> broken = {1};

  EXPECT_OK(LoadHostedNodes(request_, 3, sound));
  EXPECT_THAT(LoadHostedNodes(request_, 3, broken),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("train.csv:3: column \"a\"")));
}

TEST_F(CsvLoaderTest, TestSetIsFoundBesideTheTrainingFileOrWhereItIsNamed) {
  ASSERT_OK_AND_ASSIGN(const SharedDataset none, LoadTestSet(request_));
  EXPECT_EQ(none, nullptr);

  WriteBytes(folder_ / "test.csv", "a,y\n1,1\n");
  ASSERT_OK_AND_ASSIGN(const SharedDataset beside, LoadTestSet(request_));
  EXPECT_EQ(beside->row_count(), 1u);

  request_.data.test_path = folder_ / "other.csv";
  EXPECT_THAT(LoadTestSet(request_), StatusIs(StatusCode::kNotFound, HasSubstr("other.csv")));
  WriteBytes(*request_.data.test_path, "a,y\n1,1\n2,0\n");
  ASSERT_OK_AND_ASSIGN(const SharedDataset named, LoadTestSet(request_));
  EXPECT_EQ(named->row_count(), 2u);
}

TEST_F(CsvLoaderTest, RowsThatDoNotFitTheModelAreRefused) {
  request_.input = {3};

  EXPECT_THAT(LoadTrainingSet(request_),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("shape [1]"), HasSubstr("takes [3]"))));
}

TEST_F(CsvLoaderTest, TargetsGoWithMseAndNotWithDirichlet) {
  request_.labels = {.loss = LossName::kMse, .output_count = 1};
  ASSERT_OK_AND_ASSIGN(const SharedDataset dataset, LoadTrainingSet(request_));
  const std::array<uint32_t, 2> rows = {0, 1};
  std::array<float, 2> targets = {};
  dataset->GatherTargets(rows, targets.data());
  EXPECT_FALSE(dataset->has_classes());
  EXPECT_THAT(targets, ElementsAre(0.0f, 1.0f));

  request_.data.partition.scheme = PartitionScheme::kDirichlet;
  EXPECT_THAT(LoadHostedNodes(request_, 2, rows),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("needs classes")));
}

TEST(NpyLoaderTest, TestArraysLieBesideTheTrainingArrays) {
  const TemporaryDirectory folder;
  WriteBytes(folder / "x.npy", NpyBytes<float>("<f4", "(2, 1)", {1, 2}));
  WriteBytes(folder / "y.npy", NpyBytes<uint8_t>("|u1", "(2,)", {0, 1}));
  DataRequest request = {.data = {}, .labels = {}, .input = {1}};
  request.data.dataset = DatasetKind::kNpy;
  request.data.path = folder.path();

  ASSERT_OK_AND_ASSIGN(const SharedDataset training, LoadTrainingSet(request));
  ASSERT_OK_AND_ASSIGN(const SharedDataset none, LoadTestSet(request));
  WriteBytes(folder / "x_test.npy", NpyBytes<float>("<f4", "(1, 1)", {3}));
  WriteBytes(folder / "y_test.npy", NpyBytes<uint8_t>("|u1", "(1,)", {0}));
  ASSERT_OK_AND_ASSIGN(const SharedDataset test, LoadTestSet(request));

  EXPECT_EQ(training->row_count(), 2u);
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(test->row_count(), 1u);
}

TEST(FashionMnistTest, TestSetIsTheTenThousandPublishedImages) {
  ASSERT_OK_AND_ASSIGN(const SharedDataset test, LoadTestSet(FashionRequest()));

  ASSERT_EQ(test->row_count(), 10'000u);
  EXPECT_THAT(test->example_shape(), ElementsAre(1, 28, 28));
  std::vector<uint32_t> rows(10'000);
  std::iota(rows.begin(), rows.end(), 0u);
  std::vector<int64_t> classes(rows.size());
  test->GatherClasses(rows, classes.data());
  for (int64_t label = 0; label < 10; ++label) {
    EXPECT_EQ(std::count(classes.begin(), classes.end(), label), 1000) << label;
  }
  std::vector<float> pixels(784);
  test->GatherExamples(std::span(rows).first(1), pixels.data());
  EXPECT_THAT(pixels, Each(AllOf(testing::Ge(0.0f), testing::Le(1.0f))));
  EXPECT_GT(*std::max_element(pixels.begin(), pixels.end()), 0.9f);
}

// A node's own data follows the job, or its model would see other numbers than those of others.
TEST(FashionMnistTest, PixelsAreNormalisedAsTheJobSays) {
  JobConfig job;
  job.model.name = ModelName::kMlp;
  job.data.normalization = {.mean = 0.25, .std = 0.5};
  DataConfig own;
  own.dataset = DatasetKind::kFashionMnist;
  own.path = FashionRequest().data.path;
  ASSERT_OK_AND_ASSIGN(const DataRequest request, DataRequestFor(job, own));

  ASSERT_OK_AND_ASSIGN(const SharedDataset normalised, LoadTestSet(request));
  ASSERT_OK_AND_ASSIGN(const SharedDataset plain, LoadTestSet(FashionRequest()));

  std::vector<float> pixels(784);
  std::vector<float> expected(784);
  const std::vector<uint32_t> row = {5};
  normalised->GatherExamples(row, pixels.data());
  plain->GatherExamples(row, expected.data());
  for (float& value : expected) value = (value - 0.25f) / 0.5f;
  EXPECT_THAT(pixels, testing::Pointwise(testing::FloatEq(), expected));
}

// The mean pixel of the training images is known to be 0.2860.
TEST(FashionMnistTest, EightNodesHoldSixtyThousandImagesWithTheKnownMean) {
  const std::array<uint32_t, 8> hosted = {0, 1, 2, 3, 4, 5, 6, 7};

  ASSERT_OK_AND_ASSIGN(const HostedData data, LoadHostedNodes(FashionRequest(), 8, hosted));

  ASSERT_EQ(data.dataset->row_count(), 60'000u);
  EXPECT_LT(data.dataset->memory_bytes(), 48u << 20);  // pixels stay bytes
  double sum = 0;
  std::vector<float> image(784);
  for (size_t node = 0; node < 8; ++node) {
    ASSERT_EQ(data.rows.rows(node).size(), 7500u);
    for (const uint32_t row : data.rows.rows(node)) {
      data.dataset->GatherExamples({&row, 1}, image.data());
      sum += std::accumulate(image.begin(), image.end(), 0.0);
    }
  }
  EXPECT_NEAR(sum / (60'000.0 * 784), 0.2860, 0.0001);
}

TEST(FashionMnistTest, MissingFolderIsNamed) {
  DataRequest request = FashionRequest();
  request.data.path = "/nowhere";

  EXPECT_THAT(
      LoadTrainingSet(request),
      StatusIs(StatusCode::kNotFound, AllOf(HasSubstr("/nowhere"), HasSubstr("check data.path"))));
}

}  // namespace
}  // namespace skerry
