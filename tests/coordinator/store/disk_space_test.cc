#include "coordinator/store/disk_space.h"

#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(DiskSpaceTest, ARoundNeedsRoomForAFewVectorsAndGrowsWithTheModel) {
  JobConfig job;
  const uint64_t small = RoundBytes(job, 1'000'000);
  EXPECT_GE(small, 7u * 4'000'000);  // model, two moments, two sums, two uploads
  EXPECT_LT(small, 10u * 4'000'000);
  EXPECT_EQ(RoundBytes(job, 2'000'000) - small, 7u * 4'000'000);
}

TEST(DiskSpaceTest, TooLittleIsRefusedWithBothNumbers) {
  const TemporaryDirectory folder;
  EXPECT_OK(CheckDiskSpace(folder.path(), 1));
  EXPECT_THAT(CheckDiskSpace(folder.path(), std::numeric_limits<uint64_t>::max()),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       testing::AllOf(HasSubstr("MB free"), HasSubstr("18446744073709.6 MB"),
                                      HasSubstr("make room"))));
  EXPECT_THAT(CheckDiskSpace(folder.path() + "/none", 1),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("none")));
}

}  // namespace
}  // namespace skerry
