#include "coordinator/membership/membership.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tests/support/fake_roster.h"
#include "tests/support/scripted_random.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const ProcessName kNorth("north");
const ProcessName kSouth("south");
const ProcessName kIpc("");  // nothing authenticated
const PeerId kPeer(1);
const PeerId kOther(2);
using Processes = std::map<ProcessName, std::string>;
using Nodes = std::map<NodeId, FakeRoster::Node>;

Processes TwoProcesses() { return {{kNorth, "k1"}, {kSouth, "k2"}}; }
Nodes ThreeNodes() {
  return {{NodeId("a"), {kNorth}}, {NodeId("b"), {kNorth}}, {NodeId("c"), {kSouth}}};
}

class MembershipTest : public testing::Test {
 protected:
  MembershipTest()
      : membership_({.run_id = RunId(std::string(32, '7')),
                     .job_yaml = "version: 1\n",
                     .layout = *ParameterLayout::Create({{"w", {2, 3}}, {"s", {}}})},
                    std::make_shared<FakeRoster>(TwoProcesses(), ThreeNodes()), random_) {}

  MembershipOutbox Send(PeerId peer, const proto::Envelope& message,
                        const ProcessName& authenticated = kIpc) {
    MembershipOutbox out;
    last_route_ = membership_.HandleMessage(peer, authenticated, message, now_, out);
    return out;
  }

  MembershipOutbox Hello(PeerId peer, const ProcessName& process,
                         const ProcessName& authenticated = kIpc) {
    proto::Envelope message;
    message.mutable_hello()->set_version_min(1);
    message.mutable_hello()->set_version_max(1);
    message.mutable_hello()->set_process(process.value());
    MembershipOutbox out = Send(peer, message, authenticated);
    for (const OutgoingMessage& sent : out.send) {
      if (sent.envelope.has_welcome()) nonces_[sent.peer] = sent.envelope.welcome().nonce();
    }
    return out;
  }

  MembershipOutbox Join(PeerId peer, const ProcessName& process,
                        const std::vector<std::string>& nodes) {
    proto::Envelope message;
    for (const std::string& node : nodes) {
      proto::NodeProof& proof = *message.mutable_join()->add_nodes();
      proof.set_node(node);
      proof.set_signature(FakeRoster::Sign(NodeId(node), process, nonces_[peer]));
    }
    return Send(peer, message);
  }

  MembershipOutbox Leave(PeerId peer, const std::vector<std::string>& nodes) {
    proto::Envelope message;
    message.mutable_leave();
    for (const std::string& node : nodes) message.mutable_leave()->add_nodes(node);
    return Send(peer, message);
  }

  SeededRandom random_{1};
  Instant now_{};
  Membership membership_;
  Membership::Route last_route_ = Membership::Route::kDone;
  std::map<PeerId, std::string> nonces_;
};

// "joined a 1", "left b": what the round machine is told.
std::vector<std::string> Told(const MembershipOutbox& out) {
  std::vector<std::string> told;
  for (const Input& input : out.round) {
    if (const auto* joined = std::get_if<NodeJoined>(&input)) {
      told.push_back(fmt::format("joined {} {}", joined->node.value(), joined->peer.value()));
    } else if (const auto* left = std::get_if<NodeLeft>(&input)) {
      told.push_back(fmt::format("left {}", left->node.value()));
    } else if (const auto* roster = std::get_if<RosterChanged>(&input)) {
      told.push_back(fmt::format("roster {}", roster->nodes.size()));
    }
  }
  return told;
}

std::vector<proto::RejectReason> Verdicts(const OutgoingMessage& message) {
  std::vector<proto::RejectReason> reasons;
  for (const auto& verdict : message.envelope.join_result().nodes()) {
    reasons.push_back(verdict.reason());
  }
  return reasons;
}

proto::Envelope Ping() {
  proto::Envelope message;
  message.mutable_ping();
  return message;
}

TEST_F(MembershipTest, WelcomeCarriesVersionJobLayoutAndAFreshNonce) {
  const MembershipOutbox out = Hello(kPeer, kNorth);
  const MembershipOutbox other = Hello(kOther, kSouth);

  ASSERT_THAT(out.send, SizeIs(1));
  const proto::Welcome& welcome = out.send[0].envelope.welcome();
  EXPECT_EQ(out.send[0].peer, kPeer);
  EXPECT_EQ(welcome.version(), 1u);
  EXPECT_EQ(welcome.run_id(), std::string(32, '7'));
  EXPECT_EQ(welcome.nonce().size(), 32u);
  EXPECT_EQ(welcome.job_yaml(), "version: 1\n");
  EXPECT_EQ(welcome.roster_size(), 3u);
  EXPECT_EQ(welcome.roster_hash(), std::string(32, 'h'));
  ASSERT_EQ(welcome.layout_size(), 2);
  EXPECT_EQ(welcome.layout(0).name(), "w");
  EXPECT_THAT(welcome.layout(0).sizes(), ElementsAre(2, 3));
  EXPECT_THAT(welcome.layout(1).sizes(), IsEmpty());
  EXPECT_NE(welcome.nonce(), other.send[0].envelope.welcome().nonce());
}

TEST_F(MembershipTest, RepeatedHelloIsAnsweredLikeTheFirst) {
  const MembershipOutbox first = Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a"});
  const MembershipOutbox again = Hello(kPeer, kNorth);

  ASSERT_THAT(again.send, SizeIs(1));
  EXPECT_EQ(again.send[0].envelope.SerializeAsString(), first.send[0].envelope.SerializeAsString());
  EXPECT_THAT(again.round, IsEmpty());
  EXPECT_THAT(again.forget, IsEmpty());
}

TEST_F(MembershipTest, VersionsWithoutOverlapAreRefusedNamingBothRanges) {
  proto::Envelope message;
  message.mutable_hello()->set_version_min(3);
  message.mutable_hello()->set_version_max(5);
  message.mutable_hello()->set_process("north");

  const MembershipOutbox out = Send(kPeer, message);

  ASSERT_THAT(out.send, SizeIs(1));
  EXPECT_EQ(out.send[0].envelope.refused().reason(), proto::REJECT_REASON_VERSION);
  EXPECT_THAT(out.send[0].envelope.refused().detail(), HasSubstr("1 to 1"));
  EXPECT_THAT(out.send[0].envelope.refused().detail(), HasSubstr("3 to 5"));
  EXPECT_THAT(out.forget, ElementsAre(kPeer));
  EXPECT_FALSE(membership_.IsWelcome(kPeer));
}

TEST_F(MembershipTest, ANewerAgentIsSpokenToInTheHighestCommonVersion) {
  proto::Envelope message;
  message.mutable_hello()->set_version_min(1);
  message.mutable_hello()->set_version_max(9);
  message.mutable_hello()->set_process("north");

  const MembershipOutbox out = Send(kPeer, message);

  EXPECT_EQ(out.send[0].envelope.welcome().version(), 1u);
}

TEST_F(MembershipTest, HelloMustNameTheProcessThatOwnsTheConnectionsKey) {
  const MembershipOutbox out = Hello(kPeer, kNorth, kSouth);

  EXPECT_EQ(out.send[0].envelope.refused().reason(), proto::REJECT_REASON_WRONG_PROCESS);
  EXPECT_THAT(out.forget, ElementsAre(kPeer));

  const MembershipOutbox right = Hello(kOther, kNorth, kNorth);
  EXPECT_TRUE(right.send[0].envelope.has_welcome());
}

TEST_F(MembershipTest, AProcessOutsideTheRosterIsRefused) {
  const MembershipOutbox out = Hello(kPeer, ProcessName("west"));

  EXPECT_EQ(out.send[0].envelope.refused().reason(), proto::REJECT_REASON_NOT_IN_ROSTER);
  EXPECT_THAT(out.forget, ElementsAre(kPeer));
}

TEST_F(MembershipTest, ASecondHelloUnderAnotherNameEndsTheConnection) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a"});
  const MembershipOutbox out = Hello(kPeer, kSouth);

  EXPECT_EQ(out.send[0].envelope.refused().reason(), proto::REJECT_REASON_MALFORMED);
  EXPECT_THAT(Told(out), ElementsAre("left a"));
  EXPECT_EQ(membership_.process_count(), 0u);
}

TEST_F(MembershipTest, EachProofGetsItsOwnVerdict) {
  Hello(kPeer, kNorth);
  proto::Envelope message;
  for (const std::string node : {"a", "c", "x", "b"}) {
    proto::NodeProof& proof = *message.mutable_join()->add_nodes();
    proof.set_node(node);
    proof.set_signature(FakeRoster::Sign(NodeId(node), kNorth, nonces_[kPeer]));
  }
  message.mutable_join()->mutable_nodes(3)->set_signature(std::string(64, 's'));

  const MembershipOutbox out = Send(kPeer, message);

  ASSERT_THAT(out.send, SizeIs(1));
  EXPECT_THAT(Verdicts(out.send[0]),
              ElementsAre(proto::REJECT_REASON_UNSPECIFIED, proto::REJECT_REASON_WRONG_PROCESS,
                          proto::REJECT_REASON_NOT_IN_ROSTER, proto::REJECT_REASON_BAD_SIGNATURE));
  EXPECT_THAT(Told(out), ElementsAre("joined a 1"));
  EXPECT_EQ(membership_.PeerOf(NodeId("a")), kPeer);
  EXPECT_EQ(membership_.PeerOf(NodeId("b")), std::nullopt);
  EXPECT_EQ(membership_.rejects().at(proto::REJECT_REASON_BAD_SIGNATURE), 1u);
}

TEST_F(MembershipTest, AProofMadeForAnotherConnectionIsRefused) {
  Hello(kPeer, kNorth);
  Hello(kOther, kSouth);
  nonces_[kOther] = nonces_[kPeer];

  const MembershipOutbox out = Join(kOther, kSouth, {"c"});

  EXPECT_THAT(Verdicts(out.send[0]), ElementsAre(proto::REJECT_REASON_BAD_SIGNATURE));
  EXPECT_THAT(out.round, IsEmpty());
}

TEST_F(MembershipTest, AProcessThatConnectsAgainReplacesItsOldConnection) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a", "b"});

  const MembershipOutbox hello = Hello(kOther, kNorth);
  const MembershipOutbox join = Join(kOther, kNorth, {"a", "b"});

  ASSERT_THAT(hello.send, SizeIs(2));
  EXPECT_EQ(hello.send[0].peer, kPeer);
  EXPECT_EQ(hello.send[0].envelope.refused().reason(), proto::REJECT_REASON_NODE_ELSEWHERE);
  EXPECT_EQ(hello.send[1].peer, kOther);
  EXPECT_TRUE(hello.send[1].envelope.has_welcome());
  EXPECT_THAT(hello.forget, ElementsAre(kPeer));
  EXPECT_THAT(Told(hello), ElementsAre("left a", "left b"));
  EXPECT_THAT(Told(join), ElementsAre("joined a 2", "joined b 2"));
  // The old connection's end is noticed late and concerns nobody any more.
  MembershipOutbox late;
  membership_.HandleGone(kPeer, "disconnected", late);
  EXPECT_THAT(late.round, IsEmpty());
  EXPECT_EQ(membership_.PeerOf(NodeId("a")), kOther);
}

TEST_F(MembershipTest, ANodeThatMovedToAnotherProcessLeavesTheOldConnection) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a"});
  Hello(kOther, kSouth);
  Nodes nodes = ThreeNodes();
  nodes[NodeId("a")].process = kSouth;
  MembershipOutbox moved;
  membership_.HandleRoster(std::make_shared<FakeRoster>(TwoProcesses(), nodes), moved);

  const MembershipOutbox out = Join(kOther, kSouth, {"a"});

  EXPECT_THAT(Told(moved), ElementsAre("left a", "roster 3"));
  EXPECT_THAT(Verdicts(moved.send[0]), ElementsAre(proto::REJECT_REASON_REVOKED));
  EXPECT_THAT(Told(out), ElementsAre("joined a 2"));
}

TEST_F(MembershipTest, ALostConnectionTakesItsNodesAlong) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"b", "a"});
  MembershipOutbox out;
  membership_.HandleGone(kPeer, "disconnected", out);

  EXPECT_THAT(Told(out), ElementsAre("left a", "left b"));
  EXPECT_EQ(std::get<NodeLeft>(out.round[0]).reason, "disconnected");
  EXPECT_EQ(membership_.node_count(), 0u);
  EXPECT_EQ(membership_.process_count(), 0u);
}

TEST_F(MembershipTest, LeaveNamesNodesOrMeansAll) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a", "b"});

  EXPECT_THAT(Told(Leave(kPeer, {"a", "c"})), ElementsAre("left a"));
  EXPECT_THAT(Told(Leave(kPeer, {"a"})), IsEmpty());
  EXPECT_THAT(Told(Leave(kPeer, {})), ElementsAre("left b"));
  EXPECT_TRUE(membership_.IsWelcome(kPeer));
  EXPECT_THAT(Told(Join(kPeer, kNorth, {"a"})), ElementsAre("joined a 1"));
}

TEST_F(MembershipTest, WhatComesBeforeHelloIsToldSoOnceAndTheConnectionKept) {
  const MembershipOutbox first = Send(kPeer, Ping());
  const MembershipOutbox second = Join(kPeer, kNorth, {"a"});

  ASSERT_THAT(first.send, SizeIs(1));
  EXPECT_EQ(first.send[0].envelope.refused().reason(), proto::REJECT_REASON_OUT_OF_PHASE);
  EXPECT_THAT(first.forget, IsEmpty());
  EXPECT_THAT(second.send, IsEmpty());
  EXPECT_THAT(second.round, IsEmpty());
  EXPECT_EQ(membership_.rejects().at(proto::REJECT_REASON_OUT_OF_PHASE), 2u);
  EXPECT_TRUE(Hello(kPeer, kNorth).send[0].envelope.has_welcome());
}

TEST_F(MembershipTest, APeerThatDoesNotSayHelloIsRefusedAfterTenSeconds) {
  Send(kPeer, Ping());
  now_ += seconds(5);
  Send(kOther, Ping());
  Hello(kOther, kNorth);
  EXPECT_EQ(membership_.NextDeadline(), Instant(seconds(10)));

  MembershipOutbox early;
  membership_.HandleDeadline(Instant(seconds(10)) - Duration(1), early);
  MembershipOutbox due;
  membership_.HandleDeadline(Instant(seconds(10)), due);
  MembershipOutbox later;
  membership_.HandleDeadline(Instant(seconds(15)), later);

  EXPECT_THAT(early.send, IsEmpty());
  ASSERT_THAT(due.send, SizeIs(1));
  EXPECT_EQ(due.send[0].peer, kPeer);
  EXPECT_THAT(due.send[0].envelope.refused().detail(), HasSubstr("10 s"));
  EXPECT_THAT(due.forget, ElementsAre(kPeer));
  EXPECT_THAT(later.send, IsEmpty());
  EXPECT_EQ(membership_.NextDeadline(), Instant(seconds(30))) << "the next look at silent peers";
}

TEST_F(MembershipTest, APingOfAWelcomedPeerIsAnswered) {
  Hello(kPeer, kNorth);

  const MembershipOutbox out = Send(kPeer, Ping());

  ASSERT_THAT(out.send, SizeIs(1));
  EXPECT_EQ(out.send[0].peer, kPeer);
  EXPECT_TRUE(out.send[0].envelope.has_ping());
}

TEST_F(MembershipTest, APeerThatSaysNothingForThreeLooksIsTurnedAwayAtTheFourth) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a", "b"});
  Hello(kOther, kSouth);
  MembershipOutbox out;
  for (int look = 1; look <= 3; ++look) {
    now_ = Instant(seconds(30 * look));
    membership_.HandleDeadline(now_, out);
    Send(kOther, Ping());
  }
  EXPECT_THAT(out.forget, IsEmpty());

  membership_.HandleDeadline(Instant(seconds(120)), out);

  EXPECT_THAT(out.forget, ElementsAre(kPeer));
  ASSERT_THAT(out.send, SizeIs(1));
  EXPECT_EQ(out.send[0].envelope.refused().reason(), proto::REJECT_REASON_STALLED);
  EXPECT_THAT(Told(out), ElementsAre("left a", "left b"));
  EXPECT_TRUE(membership_.IsWelcome(kOther));
}

// Its peers' words are waiting to be read.
TEST_F(MembershipTest, ACoordinatorThatWasStoppedForLongTurnsNobodyAway) {
  Hello(kPeer, kNorth);
  MembershipOutbox out;

  membership_.HandleDeadline(Instant(seconds(3600)), out);

  EXPECT_THAT(out.forget, IsEmpty());
  EXPECT_EQ(membership_.NextDeadline(), Instant(seconds(3630)));
}

TEST_F(MembershipTest, RoundAndTransferMessagesOfWelcomedPeersAreLeftToOthers) {
  Hello(kPeer, kNorth);
  std::vector<proto::Envelope> messages(5);
  messages[0].mutable_progress();
  messages[1].mutable_upload_offer();
  messages[2].mutable_upload_chunk();
  messages[3].mutable_node_failure();
  messages[4].mutable_model_request();
  for (const proto::Envelope& message : messages) {
    const MembershipOutbox out = Send(kPeer, message);
    EXPECT_EQ(last_route_, Membership::Route::kOthers);
    EXPECT_THAT(out.send, IsEmpty());

    Send(kOther, message);
    EXPECT_EQ(last_route_, Membership::Route::kDone);
  }
  Send(kPeer, Ping());
  EXPECT_EQ(last_route_, Membership::Route::kDone);
}

TEST_F(MembershipTest, SixteenMalformedMessagesEndTheConnection) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a"});
  proto::Envelope backwards;  // only a coordinator sends this
  backwards.mutable_round_task();
  for (int i = 0; i < 8; ++i) {
    EXPECT_THAT(Send(kPeer, backwards).forget, IsEmpty());
  }
  MembershipOutbox out;
  for (int i = 0; i < 7; ++i) membership_.HandleMalformed(kPeer, now_, out);
  EXPECT_THAT(out.send, IsEmpty());

  membership_.HandleMalformed(kPeer, now_, out);

  ASSERT_THAT(out.send, SizeIs(1));
  EXPECT_EQ(out.send[0].envelope.refused().reason(), proto::REJECT_REASON_MALFORMED);
  EXPECT_THAT(out.forget, ElementsAre(kPeer));
  EXPECT_THAT(Told(out), ElementsAre("left a"));
  EXPECT_EQ(membership_.rejects().at(proto::REJECT_REASON_MALFORMED), 16u);
}

TEST_F(MembershipTest, RevocationTurnsOutProcessesAndNodesAndTouchesNobodyElse) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a", "b"});
  Hello(kOther, kSouth);
  Join(kOther, kSouth, {"c"});
  Nodes nodes = ThreeNodes();
  nodes.erase(NodeId("a"));
  nodes.erase(NodeId("c"));

  MembershipOutbox out;
  membership_.HandleRoster(std::make_shared<FakeRoster>(Processes{{kNorth, "k1"}}, nodes), out);

  ASSERT_THAT(out.send, SizeIs(2));
  EXPECT_EQ(out.send[0].peer, kPeer);
  EXPECT_EQ(out.send[0].envelope.join_result().nodes(0).node(), "a");
  EXPECT_THAT(Verdicts(out.send[0]), ElementsAre(proto::REJECT_REASON_REVOKED));
  EXPECT_EQ(out.send[1].peer, kOther);
  EXPECT_EQ(out.send[1].envelope.refused().reason(), proto::REJECT_REASON_REVOKED);
  EXPECT_THAT(out.forget, ElementsAre(kOther));
  EXPECT_THAT(Told(out), ElementsAre("left a", "left c", "roster 1"));
  EXPECT_EQ(membership_.PeerOf(NodeId("b")), kPeer);
}

TEST_F(MembershipTest, AChangedKeyIsARevocation) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a"});
  Hello(kOther, kSouth);
  Nodes nodes = ThreeNodes();
  nodes[NodeId("a")].key = "another";

  MembershipOutbox out;
  membership_.HandleRoster(
      std::make_shared<FakeRoster>(Processes{{kNorth, "k1"}, {kSouth, "other"}}, nodes), out);

  EXPECT_THAT(Told(out), ElementsAre("left a", "roster 3"));
  EXPECT_THAT(out.forget, ElementsAre(kOther));
}

TEST_F(MembershipTest, AReloadOfTheSameRosterChangesNothing) {
  Hello(kPeer, kNorth);
  Join(kPeer, kNorth, {"a"});
  MembershipOutbox out;
  membership_.HandleRoster(std::make_shared<FakeRoster>(TwoProcesses(), ThreeNodes()), out);

  EXPECT_THAT(out.send, IsEmpty());
  EXPECT_THAT(out.forget, IsEmpty());
  EXPECT_THAT(Told(out), ElementsAre("roster 3"));
}

}  // namespace
}  // namespace skerry
