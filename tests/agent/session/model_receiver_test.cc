#include "agent/session/model_receiver.h"

#include <numeric>

#include "common/base/bytes.h"
#include "tests/support/small_job.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

constexpr uint64_t kWindow = 16;

std::vector<float> SomeModel() {
  std::vector<float> values(8);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

ModelReceiver MakeReceiver() {
  return ModelReceiver({.version = ModelVersion(3), .sha256 = "digest"},
                       std::make_shared<ParameterVector>(SmallLayout(8)), kWindow);
}

TEST(ModelReceiverTest, AsksForAWindowAndForMoreWhenHalfOfItHasCome) {
  const std::vector<float> model = SomeModel();
  const std::span<const uint8_t> bytes = AsBytes(std::span<const float>(model));
  ModelReceiver receiver = MakeReceiver();

  const proto::ModelRequest first = receiver.Request();
  ASSERT_OK(receiver.Write(0, bytes.subspan(0, 4)));
  const std::optional<proto::ModelRequest> too_early = receiver.TakeCredit();
  ASSERT_OK(receiver.Write(4, bytes.subspan(4, 4)));
  const std::optional<proto::ModelRequest> more = receiver.TakeCredit();

  EXPECT_EQ(first.model_version(), 3u);
  EXPECT_EQ(first.offset(), 0u);
  EXPECT_EQ(first.credit_until(), kWindow);
  EXPECT_FALSE(too_early.has_value());
  ASSERT_TRUE(more.has_value());
  EXPECT_EQ(more->credit_until(), 24u);
}

TEST(ModelReceiverTest, ResumesWhereItStoodAndIgnoresRepeats) {
  const std::vector<float> model = SomeModel();
  const std::span<const uint8_t> bytes = AsBytes(std::span<const float>(model));
  ModelReceiver receiver = MakeReceiver();
  receiver.Request();
  ASSERT_OK(receiver.Write(0, bytes.subspan(0, 12)));

  const proto::ModelRequest resumed = receiver.Request();
  ASSERT_OK(receiver.Write(0, bytes.subspan(0, 12)));
  ASSERT_OK(receiver.Write(8, bytes.subspan(8, 16)));
  receiver.TakeCredit();
  ASSERT_OK(receiver.Write(24, bytes.subspan(24, 8)));

  EXPECT_EQ(resumed.offset(), 12u);
  EXPECT_TRUE(receiver.is_complete());
  EXPECT_FALSE(receiver.TakeCredit().has_value());
  const std::shared_ptr<ParameterVector> received = std::move(receiver).Take();
  EXPECT_THAT(received->values(), testing::ElementsAreArray(model));
}

TEST(ModelReceiverTest, AGapAndBytesPastTheEndChangeNothing) {
  ModelReceiver receiver = MakeReceiver();
  receiver.Request();
  const std::vector<uint8_t> bytes(8);

  EXPECT_THAT(receiver.Write(4, bytes), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(receiver.Write(28, bytes), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(receiver.Request().offset(), 0u);
}

}  // namespace
}  // namespace skerry
