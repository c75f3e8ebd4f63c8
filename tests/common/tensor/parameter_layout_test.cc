#include "common/tensor/parameter_layout.h"

#include "common/tensor/parameter_vector.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(ParameterLayoutTest, TensorsLieOneAfterTheOther) {
  ASSERT_OK_AND_ASSIGN(const ParameterLayoutPtr layout,
                       ParameterLayout::Create({{"w", {2, 3}}, {"scale", {}}, {"b", {4}}}));

  EXPECT_EQ(layout->element_count(), 11u);
  EXPECT_EQ(layout->offset(0), 0u);
  EXPECT_EQ(layout->offset(1), 6u);
  EXPECT_EQ(layout->offset(2), 7u);
  EXPECT_EQ(ParameterVector(layout).tensor(2).size(), 4u);
}

TEST(ParameterLayoutTest, RepeatedAndEmptyNamesAreRefused) {
  EXPECT_THAT(ParameterLayout::Create({{"w", {2}}, {"w", {2}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("w appears twice")));
  EXPECT_THAT(ParameterLayout::Create({{"", {2}}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ParameterLayoutTest, SizesThatWouldOverflowAreRefused) {
  EXPECT_THAT(ParameterLayout::Create({{"w", {0}}}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParameterLayout::Create({{"w", {-1}}}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParameterLayout::Create({{"w", {int64_t{1} << 40, int64_t{1} << 40}}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParameterLayout::Create({{"a", {2'000'000'000}}, {"b", {2'000'000'000}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("parameters at most")));
}

TEST(ParameterLayoutTest, LayoutsAreEqualWhenNamesShapesAndOrderAre) {
  ASSERT_OK_AND_ASSIGN(const auto a, ParameterLayout::Create({{"w", {2, 3}}, {"b", {3}}}));
  ASSERT_OK_AND_ASSIGN(const auto same, ParameterLayout::Create({{"w", {2, 3}}, {"b", {3}}}));
  ASSERT_OK_AND_ASSIGN(const auto turned, ParameterLayout::Create({{"b", {3}}, {"w", {2, 3}}}));

  EXPECT_EQ(*a, *same);
  EXPECT_FALSE(*a == *turned);
}

}  // namespace
}  // namespace skerry
