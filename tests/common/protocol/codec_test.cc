#include "common/protocol/codec.h"

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/protocol/limits.h"
#include "tests/support/status_matchers.h"

namespace skerry::protocol {
namespace {

using proto::Envelope;
using testing::HasSubstr;

absl::StatusOr<Envelope> RoundTrip(const Envelope& envelope) {
  const std::string bytes = Encode(envelope);
  return Decode(AsBytes(bytes.data(), bytes.size()));
}

Envelope ValidHello() {
  Envelope envelope;
  auto* hello = envelope.mutable_hello();
  hello->set_version_min(1);
  hello->set_version_max(3);
  hello->set_software("skerry 0.1");
  hello->set_process("site-a");
  return envelope;
}

TEST(CodecTest, MessageIsReadBack) {
  ASSERT_OK_AND_ASSIGN(const Envelope envelope, RoundTrip(ValidHello()));

  EXPECT_EQ(envelope.hello().process(), "site-a");
  EXPECT_EQ(envelope.hello().version_max(), 3u);
}

// The worked example of README.md, byte by byte: field 7 (node_failure), 11 bytes; inside it
// field 1 "n-1", field 2 = 2, field 3 = 1, field 4 = 41 (REJECT_REASON_DATA).
TEST(CodecTest, WorkedExampleOfTheReadmeIsPinned) {
  Envelope envelope;
  envelope.mutable_node_failure()->set_node("n-1");
  envelope.mutable_node_failure()->set_round(2);
  envelope.mutable_node_failure()->set_attempt(1);
  envelope.mutable_node_failure()->set_reason(proto::REJECT_REASON_DATA);

  EXPECT_EQ(Encode(envelope), std::string("\x3a\x0b\x0a\x03n-1\x10\x02\x18\x01\x20\x29", 13));
}

TEST(CodecTest, EmptyAndUnknownBodiesAreRefused) {
  EXPECT_THAT(Decode({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no body")));
  const std::string unknown("\xfa\x3e\x00", 3);  // field 1007, empty
  EXPECT_THAT(Decode(AsBytes(unknown.data(), unknown.size())),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(CodecTest, EnvelopeAboveTheLimitIsRefused) {
  const std::string bytes(kEnvelopeBytesMax + 1, '\0');
  EXPECT_THAT(Decode(AsBytes(bytes.data(), bytes.size())),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 1048576 bytes")));
}

TEST(CodecTest, EmptyVersionRangeIsRefused) {
  Envelope envelope = ValidHello();
  envelope.mutable_hello()->set_version_min(4);
  EXPECT_THAT(RoundTrip(envelope), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("version range 4..3 is empty")));
}

TEST(CodecTest, NodeIdsOutsideTheAlphabetAreRefused) {
  const std::vector<std::string> bad_ids = {"",    "a b",      "../x",
                                            "a\n", "\xc3\xa9", std::string(65, 'a')};
  for (const std::string& id : bad_ids) {
    Envelope envelope;
    envelope.mutable_upload_offer()->set_node(id);
    EXPECT_THAT(RoundTrip(envelope), StatusIs(absl::StatusCode::kInvalidArgument)) << id;
  }
  Envelope envelope;
  envelope.mutable_upload_offer()->set_node(std::string(64, 'a'));
  EXPECT_OK(RoundTrip(envelope));
}

TEST(CodecTest, SignaturesAndHashesMustHaveTheirLength) {
  Envelope join;
  auto* proof = join.mutable_join()->add_nodes();
  proof->set_node("a");
  proof->set_signature(std::string(63, 's'));
  EXPECT_THAT(RoundTrip(join), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64 bytes")));

  Envelope task;
  task.mutable_round_task()->set_model_sha256(std::string(31, 'h'));
  EXPECT_THAT(RoundTrip(task), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("32 bytes")));
}

TEST(CodecTest, TooManyNodesInOneMessageAreRefused) {
  Envelope envelope;
  for (int i = 0; i < kJoinNodesMax; ++i) envelope.mutable_progress()->add_nodes()->set_node("a");
  EXPECT_OK(RoundTrip(envelope));
  envelope.mutable_progress()->add_nodes()->set_node("a");
  EXPECT_THAT(RoundTrip(envelope), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(CodecTest, RandomBytesNeverGetThroughUnchecked) {
  Rng rng(1);
  const std::string valid = Encode(ValidHello());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = valid;
    const uint64_t flips = 1 + rng.Below(4);
    for (uint64_t k = 0; k < flips; ++k) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Below(256));
    }
    bytes.resize(rng.Below(bytes.size() + 1));
    const auto decoded = Decode(AsBytes(bytes.data(), bytes.size()));
    if (decoded.ok() && decoded->has_hello()) {
      EXPECT_LE(decoded->hello().version_min(), decoded->hello().version_max());
      EXPECT_LE(decoded->hello().process().size(), kNodeIdBytesMax);
    }
  }
}

TEST(CodecTest, EveryReasonHasItsOwnWords) {
  std::set<std::string> words;
  const auto* reasons = proto::RejectReason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    words.insert(Describe(static_cast<proto::RejectReason>(reasons->value(i)->number())));
  }
  EXPECT_EQ(words.size(), static_cast<size_t>(reasons->value_count()));
}

}  // namespace
}  // namespace skerry::protocol
