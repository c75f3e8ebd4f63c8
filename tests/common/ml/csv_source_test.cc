#include <string>

#include "common/ml/row_source.h"
#include "tests/common/ml/data_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr LabelSpec kTwoClasses = {.loss = LossName::kCrossEntropy, .output_count = 2};
constexpr LabelSpec kNumber = {.loss = LossName::kMse, .output_count = 1};

class CsvSourceTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<RowSource>> Open(const std::string& text) {
    WriteBytes(path_, text);
    return OpenCsv(path_, columns_);
  }

  struct Content {
    LabelledRows labelled;
    std::vector<float> features;
  };
  absl::StatusOr<Content> Read(const std::string& text, const LabelSpec& spec = kTwoClasses) {
    auto source = Open(text);
    if (!source.ok()) return source.status();
    auto labelled = (*source)->ReadLabels(spec);
    if (!labelled.ok()) return labelled.status();
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < labelled->labels.row_count(); ++i) rows.push_back(i);
    auto features = (*source)->ReadRows(rows);
    if (!features.ok()) return features.status();
    return Content{*std::move(labelled), std::get<std::vector<float>>(*features)};
  }

  TemporaryDirectory folder_;
  std::string path_ = folder_ / "train.csv";
  CsvColumns columns_ = {.label = "y", .partition = "ward"};
};

TEST_F(CsvSourceTest, EveryColumnButLabelAndPartitionIsAFeature) {
  ASSERT_OK_AND_ASSIGN(const Content content, Read("a,y,ward,b\n"
                                                   "1,0,north,-2.5e-1\n"
                                                   "+3,1,south, .5 \n"));

  EXPECT_THAT(content.features, ElementsAre(1.0f, -0.25f, 3.0f, 0.5f));
  EXPECT_THAT(content.labelled.labels.classes(), ElementsAre(0, 1));
  EXPECT_THAT(content.labelled.groups, ElementsAre("north", "south"));
  EXPECT_THAT(content.labelled.group_of_row, ElementsAre(0, 1));
}

TEST_F(CsvSourceTest, QuotesCommasLineEndsAndByteOrderMarkAreUnderstood) {
  ASSERT_OK_AND_ASSIGN(const Content content, Read("\xEF\xBB\xBF\"a \"\"x\"\", 1\",y,ward\r\n"
                                                   "\"1.5\",\"1\",\"Ward \"\"A\"\",\nupper\"\r\n"
                                                   "\r\n"
                                                   "2,0,b"));

  EXPECT_THAT(content.features, ElementsAre(1.5f, 2.0f));
  EXPECT_THAT(content.labelled.groups, ElementsAre("Ward \"A\",\nupper", "b"));
}

TEST_F(CsvSourceTest, GroupsThatAreNumbersAreSortedByValue) {
  ASSERT_OK_AND_ASSIGN(const Content content, Read("a,y,ward\n1,0,10\n1,0,9\n1,0,10\n"));

  EXPECT_THAT(content.labelled.groups, ElementsAre("9", "10"));
  EXPECT_THAT(content.labelled.group_of_row, ElementsAre(1, 0, 1));
}

TEST_F(CsvSourceTest, OnlyChosenRowsAreParsed) {
  ASSERT_OK_AND_ASSIGN(const auto source, Open("a,y\n1,0\nbroken,1\n3,0\n"));
  const std::vector<uint32_t> good = {0, 2};
  const std::vector<uint32_t> bad = {1};

  ASSERT_OK_AND_ASSIGN(const Features features, source->ReadRows(good));

  EXPECT_THAT(std::get<std::vector<float>>(features), ElementsAre(1.0f, 3.0f));
  EXPECT_FALSE(source->ReadRows(bad).ok());  // costs the node that owns the row, no other
}

TEST_F(CsvSourceTest, ValueThatIsNoFiniteNumberIsNamedWithLineAndColumn) {
  for (const std::string value : {"nan", "NaN", "inf", "", "  ", "1,5", "1 2", "x", "1e999", "1e39",
                                  "0x10", "--1", "1.0.0"}) {
    const std::string text = "a,b,y\n1,1,0\n1,\"" + value + "\",1\n";
    EXPECT_THAT(Read(text),
                StatusIs(StatusCode::kInvalidArgument, AllOf(HasSubstr(path_ + ":3: column \"b\""),
                                                             HasSubstr("must be a finite number"))))
        << value;
  }
}

TEST_F(CsvSourceTest, LabelIsCheckedAgainstTheLoss) {
  EXPECT_THAT(Read("a,y\n1,0\n1,2\n"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path_ + ":3: column \"y\""), HasSubstr("0 to 1"))));
  EXPECT_THAT(Read("a,y\n1,0.5\n"), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(Read("a,y\n1,-1\n"), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(Read("a,y\n1,2\n", {.loss = LossName::kBce, .output_count = 1}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("0 or 1")));
  ASSERT_OK_AND_ASSIGN(const Content content, Read("a,y\n1,-2.5\n", kNumber));
  EXPECT_THAT(content.labelled.labels.targets(), ElementsAre(-2.5f));
}

TEST_F(CsvSourceTest, MissingColumnsAreNamedWithWhatTheFileHas) {
  EXPECT_THAT(Open("a,b\n1,2\n"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("data.label"), HasSubstr("\"y\""), HasSubstr("a, b"))));
  columns_.partition_need = CsvColumns::Need::kRequired;
  EXPECT_THAT(Open("a,y\n1,2\n"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("data.partition.column")));
  EXPECT_THAT(Open("y,ward\n1,2\n"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no features")));
}

TEST_F(CsvSourceTest, MalformedRowsAreNamedByLine) {
  EXPECT_THAT(Read("a,y\n1,0\n1,0,7\n"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path_ + ":3:"), HasSubstr("expected 2 columns"))));
  EXPECT_THAT(Read("a,y\n1,0\n\"1,0\n"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("never closed")));
  EXPECT_THAT(Read("a,y\n\"1\"2,0\n"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("closing quote")));
  EXPECT_THAT(Open("a,a,y\n"), StatusIs(StatusCode::kInvalidArgument, HasSubstr("both named")));
  EXPECT_THAT(Read("a,y\n"), StatusIs(StatusCode::kInvalidArgument, HasSubstr("no rows")));
  EXPECT_THAT(Open(""), StatusIs(StatusCode::kInvalidArgument, HasSubstr("is empty")));
}

TEST_F(CsvSourceTest, FieldLongerThanTheLimitIsRefused) {
  EXPECT_THAT(Read("a,y\n" + std::string((1 << 20) + 1, '1') + ",0\n"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("longer than")));
}

TEST_F(CsvSourceTest, MissingFileIsNamed) {
  EXPECT_THAT(OpenCsv(path_, columns_), StatusIs(StatusCode::kNotFound, HasSubstr(path_)));
  EXPECT_THAT(OpenCsv(folder_.path(), columns_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("not a file")));
}

}  // namespace
}  // namespace skerry
