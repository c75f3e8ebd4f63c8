// Walks every (phase, message) pair.
#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/session/session_harness.h"

namespace skerry {
namespace {

using proto::Envelope;

struct PhaseCase {
  std::string name;
  std::function<void(SessionHarness&)> reach;
  std::set<Envelope::BodyCase> expected;  // messages that this phase has a use for
};

const std::set<Envelope::BodyCase> kJoinedMessages = {
    Envelope::kWelcome,     Envelope::kJoinResult,    Envelope::kRoundTask,
    Envelope::kModelChunk,  Envelope::kUploadGrant,   Envelope::kUploadResult,
    Envelope::kRoundClosed, Envelope::kJobEnd,        Envelope::kRefused,
    Envelope::kPing,        Envelope::kKeyRoster,     Envelope::kShareDelivery,
    Envelope::kSurvivorSet, Envelope::kUnmaskRequest, Envelope::kRingNonces};

std::vector<PhaseCase> Phases() {
  return {
      {"disconnected", [](SessionHarness&) {}, {Envelope::kPing}},
      {"greeting",
       [](SessionHarness& agent) { agent.LinkUpNow(); },
       {Envelope::kWelcome, Envelope::kRefused, Envelope::kPing}},
      {"joining",
       [](SessionHarness& agent) {
         agent.LinkUpNow();
         agent.Hear(agent.WelcomeMessage());
         agent.DataReady();
       },
       kJoinedMessages},
      {"active", [](SessionHarness& agent) { agent.BecomeActive(); }, kJoinedMessages},
      {"job over",
       [](SessionHarness& agent) {
         agent.BecomeActive();
         agent.End(true);
       },
       {Envelope::kWelcome, Envelope::kRefused, Envelope::kPing}},
      {"turned away",
       [](SessionHarness& agent) {
         agent.LinkUpNow();
         agent.Refuse(proto::REJECT_REASON_REVOKED);
       },
       {Envelope::kPing}},
  };
}

std::vector<Envelope> AllMessages(const SessionHarness& agent) {
  std::vector<Envelope> messages = {agent.WelcomeMessage(), agent.JoinResultMessage(),
                                    agent.TaskMessage(1, {"n-0"})};
  messages.emplace_back().mutable_model_chunk();
  messages.emplace_back().mutable_upload_grant()->set_node("n-0");
  Envelope& result = messages.emplace_back();
  result.mutable_upload_result()->set_round(1);
  result.mutable_upload_result()->add_nodes()->set_node("n-0");
  messages.emplace_back().mutable_round_closed()->set_round(1);
  messages.emplace_back().mutable_job_end()->set_completed(true);
  messages.emplace_back().mutable_refused()->set_reason(proto::REJECT_REASON_NOT_IN_ROSTER);
  messages.emplace_back().mutable_ping();
  messages.emplace_back().mutable_hello();
  messages.emplace_back().mutable_join();
  messages.emplace_back().mutable_model_request();
  messages.emplace_back().mutable_progress();
  messages.emplace_back().mutable_upload_offer();
  messages.emplace_back().mutable_upload_chunk();
  messages.emplace_back().mutable_node_failure();
  messages.emplace_back().mutable_leave();
  messages.emplace_back().mutable_key_roster();
  messages.emplace_back().mutable_share_delivery();
  messages.emplace_back().mutable_survivor_set();
  messages.emplace_back().mutable_unmask_request();
  messages.emplace_back().mutable_key_advert();
  messages.emplace_back().mutable_key_shares();
  messages.emplace_back().mutable_survivor_signature();
  messages.emplace_back().mutable_unmask_shares();
  messages.emplace_back().mutable_ring_nonces();
  messages.emplace_back().mutable_ring_reveal();
  return messages;
}

bool SaysOutOfPlace(const SessionOutbox& out, const std::string& phase) {
  for (const SessionEvent& event : out.report) {
    if (event.detail.ends_with("while " + phase)) return true;
  }
  return false;
}

TEST(SessionPhasesTest, EveryPhaseAnswersEveryMessageAndReportsWhatItHasNoUseFor) {
  const size_t message_count = AllMessages(SessionHarness()).size();
  ASSERT_EQ(message_count, static_cast<size_t>(Envelope::descriptor()->field_count()));
  for (const PhaseCase& phase : Phases()) {
    for (size_t i = 0; i < message_count; ++i) {
      SessionHarness agent;
      phase.reach(agent);
      ASSERT_EQ(agent.machine.phase_name(), phase.name);
      agent.out = {};
      const Envelope message = AllMessages(agent)[i];

      agent.Hear(message);

      const bool is_expected = phase.expected.contains(message.body_case());
      EXPECT_EQ(SaysOutOfPlace(agent.out, phase.name), !is_expected)
          << phase.name << " and " << message.ShortDebugString();
      if (!is_expected) {
        EXPECT_EQ(agent.machine.phase_name(), phase.name);
        EXPECT_TRUE(agent.out.send.empty());
        EXPECT_TRUE(agent.out.work.empty());
      }
    }
  }
}

TEST(SessionPhasesTest, EveryPhaseTakesEveryOtherInputAndEveryDeadline) {
  const std::vector<SessionInput> inputs = {
      LinkUp{},
      LinkDown{"cut"},
      DataLoaded{.loading = LoadingId(99), .problems = {}},
      TrainProgressed{.training = TrainingId(99), .permille = 1},
      TrainDone{.training = TrainingId(99)},
      MaskDone{.training = TrainingId(99)},
      LeaveRequested{}};
  const std::vector<std::string> after = {"greeting", "disconnected", "", "", "", "", "ended"};
  ASSERT_EQ(inputs.size(), std::variant_size_v<SessionInput>);
  for (const PhaseCase& phase : Phases()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      SessionHarness agent;
      phase.reach(agent);

      agent.Feed(inputs[i]);
      agent.Wait(std::chrono::hours(1));

      if (!after[i].empty()) {
        EXPECT_EQ(agent.machine.phase_name(), after[i]) << phase.name << ", input " << i;
      } else {
        EXPECT_EQ(agent.machine.phase_name(), phase.name) << "input " << i;
      }
    }
  }
}

TEST(SessionPhasesTest, AnEndedSessionAnswersNothing) {
  SessionHarness agent;
  agent.BecomeActive();
  agent.Feed(LeaveRequested{});
  agent.out = {};

  for (const Envelope& message : AllMessages(agent)) agent.Hear(message);
  agent.Feed(LinkUp{});
  agent.Wait(std::chrono::hours(1));

  EXPECT_TRUE(agent.out.send.empty());
  EXPECT_TRUE(agent.out.report.empty());
  EXPECT_FALSE(agent.out.finished.has_value());
  EXPECT_EQ(agent.machine.NextDeadline(), std::nullopt);
}

}  // namespace
}  // namespace skerry
