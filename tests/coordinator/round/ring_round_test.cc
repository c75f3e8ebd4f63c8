// Rounds whose masks go along a sparse graph: what comes between the keys and the shares.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/round/masked_run.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int kNodes = 80;

class RingRoundTest : public testing::Test {
 protected:
  RingRoundTest() : run_(FreshRun(), kNodes) {}

  // All keys are there; the lists of members that were sent.
  std::vector<OutgoingMessage> RunToRoster() {
    std::vector<int> all;
    for (int i = 1; i <= kNodes; ++i) all.push_back(i);
    run_.StartWith(all);
    Outbox out;
    for (const int i : all) out = run_.Advertise(i);
    std::vector<OutgoingMessage> rosters;
    for (const OutgoingMessage& message : out.send) {
      if (message.envelope.has_key_roster()) rosters.push_back(message);
    }
    return rosters;
  }
  SecAggServer::Stage stage() const { return run_.driver.machine.data().secagg->stage(); }
  uint32_t attempt() const { return run_.driver.machine.data().attempt.value(); }

  MaskedRun run_;
};

TEST_F(RingRoundTest, NoncesAreHandedOnWhenTheLastHasComeAndAreDurableThen) {
  const std::vector<OutgoingMessage> rosters = RunToRoster();
  ASSERT_THAT(rosters, SizeIs(kNodes));
  ASSERT_EQ(stage(), SecAggServer::Stage::kRing);
  EXPECT_THAT(run_.driver.machine.WaitingFor(run_.driver.now), HasSubstr("nonces (0 of 80)"));
  Outbox out;
  for (int i = 0; i + 1 < kNodes; ++i) {
    out = run_.Reveal(rosters[static_cast<size_t>(i)]);
    EXPECT_TRUE(out.send.empty());
  }

  out = run_.Reveal(rosters.back());

  EXPECT_EQ(stage(), SecAggServer::Stage::kShares);
  ASSERT_THAT(Pick<SessionStored>(out.persist), SizeIs(1));
  EXPECT_EQ(Pick<SessionStored>(out.persist)[0].state.ring().nonces().size(), kNodes * 32u);
  ASSERT_THAT(out.send, SizeIs(kNodes));
  for (const OutgoingMessage& message : out.send) {
    EXPECT_TRUE(message.envelope.has_ring_nonces());
  }
}

TEST_F(RingRoundTest, NodesThatComeBackTogetherGetTheRingOnce) {
  for (const OutgoingMessage& roster : RunToRoster()) run_.Reveal(roster);
  ASSERT_EQ(stage(), SecAggServer::Stage::kShares);

  Outbox back;
  for (int i = 1; i <= 10; ++i) {
    run_.driver.machine.Handle(NodeJoined{Node(i), Peer(kNodes + 1)}, run_.driver.now, back);
  }

  ASSERT_THAT(back.send, SizeIs(3));
  EXPECT_EQ(back.send[0].envelope.round_task().nodes_size(), 10);
  EXPECT_TRUE(back.send[1].envelope.has_key_roster());
  EXPECT_TRUE(back.send[2].envelope.has_ring_nonces());
}

// It could be the one that did not like the ring it saw coming.
TEST_F(RingRoundTest, ANodeThatWithholdsItsNonceCostsTheAttempt) {
  const std::vector<OutgoingMessage> rosters = RunToRoster();
  for (size_t i = 0; i + 1 < rosters.size(); ++i) run_.Reveal(rosters[i]);

  run_.driver.now += seconds(30);
  const Outbox out = run_.driver.Deadline();

  EXPECT_EQ(attempt(), 2u);
  EXPECT_EQ(stage(), SecAggServer::Stage::kKeys);
  ASSERT_THAT(Pick<RoundStarted>(out.persist), SizeIs(1));
  EXPECT_EQ(Pick<RoundStarted>(out.persist)[0].attempt, AttemptId(2));
  EXPECT_THAT(Pick<EventRecorded>(out.persist),
              Contains(testing::Field(&EventRecorded::detail,
                                      HasSubstr("ring cannot be drawn without the nonce of"))));
}

TEST_F(RingRoundTest, ANonceIsNotMissedAnyMoreOnceItWasShown) {
  const std::vector<OutgoingMessage> rosters = RunToRoster();
  run_.Reveal(rosters[0]);
  const int node = static_cast<int>(rosters[0].peer.value());

  proto::Envelope failure;
  failure.mutable_node_failure()->set_node(Node(node).value());
  failure.mutable_node_failure()->set_round(run_.driver.round());
  failure.mutable_node_failure()->set_attempt(1);
  failure.mutable_node_failure()->set_reason(proto::REJECT_REASON_INTERNAL);
  run_.driver.Say(Peer(node), failure);

  EXPECT_EQ(attempt(), 1u);
  EXPECT_EQ(run_.driver.PartOf(node), Participation::kFailed);
}

TEST_F(RingRoundTest, ARestartAsksForTheNoncesAgain) {
  std::vector<OutgoingMessage> rosters = RunToRoster();
  const proto::SessionState state = run_.driver.machine.data().secagg->state();
  RestoredRun restored = FreshRun();
  RoundStarted open{.round = RoundId(1), .attempt = AttemptId(1), .invited = RosterOf(kNodes)};
  restored.open_round = open;
  restored.session = state;
  MaskedRun again(restored, kNodes);
  again.clients = std::move(run_.clients);
  again.driver.Start();

  Outbox out;
  size_t answered = 0;
  for (int i = 1; i <= kNodes; ++i) {
    for (const OutgoingMessage& message : again.driver.Join(i).send) {
      if (!message.envelope.has_key_roster()) continue;
      out = again.Reveal(message);
      ++answered;
    }
  }

  EXPECT_EQ(answered, static_cast<size_t>(kNodes));
  EXPECT_EQ(again.driver.machine.data().secagg->stage(), SecAggServer::Stage::kShares);
}

}  // namespace
}  // namespace skerry
