// One agent process in virtual time: the real session machine and codec behind a shell whose
// socket, workers and spool are simulated. It can crash, which loses everything but its name and
// its privacy ledger.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "agent/session/session_machine.h"
#include "common/privacy/spending.h"
#include "tests/sim/run_log.h"
#include "tests/sim/scenario.h"
#include "tests/support/event_queue.h"
#include "tests/support/fake_secagg_crypto.h"
#include "tests/support/loopback_network.h"
#include "tests/support/memory_spool.h"
#include "tests/support/quadratic_trainer.h"
#include "tests/support/scripted_random.h"

namespace skerry {

// What all parts of a simulated cluster share.
struct ClusterContext {
  const Scenario& scenario;
  EventQueue& events;
  LoopbackNetwork& network;
  const QuadraticTrainer& trainer;
  RunLog& log;

  bool is_faulty() const { return events.now() < scenario.network.until; }
  // A process comes to a place where it may be killed: true if the scenario kills it there.
  bool IsKilledAt(const ProcessName& process, std::string_view step) const;
};

class SimulatedAgent {
 public:
  SimulatedAgent(ClusterContext context, ProcessName name, std::vector<NodeId> nodes, Rng rng);

  void Start();

 private:
  void Crash();
  // When the process can have a link again, if it cannot now.
  std::optional<Instant> OutageEnd() const;
  // Whether a crash strikes before `step`, at random or because the scenario says so.
  bool IsStruck(std::string_view step, double probability);
  void Dial();
  void OnDown(PeerId link);
  void OnMessage(PeerId link, const Message& message);

  void Step(const SessionInput& input);
  // Makes the charges durable. False if the process crashed instead, before or after that.
  bool Persist(const SessionOutbox& out);
  void NoteOffer(const proto::UploadOffer& offer);
  void Drain(SessionOutbox out);
  void PullBulk();
  void PlanDeadline();

  void StartWork(const SessionWork& work);
  void ShowProgress(TrainingId training, Duration left);
  void FinishMasking(const MaskWork& work);
  void FinishTraining(const TrainWork& work);
  Duration Between(Duration least, Duration most);

  ClusterContext context_;
  ProcessName name_;
  std::vector<NodeId> nodes_;
  Rng rng_;
  int incarnation_ = 0;
  int crash_count_ = 0;
  Spending ledger_;

  // Of one incarnation.
  std::unique_ptr<MemorySpool> spool_;
  std::unique_ptr<SeededRandom> random_;
  FakeSecAggCrypto crypto_;
  std::unique_ptr<SessionMachine> machine_;
  std::optional<PeerId> link_;  // dialled, perhaps up
  bool is_up_ = false;
  std::set<TrainingId> running_;
  std::set<TrainingId> cancelled_;
  std::optional<Instant> deadline_at_;
};

}  // namespace skerry
