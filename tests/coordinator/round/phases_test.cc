// Walks every (phase, input) pair. The table says for each which phase comes next and what the
// outbox holds; that no pair lacks an answer is proved by the compiler (phases.h).
#include <functional>

#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

using std::chrono::seconds;

// A run brought into each phase: node 1 delivered wherever a round is open, node 3 not connected.
RoundDriver In(std::string_view phase) {
  RoundPolicy policy = SmallPolicy();
  policy.round.count = phase == "evaluating" || phase == "finished" ? 1 : 3;
  RoundDriver run(policy, RosterOf(phase == "selecting" ? 1 : 4));
  run.Start();
  if (phase == "selecting") {
    run.Join(1);
    return run;
  }
  for (const int i : {1, 2, 4}) run.Join(i);
  run.Deliver(1);
  if (phase == "training") return run;
  run.Deliver(2);
  if (phase == "collecting") return run;
  run.Deliver(4);
  run.now += seconds(30);
  run.Deadline();
  if (phase == "committing") return run;
  run.Commit();
  if (phase == "evaluating") return run;
  run.Evaluate(1);
  return run;
}

// What an outbox holds: "persist 1 send 2 work 0 uploads 0" in four digits.
std::string Shape(const Outbox& out) {
  return fmt::format("{}{}{}{}", out.persist.size(), out.send.size(), out.work.size(),
                     out.uploads.size());
}

struct InputRow {
  std::string name;
  std::function<Outbox(RoundDriver&)> apply;
  // For selecting, training, collecting, committing, evaluating, finished: next phase, and the
  // numbers of records, messages, works and upload orders.
  std::vector<std::pair<std::string, std::string>> expected;
};

const std::vector<std::string> kPhases = {"selecting",  "training",   "collecting",
                                          "committing", "evaluating", "finished"};

std::vector<InputRow> Rows() {
  const auto done = [](uint64_t round) {
    CommitDone commit;
    commit.round = RoundId(round);
    commit.model_sha256 = std::string(64, 'a');
    return commit;
  };
  return {
      {"progress of an outstanding node",
       [](RoundDriver& run) { return run.Say(Peer(4), RoundDriver::ProgressMessage(4, 1)); },
       {{"selecting", "0100"},  // not in the roster
        {"training", "0000"},
        {"collecting", "0000"},
        {"committing", "0000"},  // accepted long ago
        {"evaluating", "0100"},  // the round is closed
        {"finished", "0000"}}},
      {"an offer of an outstanding node",
       [](RoundDriver& run) { return run.Say(Peer(4), RoundDriver::OfferMessage(4, 1)); },
       {{"selecting", "0100"},
        {"training", "0001"},
        {"collecting", "0001"},
        {"committing", "0100"},  // acknowledged again
        {"evaluating", "1100"},  // late: refused, and an event
        {"finished", "0000"}}},
      {"a failure of an outstanding node",
       [](RoundDriver& run) { return run.Say(Peer(4), RoundDriver::FailureMessage(4, 1)); },
       {{"selecting", "0100"},
        {"training", "1000"},
        {"collecting", "1000"},
        {"committing", "0000"},
        {"evaluating", "0100"},
        {"finished", "0000"}}},
      {"a node joins",
       [](RoundDriver& run) { return run.Join(3); },
       {{"selecting", "0000"},
        {"training", "0100"},
        {"collecting", "0100"},
        {"committing", "0000"},  // it was cut
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"a node leaves",
       [](RoundDriver& run) { return run.Leave(1); },
       {{"selecting", "1000"},
        {"training", "1000"},
        {"collecting", "1000"},
        {"committing", "1000"},
        {"evaluating", "1000"},
        {"finished", "0000"}}},
      {"the roster grows",
       [](RoundDriver& run) { return run.Do(RosterChanged{RosterOf(5)}); },
       {{"training", "1100"},  // the round begins, node 1 gets its task
        {"training", "0000"},
        {"collecting", "0000"},
        {"committing", "0000"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"bytes of an upload arrive",
       [](RoundDriver& run) { return run.Do(UploadAdvanced{Node(4)}); },
       {{"selecting", "0000"},
        {"training", "0000"},
        {"collecting", "0000"},
        {"committing", "0000"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"an upload nobody ordered is complete",
       [](RoundDriver& run) {
         return run.Do(UploadComplete{Node(4), RoundId(1), 99});
       },
       {{"selecting", "0001"},  // dropped
        {"training", "0001"},
        {"collecting", "0001"},
        {"committing", "0000"},  // its accepted one has the same name
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"an upload nobody ordered is broken",
       [](RoundDriver& run) {
         return run.Do(UploadBroken{Node(4), RoundId(1), 99});
       },
       {{"selecting", "0000"},
        {"training", "0000"},
        {"collecting", "0000"},
        {"committing", "0000"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"the sum is lost",
       [](RoundDriver& run) { return run.Do(SumLost{"spool"}); },
       {{"finished", "1101"},
        {"finished", "1301"},
        {"finished", "1301"},
        {"finished", "1301"},
        {"finished", "1301"},
        {"finished", "0000"}}},
      {"a commit is done",
       [done](RoundDriver& run) { return run.Do(done(1)); },
       {{"selecting", "0000"},
        {"training", "0000"},
        {"collecting", "0000"},
        // Committed and started; three closed, three tasks.
        {"training", "2600"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"a commit of another round is done",
       [done](RoundDriver& run) { return run.Do(done(9)); },
       {{"selecting", "0000"},
        {"training", "0000"},
        {"collecting", "0000"},
        {"committing", "0000"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"an evaluation is done",
       [](RoundDriver& run) { return run.Evaluate(1); },
       {{"selecting", "1000"},
        {"training", "1000"},
        {"collecting", "1000"},
        {"committing", "1000"},
        {"finished", "2300"},  // recorded, the end, and JobEnd to three peers
        {"finished", "0000"}}},
      {"a stop is requested",
       [](RoundDriver& run) { return run.Do(StopRequested{"stop"}); },
       {{"finished", "1000"},
        {"finished", "1000"},
        {"finished", "1000"},
        {"committing", "0000"},
        {"finished", "1000"},
        {"finished", "0000"}}},
      {"a long time passes",
       [](RoundDriver& run) {
         run.now += seconds(900);
         return run.Deadline();
       },
       {{"finished", "1101"},    // no nodes
        {"finished", "1301"},    // no progress
        {"committing", "2111"},  // both stragglers are cut, the connected one is told
        {"committing", "0000"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
      {"another message",
       [](RoundDriver& run) {
         proto::Envelope message;
         message.mutable_ping();
         return run.Say(Peer(1), message);
       },
       {{"selecting", "0000"},
        {"training", "0000"},
        {"collecting", "0000"},
        {"committing", "0000"},
        {"evaluating", "0000"},
        {"finished", "0000"}}},
  };
}

TEST(PhasesTest, EveryPairOfPhaseAndInputHasTheAnswerOfTheTable) {
  for (const InputRow& row : Rows()) {
    ASSERT_EQ(row.expected.size(), kPhases.size()) << row.name;
    for (size_t i = 0; i < kPhases.size(); ++i) {
      RoundDriver run = In(kPhases[i]);
      ASSERT_EQ(run.machine.phase_name(), kPhases[i]);
      const Outbox out = row.apply(run);
      EXPECT_EQ(run.machine.phase_name(), row.expected[i].first)
          << row.name << " while " << kPhases[i];
      EXPECT_EQ(Shape(out), row.expected[i].second) << row.name << " while " << kPhases[i] << "\n"
                                                    << Print(out);
    }
  }
}

}  // namespace
}  // namespace skerry
