// Random inputs, sensible and not, against what must hold for every run.
#include <cstdlib>
#include <map>
#include <set>

#include "common/base/rng.h"
#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

constexpr int kNodes = 12;

uint64_t FirstSeed() {
  const char* seed = std::getenv("SKERRY_TEST_SEED");
  return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

RoundPolicy RandomPolicy(Rng& rng) {
  RoundPolicy policy = SmallPolicy();
  policy.seed = rng.NextU64();
  policy.round.nodes = kNodes;
  policy.round.count = 4;
  policy.round.cohort_fraction = 0.5;
  policy.round.over_selection = 1.0 + rng.Uniform();
  policy.round.quorum = 1 + static_cast<int64_t>(rng.Below(6));
  policy.evaluation.every_rounds = static_cast<int64_t>(rng.Below(3));
  return policy;
}

int RandomNode(Rng& rng) { return 1 + static_cast<int>(rng.Below(kNodes + 1)); }  // one unknown

// One step: mostly what a healthy cluster does, some of it late, repeated or wrong.
Outbox RandomStep(RoundDriver& run, Rng& rng) {
  run.now += std::chrono::milliseconds(rng.Below(3000));
  const int i = RandomNode(rng);
  const PeerId peer = rng.Below(10) == 0 ? Peer(RandomNode(rng)) : Peer(i);
  const uint64_t round = run.round() + (rng.Below(8) == 0 ? rng.Below(3) : 1) - 1;
  const uint64_t content = 1 + rng.Below(rng.Below(10) == 0 ? 3 : 1);
  const uint64_t bytes = rng.Below(20) == 0 ? 8 : 404;
  switch (rng.Below(14)) {
    case 0:
    case 1:
      return run.Do(NodeJoined{Node(i), peer});
    case 2:
      return rng.Below(4) == 0 ? run.Leave(i) : Outbox{};
    case 3:
      return run.Say(peer, RoundDriver::ProgressMessage(i, round));
    case 4:
    case 5:
    case 6:
      return run.Say(peer, RoundDriver::OfferMessage(i, round, content, bytes));
    case 7:
    case 8:
    case 9:
      return run.Do(UploadComplete{Node(i), RoundId(round), content});
    case 10:
      return rng.Below(6) == 0
                 ? run.Say(peer, RoundDriver::FailureMessage(i, rng.Below(3) == 0 ? 0 : round))
                 : Outbox{};
    case 11: {
      CommitDone done;
      done.round = RoundId(round);
      done.model_sha256 = fmt::format("{:064x}", round);
      return run.Do(done);
    }
    case 12:
      return run.Evaluate(round);
    default:
      if (rng.Below(10) == 0) return run.Do(UploadBroken{Node(i), RoundId(round), content});
      if (rng.Below(40) == 0) return run.Do(RosterChanged{RosterOf(kNodes - 1)});
      return run.Deadline();
  }
}

// What the outboxes of a run may contain, checked as they come.
class Invariants {
 public:
  void Check(const Outbox& out, bool was_finished) {
    EXPECT_TRUE(!was_finished || out.empty()) << Print(out);
    for (const Record& record : out.persist) CheckRecord(record);
    for (const OutgoingMessage& message : out.send) {
      if (!message.envelope.has_round_task()) continue;
      const proto::RoundTask& task = message.envelope.round_task();
      EXPECT_TRUE(started_.contains(task.round())) << "task before its round was recorded";
      for (const std::string& node : task.nodes()) {
        EXPECT_TRUE(started_[task.round()].contains(node)) << node << " was not invited";
      }
    }
    for (const Work& work : out.work) {
      if (const auto* add = std::get_if<AddUploadWork>(&work)) {
        EXPECT_TRUE(added_[add->round.value()].insert(add->node.value()).second)
            << add->node.value() << " counted twice";
        EXPECT_FALSE(committing_.contains(add->round.value())) << "added after the commit began";
      } else if (const auto* commit = std::get_if<CommitWork>(&work)) {
        EXPECT_TRUE(committing_.insert(commit->round.value()).second) << "committed twice";
        EXPECT_EQ(commit->survivor_count, added_[commit->round.value()].size());
      }
    }
  }

  void CheckCounters(const RoundData& data) const {
    std::array<uint32_t, kParticipationCount> counts{};
    for (const auto& [node, participant] : data.participants) {
      ++counts[static_cast<size_t>(participant.participation)];
    }
    EXPECT_EQ(counts, data.counts);
    uint32_t connected = 0;
    for (const auto& [node, state] : data.nodes) connected += state.peer ? 1u : 0u;
    EXPECT_EQ(connected, data.connected_count);
    EXPECT_EQ(data.nodes.size(), data.roster.size());
  }

  uint64_t rounds_committed() const { return committed_; }

 private:
  void CheckRecord(const Record& record) {
    if (const auto* started = std::get_if<RoundStarted>(&record)) {
      EXPECT_EQ(started->round.value(), committed_ + 1);
      EXPECT_FALSE(started_.contains(started->round.value())) << "recorded twice";
      for (const NodeId& node : started->invited) {
        started_[started->round.value()].insert(node.value());
      }
    } else if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
      EXPECT_EQ(committed->round.value(), committed_ + 1);
      committed_ = committed->round.value();
      std::set<std::string> invited;
      std::set<std::string> survivors;
      for (const ParticipantRecord& participant : committed->participants) {
        invited.insert(participant.node.value());
        if (participant.participation == Participation::kAccepted) {
          survivors.insert(participant.node.value());
        }
      }
      EXPECT_EQ(invited, started_[committed_]);
      EXPECT_EQ(survivors, added_[committed_]);
    }
  }

  std::map<uint64_t, std::set<std::string>> started_;
  std::map<uint64_t, std::set<std::string>> added_;
  std::set<uint64_t> committing_;
  uint64_t committed_ = 0;
};

TEST(RoundPropertyTest, RandomInputsNeverBreakTheInvariants) {
  uint64_t rounds = 0;
  const uint64_t first = FirstSeed();
  for (uint64_t seed = first; seed < first + 60; ++seed) {
    SCOPED_TRACE(fmt::format("SKERRY_TEST_SEED={}", seed));
    Rng rng(seed);
    RoundDriver run(RandomPolicy(rng), RosterOf(kNodes));
    Invariants invariants;
    invariants.Check(run.Start(), false);
    for (int step = 0; step < 1500; ++step) {
      const bool was_finished = run.machine.is_finished();
      invariants.Check(RandomStep(run, rng), was_finished);
      invariants.CheckCounters(run.machine.data());
      run.machine.WaitingFor(run.now);
      if (HasFailure()) return;
    }
    rounds += invariants.rounds_committed();
  }
  EXPECT_GT(rounds, 60u) << "the inputs are too wild to test anything";
}

TEST(RoundPropertyTest, TheSameInputsGiveTheSameOutboxes) {
  const auto transcript = [](uint64_t seed) {
    Rng rng(seed);
    RoundDriver run(RandomPolicy(rng), RosterOf(kNodes));
    std::string text = Print(run.Start());
    for (int step = 0; step < 1500; ++step) text += Print(RandomStep(run, rng));
    return text;
  };

  const std::string text = transcript(7);
  EXPECT_EQ(transcript(7), text);
  EXPECT_NE(transcript(8), text);
}

}  // namespace
}  // namespace skerry
