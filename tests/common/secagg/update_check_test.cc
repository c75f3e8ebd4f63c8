#include <vector>

#include "common/base/rng.h"
#include "common/secagg/fixed_point.h"
#include "common/secagg/rounding_key.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class CheckUpdateTest : public testing::Test {
 protected:
  // The largest weight, clamped count and metrics that an honest node sends.
  std::vector<RingElement> HonestUpdate() const {
    std::vector<RingElement> update(encoding_.layout().size());
    const std::vector<float> delta = {9.0f, -9.0f, 0.25f, 9.0f};
    EXPECT_OK(EncodeUpdate(
        encoding_, {.delta = delta, .example_count = 1000, .metrics = MetricSums{1000, 1000, 1e30}},
        RoundingKey(1, NodeId("n"), RoundId(1)), update));
    return update;
  }

  const UpdateEncoding encoding_ =
      *UpdateEncoding::Create({4, true}, {.node_count_max = 15, .range = 8.0, .weight_cap = 100});
  const RingElement parameter_max_ = 1u << 27;
};

TEST_F(CheckUpdateTest, HonestUpdatesAtEveryLimitPass) {
  EXPECT_OK(CheckUpdate(encoding_, HonestUpdate()));
}

TEST_F(CheckUpdateTest, AParameterBeyondTheRangeIsRefusedOnBothSides) {
  for (const RingElement bad :
       {parameter_max_ + 1, 0u - parameter_max_ - 1, 0x7fffffffu, 0x80000000u}) {
    std::vector<RingElement> update = HonestUpdate();
    update[3] = bad;
    EXPECT_THAT(CheckUpdate(encoding_, update), StatusIs(kInvalid, HasSubstr("outside"))) << bad;
  }
}

TEST_F(CheckUpdateTest, EveryCountBeyondItsLimitOrNegativeIsRefused) {
  const RingElement loss_part = 1u << encoding_.loss_part_bits();
  // Weight, clamped, examples, correct, loss low and high.
  const std::vector<RingElement> too_large = {101, 5, 101, 101, loss_part, loss_part};
  for (size_t i = 0; i < too_large.size(); ++i) {
    for (const RingElement bad : {too_large[i], ToRing(-1)}) {
      std::vector<RingElement> update = HonestUpdate();
      update[4 + i] = bad;
      EXPECT_THAT(CheckUpdate(encoding_, update),
                  StatusIs(kInvalid, HasSubstr("coordinate " + std::to_string(4 + i))));
    }
  }
}

TEST_F(CheckUpdateTest, AnotherLengthIsRefused) {
  std::vector<RingElement> update = HonestUpdate();
  update.push_back(0);
  EXPECT_THAT(CheckUpdate(encoding_, update), StatusIs(kInvalid, HasSubstr("expected 10")));
  EXPECT_THAT(CheckUpdate(encoding_, {}), StatusIs(kInvalid));
}

}  // namespace
}  // namespace skerry
