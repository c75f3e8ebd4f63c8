#include "agent/session/upload_sender.h"

#include <chrono>
#include <numeric>

#include "tests/support/memory_spool.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

constexpr uint64_t kInlineMax = 4;

class UploadSenderTest : public testing::Test {
 protected:
  UploadSenderTest()
      : sender(
            {.inline_bytes_max = kInlineMax, .memory_bytes_max = 100, .resend_after = seconds(5)},
            &spool) {
    sender.set_chunk_bytes(4);
  }

  void Add(uint32_t index, size_t size) {
    std::vector<uint8_t> bytes(size);
    std::iota(bytes.begin(), bytes.end(), uint8_t{0});
    ASSERT_OK(sender.Add(HostedIndex(index),
                         {.node = NodeId("n-" + std::to_string(index)),
                          .round = RoundId(3),
                          .attempt = AttemptId(1),
                          .content_id = 100u + index},
                         Frame::Own(std::move(bytes))));
  }
  void AddAndOffer(uint32_t index, size_t size) {
    Add(index, size);
    sender.Offer(HostedIndex(index));
  }
  absl::Status Grant(uint32_t index, uint64_t offset, uint64_t credit_until) {
    proto::UploadGrant grant;
    grant.set_node("n-" + std::to_string(index));
    grant.set_round(3);
    grant.set_content_id(100u + index);
    grant.set_offset(offset);
    grant.set_credit_until(credit_until);
    return sender.Grant(HostedIndex(index), grant, now);
  }
  // "n-0@8": the node and the offset of the next chunk, "n-0" for an offer, "" for nothing.
  std::string Pull() {
    const std::optional<BulkMessage> message = sender.Next(now);
    if (!message) return "";
    if (message->envelope.has_upload_offer()) return message->envelope.upload_offer().node();
    if (message->envelope.has_node_failure()) {
      return "failed " + message->envelope.node_failure().node();
    }
    const proto::UploadChunk& chunk = message->envelope.upload_chunk();
    EXPECT_EQ(message->raw->bytes().front(), chunk.offset());  // the bytes count from 0
    return chunk.node() + "@" + std::to_string(chunk.offset());
  }

  MemorySpool spool;
  UploadSender sender;
  Instant now{};
};

TEST_F(UploadSenderTest, ASmallUploadTravelsWithItsOffer) {
  AddAndOffer(0, kInlineMax);

  const std::optional<BulkMessage> offer = sender.Next(now);

  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(offer->envelope.upload_offer().node(), "n-0");
  EXPECT_EQ(offer->envelope.upload_offer().round(), 3u);
  EXPECT_EQ(offer->envelope.upload_offer().attempt(), 1u);
  EXPECT_EQ(offer->envelope.upload_offer().bytes(), kInlineMax);
  EXPECT_EQ(offer->envelope.upload_offer().content_id(), 100u);
  ASSERT_TRUE(offer->raw.has_value());
  EXPECT_THAT(offer->raw->bytes(), ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(sender.has_bulk());
}

TEST_F(UploadSenderTest, ALargerOneIsOfferedAloneAndSentWithinItsCredit) {
  AddAndOffer(0, 10);

  const std::optional<BulkMessage> offer = sender.Next(now);
  EXPECT_FALSE(offer->raw.has_value());
  EXPECT_EQ(Pull(), "");

  ASSERT_OK(Grant(0, 0, 8));
  EXPECT_EQ(Pull(), "n-0@0");
  EXPECT_EQ(Pull(), "n-0@4");
  EXPECT_EQ(Pull(), "");
  ASSERT_OK(Grant(0, 4, 10));
  EXPECT_EQ(Pull(), "n-0@8");
  EXPECT_EQ(Pull(), "");
}

TEST_F(UploadSenderTest, GrantedUploadsTakeTurns) {
  AddAndOffer(0, 8);
  AddAndOffer(1, 8);
  Pull();
  Pull();
  ASSERT_OK(Grant(0, 0, 8));
  ASSERT_OK(Grant(1, 0, 8));

  EXPECT_EQ(Pull(), "n-0@0");
  EXPECT_EQ(Pull(), "n-1@0");
  EXPECT_EQ(Pull(), "n-0@4");
  EXPECT_EQ(Pull(), "n-1@4");
  EXPECT_EQ(Pull(), "");
}

TEST_F(UploadSenderTest, AfterANewLinkItGoesOnWhereTheCoordinatorStands) {
  AddAndOffer(0, 12);
  Pull();
  ASSERT_OK(Grant(0, 0, 12));
  Pull();
  Pull();

  sender.LinkLost();
  EXPECT_FALSE(sender.has_bulk());
  EXPECT_TRUE(sender.is_held(HostedIndex(0)));
  EXPECT_THAT(Grant(0, 4, 12), StatusIs(absl::StatusCode::kNotFound));  // of the old link
  sender.Offer(HostedIndex(0));
  EXPECT_EQ(Pull(), "n-0");
  ASSERT_OK(Grant(0, 4, 12));

  EXPECT_EQ(Pull(), "n-0@4");
  EXPECT_EQ(Pull(), "n-0@8");
  EXPECT_EQ(Pull(), "");
}

TEST_F(UploadSenderTest, AGrantThatDoesNotFitChangesNothing) {
  AddAndOffer(0, 8);
  EXPECT_THAT(Grant(0, 0, 8), StatusIs(absl::StatusCode::kNotFound));  // not offered yet
  Pull();

  EXPECT_THAT(Grant(0, 0, 9), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(Grant(1, 0, 8), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Pull(), "");
  ASSERT_OK(Grant(0, 0, 4));
  Pull();
  EXPECT_THAT(Grant(0, 8, 8), StatusIs(absl::StatusCode::kOutOfRange));  // never sent
  EXPECT_EQ(Pull(), "");
}

TEST_F(UploadSenderTest, ARepeatedOrOvertakenGrantSendsNothingTwice) {
  AddAndOffer(0, 8);
  Pull();
  ASSERT_OK(Grant(0, 0, 8));
  EXPECT_EQ(Pull(), "n-0@0");
  EXPECT_EQ(Pull(), "n-0@4");

  ASSERT_OK(Grant(0, 0, 4));
  ASSERT_OK(Grant(0, 0, 8));

  EXPECT_EQ(Pull(), "");
}

TEST_F(UploadSenderTest, SilenceMakesEveryUnansweredUploadBeOfferedAgain) {
  AddAndOffer(0, 2);
  AddAndOffer(1, 8);
  AddAndOffer(2, 2);
  Pull();
  Pull();
  Pull();
  sender.Accept(HostedIndex(2), now);
  ASSERT_EQ(sender.NextDeadline(), now + seconds(5));

  now += seconds(5) - std::chrono::nanoseconds(1);
  sender.HandleDeadline(now);
  EXPECT_EQ(Pull(), "");
  now += std::chrono::nanoseconds(1);
  sender.HandleDeadline(now);

  EXPECT_EQ(Pull(), "n-0");
  EXPECT_EQ(Pull(), "n-1");
  EXPECT_EQ(Pull(), "");
  EXPECT_EQ(sender.NextDeadline(), now + seconds(5));
}

TEST_F(UploadSenderTest, AnAnswerToOneUploadIsASignOfLifeForAll) {
  AddAndOffer(0, 2);
  AddAndOffer(1, 2);
  Pull();
  Pull();

  now += seconds(4);
  sender.Accept(HostedIndex(0), now);

  EXPECT_EQ(sender.NextDeadline(), now + seconds(5));
}

TEST_F(UploadSenderTest, WhileTheSocketIsBusyNothingIsRepeated) {
  AddAndOffer(0, 2);
  AddAndOffer(1, 2);
  Pull();

  EXPECT_EQ(sender.NextDeadline(), std::nullopt);
}

TEST_F(UploadSenderTest, AnAcceptedOrRefusedUploadIsKeptAndOfferedAgainOnlyWhenAsked) {
  AddAndOffer(0, 2);
  AddAndOffer(1, 2);
  Pull();
  Pull();
  sender.Accept(HostedIndex(0), now);
  sender.Refuse(HostedIndex(1), now);
  EXPECT_EQ(sender.NextDeadline(), std::nullopt);
  sender.LinkLost();
  EXPECT_FALSE(sender.is_held(HostedIndex(0)));

  sender.Offer(HostedIndex(0));
  sender.Offer(HostedIndex(1));

  EXPECT_EQ(Pull(), "n-0");
  EXPECT_EQ(Pull(), "n-1");
}

TEST_F(UploadSenderTest, AnOfferAlreadyUnderWayIsNotRepeated) {
  AddAndOffer(0, 8);
  sender.Offer(HostedIndex(0));
  EXPECT_EQ(Pull(), "n-0");
  sender.Offer(HostedIndex(0));
  ASSERT_OK(Grant(0, 0, 4));
  sender.Offer(HostedIndex(0));

  EXPECT_EQ(Pull(), "n-0@0");
  EXPECT_EQ(Pull(), "");
}

TEST_F(UploadSenderTest, ADroppedUploadIsNoLongerSent) {
  AddAndOffer(0, 8);
  AddAndOffer(1, 8);
  Pull();
  ASSERT_OK(Grant(0, 0, 8));

  sender.Drop(HostedIndex(0));
  sender.Drop(HostedIndex(1));

  EXPECT_EQ(Pull(), "");
  EXPECT_EQ(sender.NextDeadline(), std::nullopt);
}

TEST_F(UploadSenderTest, ABrokenSpoolCostsTheNodeItsRound) {
  Add(0, 100);  // fills the memory
  AddAndOffer(1, 8);
  Pull();
  ASSERT_OK(Grant(1, 0, 8));
  AddAndOffer(2, 2);
  spool.is_broken = true;

  EXPECT_EQ(Pull(), "failed n-2");
  EXPECT_EQ(Pull(), "failed n-1");
  EXPECT_EQ(Pull(), "");
  EXPECT_FALSE(sender.Has(HostedIndex(1)));
}

}  // namespace
}  // namespace skerry
