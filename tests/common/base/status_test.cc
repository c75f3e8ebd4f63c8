#include "common/base/status.h"

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}

absl::StatusOr<int> Quarter(int number) {
  SKERRY_ASSIGN_OR_RETURN(const int half, Half(number));
  SKERRY_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

TEST(StatusTest, AssignOrReturnPassesValuesAndErrorsOn) {
  ASSERT_OK_AND_ASSIGN(const int quarter, Quarter(12));
  EXPECT_EQ(quarter, 3);
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument, "odd"));
}

TEST(StatusTest, AnnotateKeepsTheCodeAndPutsTheContextFirst) {
  EXPECT_THAT(Annotate(absl::NotFoundError("no such row"), "data.csv"),
              StatusIs(absl::StatusCode::kNotFound, "data.csv: no such row"));
  EXPECT_OK(Annotate(absl::OkStatus(), "data.csv"));
}

TEST(StatusDeathTest, FailedAssertionNamesTheConditionAndEndsTheProcess) {
  EXPECT_DEATH(SKERRY_ASSERT(1 + 1 == 3), "assertion failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace skerry
