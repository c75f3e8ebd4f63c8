#include <cstdint>

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

constexpr LabelSpec kThreeClasses = {.loss = LossName::kCrossEntropy, .output_count = 3};

// Four images of 1 x 2 pixels, numbered through, with labels 0 1 2 1.
class IdxSourceTest : public testing::Test {
 protected:
  std::string Images() const { return IdxBytes({4, 1, 2}, {0, 1, 2, 3, 4, 5, 6, 7}); }
  std::string Labels() const { return IdxBytes({4}, {0, 1, 2, 1}); }

  absl::StatusOr<std::unique_ptr<RowSource>> Open(const std::string& images,
                                                  const std::string& labels) {
    WriteBytes(paths_.images, images);
    WriteBytes(paths_.labels, labels);
    return OpenIdx(paths_);
  }

  // What reading everything comes to.
  absl::Status ReadAll(const std::string& images, const std::string& labels) {
    const auto source = Open(images, labels);
    if (!source.ok()) return source.status();
    const auto labelled = (*source)->ReadLabels(kThreeClasses);
    if (!labelled.ok()) return labelled.status();
    const std::vector<uint32_t> rows = {0, 2};
    return (*source)->ReadRows(rows).status();
  }

  TemporaryDirectory folder_;
  IdxPaths paths_ = {.images = folder_ / "train-images-idx3-ubyte",
                     .labels = folder_ / "train-labels-idx1-ubyte"};
};

TEST_F(IdxSourceTest, ChosenRowsAndAllLabelsAreRead) {
  ASSERT_OK_AND_ASSIGN(const auto source, Open(Images(), Labels()));
  ASSERT_OK_AND_ASSIGN(const LabelledRows labelled, source->ReadLabels(kThreeClasses));
  const std::vector<uint32_t> rows = {0, 2, 3};
  ASSERT_OK_AND_ASSIGN(const Features features, source->ReadRows(rows));

  EXPECT_THAT(source->example_shape(), ElementsAre(1, 1, 2));
  EXPECT_THAT(labelled.labels.classes(), ElementsAre(0, 1, 2, 1));
  EXPECT_THAT(std::get<std::vector<uint8_t>>(features), ElementsAre(0, 1, 4, 5, 6, 7));
}

TEST_F(IdxSourceTest, CompressedFilesReadLikePlainOnes) {
  paths_ = {.images = folder_ / "train-images-idx3-ubyte.gz",
            .labels = folder_ / "train-labels-idx1-ubyte.gz"};
  WriteGzip(paths_.images, Images());
  WriteGzip(paths_.labels, Labels());
  ASSERT_OK_AND_ASSIGN(const IdxPaths found, FindIdx(folder_.path(), "train"));
  ASSERT_OK_AND_ASSIGN(const auto source, OpenIdx(found));
  ASSERT_OK_AND_ASSIGN(const LabelledRows labelled, source->ReadLabels(kThreeClasses));
  const std::vector<uint32_t> rows = {1};
  ASSERT_OK_AND_ASSIGN(const Features features, source->ReadRows(rows));

  EXPECT_THAT(labelled.labels.classes(), ElementsAre(0, 1, 2, 1));
  EXPECT_THAT(std::get<std::vector<uint8_t>>(features), ElementsAre(2, 3));
}

TEST_F(IdxSourceTest, EveryTruncationIsAnError) {
  for (size_t size = 0; size < Images().size(); ++size) {
    EXPECT_FALSE(ReadAll(Images().substr(0, size), Labels()).ok()) << size;
  }
  for (size_t size = 0; size < Labels().size(); ++size) {
    EXPECT_FALSE(ReadAll(Images(), Labels().substr(0, size)).ok()) << size;
  }
  EXPECT_OK(ReadAll(Images(), Labels()));
}

TEST_F(IdxSourceTest, CompressedFileWithTooFewRowsInsideIsTruncated) {
  paths_ = {.images = folder_ / "images.gz", .labels = folder_ / "labels"};
  WriteBytes(paths_.labels, Labels());
  WriteGzip(paths_.images, Images().substr(0, Images().size() - 1));
  ASSERT_OK_AND_ASSIGN(const auto source, OpenIdx(paths_));

  for (const std::vector<uint32_t>& rows :
       {std::vector<uint32_t>{3}, std::vector<uint32_t>{0}, std::vector<uint32_t>{}}) {
    EXPECT_THAT(
        source->ReadRows(rows),
        StatusIs(StatusCode::kDataLoss, AllOf(HasSubstr(paths_.images), HasSubstr("truncated"))));
  }
}

TEST_F(IdxSourceTest, CutOffCompressedFileIsDamaged) {
  paths_ = {.images = folder_ / "images.gz", .labels = folder_ / "labels"};
  WriteBytes(paths_.labels, Labels());
  WriteGzip(folder_ / "whole.gz", Images());
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(folder_ / "whole.gz", 1 << 20));
  WriteBytes(paths_.images, whole.substr(0, whole.size() - 6));  // within the checksum
  ASSERT_OK_AND_ASSIGN(const auto source, OpenIdx(paths_));
  const std::vector<uint32_t> rows = {0};

  EXPECT_THAT(source->ReadRows(rows),
              StatusIs(StatusCode::kDataLoss, HasSubstr("damaged or cut off")));
}

TEST_F(IdxSourceTest, TrailingBytesAreRefused) {
  EXPECT_THAT(ReadAll(Images() + "x", Labels()),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(paths_.images), HasSubstr("longer than its header"))));
  EXPECT_THAT(ReadAll(Images(), Labels() + "x"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(paths_.labels)));
}

TEST_F(IdxSourceTest, LabelOutOfRangeIsNamedWithItsRow) {
  EXPECT_THAT(
      ReadAll(Images(), IdxBytes({4}, {0, 1, 3, 1})),
      StatusIs(StatusCode::kInvalidArgument, AllOf(HasSubstr(paths_.labels), HasSubstr("row 2"),
                                                   HasSubstr("0 to 2"), HasSubstr("got 3"))));
}

TEST_F(IdxSourceTest, CountsOfImagesAndLabelsMustAgree) {
  EXPECT_THAT(ReadAll(Images(), IdxBytes({3}, {0, 1, 2})),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("has 4 rows"), HasSubstr("3 labels"))));
}

TEST_F(IdxSourceTest, SwappedFilesAndForeignFilesAreRefused) {
  EXPECT_THAT(ReadAll(Labels(), Images()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("swapped")));
  EXPECT_THAT(ReadAll("PNG\r\n and more", Labels()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("not an IDX file")));
  std::string floats = Images();
  floats[2] = 0x0d;
  EXPECT_THAT(ReadAll(floats, Labels()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("type 0x0d")));
}

TEST_F(IdxSourceTest, HugeCountInTheHeaderIsRefusedBeforeAllocating) {
  EXPECT_THAT(ReadAll(IdxBytes({1'000'000'000, 4096, 4096}, {0}), Labels()),
              StatusIs(StatusCode::kDataLoss, HasSubstr("truncated")));
  EXPECT_THAT(ReadAll(IdxBytes({4, 65'536, 65'536}, {0}), Labels()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("dimension 2")));
  EXPECT_THAT(ReadAll(IdxBytes({0, 1, 2}, {}), Labels()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("dimension 0")));
}

TEST_F(IdxSourceTest, MissingFilesAreNamed) {
  EXPECT_THAT(FindIdx(folder_.path(), "train"),
              StatusIs(StatusCode::kNotFound,
                       AllOf(HasSubstr(folder_.path()), HasSubstr("train-images-idx3-ubyte"))));
  WriteBytes(folder_ / "train-images.idx3-ubyte", Images());
  EXPECT_THAT(FindIdx(folder_.path(), "train"),
              StatusIs(StatusCode::kNotFound, HasSubstr("train-labels-idx1-ubyte")));
  EXPECT_THAT(OpenIdx(paths_), StatusIs(StatusCode::kNotFound, HasSubstr(paths_.images)));
}

}  // namespace
}  // namespace skerry
