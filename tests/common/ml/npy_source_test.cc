#include <cstdint>
#include <limits>

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

class NpySourceTest : public testing::Test {
 protected:
  struct Content {
    LabelledRows labelled;
    std::vector<float> features;
    std::vector<int64_t> shape;
  };
  absl::StatusOr<Content> Read(const std::string& x, const std::string& y,
                               const LabelSpec& spec = kTwoClasses,
                               const std::vector<uint32_t>& rows = {0, 2}) {
    WriteBytes(paths_.features, x);
    WriteBytes(paths_.labels, y);
    auto source = OpenNpy(paths_);
    if (!source.ok()) return source.status();
    auto labelled = (*source)->ReadLabels(spec);
    if (!labelled.ok()) return labelled.status();
    auto features = (*source)->ReadRows(rows);
    if (!features.ok()) return features.status();
    return Content{*std::move(labelled), std::get<std::vector<float>>(*features),
                   (*source)->example_shape()};
  }

  const std::string good_x_ = NpyBytes<float>("<f4", "(3, 2)", {1, 2, 3, 4, 5, 6});
  const std::string good_y_ = NpyBytes<int64_t>("<i8", "(3,)", {0, 1, 0});
  TemporaryDirectory folder_;
  NpyPaths paths_ = {.features = folder_ / "x.npy", .labels = folder_ / "y.npy"};
};

TEST_F(NpySourceTest, ChosenRowsAndAllLabelsAreRead) {
  ASSERT_OK_AND_ASSIGN(const Content content, Read(good_x_, good_y_));

  EXPECT_THAT(content.shape, ElementsAre(2));
  EXPECT_THAT(content.features, ElementsAre(1.0f, 2.0f, 5.0f, 6.0f));
  EXPECT_THAT(content.labelled.labels.classes(), ElementsAre(0, 1, 0));
}

TEST_F(NpySourceTest, EveryElementTypeAndVersionIsRead) {
  const std::vector<std::string> features = {
      NpyBytes<double>("<f8", "(3, 2)", {1, 2, 3, 4, 5, 6}),
      NpyBytes<uint8_t>("|u1", "(3, 2)", {1, 2, 3, 4, 5, 6}, 2),
      NpyBytes<int32_t>("<i4", "(3, 2)", {1, 2, 3, 4, 5, 6}, 3),
      NpyBytes<int64_t>("<i8", "(3, 2)", {1, 2, 3, 4, 5, 6})};

  for (const std::string& x : features) {
    ASSERT_OK_AND_ASSIGN(const Content content, Read(x, good_y_));
    EXPECT_THAT(content.features, ElementsAre(1.0f, 2.0f, 5.0f, 6.0f));
  }
}

TEST_F(NpySourceTest, RowsMayHaveSeveralDimensionsAndTargets) {
  const LabelSpec two_targets = {.loss = LossName::kMse, .output_count = 2};
  ASSERT_OK_AND_ASSIGN(
      const Content content,
      Read(NpyBytes<float>("<f4", "(3, 1, 2, 1)", {1, 2, 3, 4, 5, 6}),
           NpyBytes<double>("<f8", "(3, 2)", {.1, .2, .3, .4, .5, .6}), two_targets));

  EXPECT_THAT(content.shape, ElementsAre(1, 2, 1));
  EXPECT_THAT(content.labelled.labels.targets(), ElementsAre(.1f, .2f, .3f, .4f, .5f, .6f));
}

TEST_F(NpySourceTest, EveryTruncationIsAnErrorAndSoIsExcess) {
  for (size_t size = 0; size < good_x_.size(); ++size) {
    EXPECT_FALSE(Read(good_x_.substr(0, size), good_y_).ok()) << size;
  }
  for (size_t size = 0; size < good_y_.size(); ++size) {
    EXPECT_FALSE(Read(good_x_, good_y_.substr(0, size)).ok()) << size;
  }
  EXPECT_THAT(Read(good_x_ + "x", good_y_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("longer than its header")));
}

TEST_F(NpySourceTest, ValueThatIsNotFiniteIsNamedWithItsRow) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(
      Read(NpyBytes<float>("<f4", "(3, 2)", {1, 2, 3, 4, 5, nan}), good_y_),
      StatusIs(StatusCode::kInvalidArgument,
               AllOf(HasSubstr(paths_.features), HasSubstr("row 2"), HasSubstr("value 1"))));
  EXPECT_THAT(Read(NpyBytes<double>("<f8", "(3, 2)", {1e300, 2, 3, 4, 5, 6}), good_y_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("row 0")));
}

TEST_F(NpySourceTest, LabelOutOfRangeIsNamedWithItsRow) {
  EXPECT_THAT(Read(good_x_, NpyBytes<int64_t>("<i8", "(3,)", {0, 1, 2})),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(paths_.labels), HasSubstr("row 2"), HasSubstr("got 2"))));
  EXPECT_THAT(Read(good_x_, NpyBytes<int64_t>("<i8", "(3, 2)", {0, 1, 0, 1, 0, 1})),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("expected 1 label values")));
}

TEST_F(NpySourceTest, UnreadableHeadersSayWhatToDo) {
  const std::vector<float> six(6);
  const auto refused = [&](const std::string& x, const std::string& reason) {
    EXPECT_THAT(Read(x, good_y_), StatusIs(StatusCode::kInvalidArgument, HasSubstr(reason)));
  };
  refused(NpyBytes<float>(">f4", "(3, 2)", six), "type >f4");
  refused(NpyBytes<float>("<f4", "(3, 2)", six, 1, "True"), "C order");
  refused(NpyBytes<float>("<f4", "()", six), "no shape");
  refused(NpyBytes<float>("<f4", "(3, -2)", six), "no shape");
  refused(NpyBytes<float>("<f4", "(3, 0)", six), "dimension 1");
  refused(NpyBytes<float>("<f4", "(3, 2)", six, 4), "version 4");
  refused(NpyBytes<float>("<f4", "(3, 2)", six, 255), "version 255");
  refused("PK\x03\x04 an archive of numpy.savez", "numpy.save");
  EXPECT_THAT(Read(NpyBytes<float>("<f4", "(999999999, 4096)", six), good_y_),
              StatusIs(StatusCode::kDataLoss, HasSubstr("truncated")));
  EXPECT_THAT(Read(good_x_, NpyBytes<int64_t>("<i8", "(2,)", {0, 1})),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("do not belong together")));
}

}  // namespace
}  // namespace skerry
