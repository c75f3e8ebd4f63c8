#include "common/secagg/ring.h"

#include <vector>

#include "common/secagg/update_layout.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;

TEST(RingTest, SumsWrapAndAMaskLeavesNoTrace) {
  std::vector<RingElement> sum = {1, 0xffffffff, 0x80000000};
  AddInto(sum, std::vector<RingElement>{2, 1, 0x80000001});
  EXPECT_THAT(sum, ElementsAre(3, 0, 1));

  AddInto(sum, std::vector<RingElement>{0xdeadbeef, 5, 6});
  AddInto(sum, std::vector<RingElement>{0u - 0xdeadbeef, 0u - 5u, 0u - 6u});
  EXPECT_THAT(sum, ElementsAre(3, 0, 1));
}

TEST(RingTest, SignedReadingTurnsAtTwoToTheThirtyOne) {
  EXPECT_EQ(ToSigned(0x7fffffff), kRingSignedMax);
  EXPECT_EQ(ToSigned(0x80000000), -kRingSignedMax - 1);
  EXPECT_EQ(ToSigned(ToRing(-1)), -1);
}

TEST(RingDeathTest, DifferentLengthsAreOurMistake) {
  std::vector<RingElement> sum(2);
  EXPECT_DEATH(AddInto(sum, std::vector<RingElement>(3)), "assertion failed");
}

TEST(UpdateLayoutTest, CoordinatesFollowTheParametersWithoutGaps) {
  const UpdateLayout plain{.parameter_count = 10, .has_metrics = false};
  EXPECT_EQ(plain.weight_index(), 10u);
  EXPECT_EQ(plain.clamped_index(), 11u);
  EXPECT_EQ(plain.size(), 12u);

  const UpdateLayout with_metrics{.parameter_count = 10, .has_metrics = true};
  EXPECT_EQ(with_metrics.examples_index(), 12u);
  EXPECT_EQ(with_metrics.correct_index(), 13u);
  EXPECT_EQ(with_metrics.loss_low_index(), 14u);
  EXPECT_EQ(with_metrics.loss_high_index(), 15u);
  EXPECT_EQ(with_metrics.size(), 16u);
}

}  // namespace
}  // namespace skerry
