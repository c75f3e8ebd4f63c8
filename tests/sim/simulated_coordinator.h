// The coordinator in virtual time: the real membership, round machine, transfers and codec behind a
// shell whose socket, worker and disk are simulated. It can crash between any two steps of draining
// an outbox: what was persisted stays in the RunLog, everything else is lost, and a new one starts
// from there.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/tensor/parameter_layout.h"
#include "coordinator/membership/membership.h"
#include "coordinator/round/round_machine.h"
#include "coordinator/transfer/model_server.h"
#include "coordinator/transfer/upload_receiver.h"
#include "tests/sim/simulated_agent.h"
#include "tests/support/fake_roster.h"
#include "tests/support/fake_secagg_crypto.h"
#include "tests/support/scripted_random.h"

namespace skerry {

class SimulatedCoordinator {
 public:
  SimulatedCoordinator(ClusterContext context, Rng rng);

  void Start();

 private:
  // Everything that a crash takes away.
  struct Process {
    Membership membership;
    RoundMachine machine;
    ModelServer models;
    UploadReceiver uploads;
    std::set<PeerId> forgotten{};    // hung up on
    std::optional<Frame> offered{};  // raw frame of the offer being handled
    std::optional<Instant> deadline_at{};
    // The worker's.
    Instant worker_free_at{};
    std::vector<RingElement> sum{};
    std::set<NodeId> summed{};
  };

  std::shared_ptr<const SecretCohortPolicy> SecretCohorts();
  void RestoreSum();
  void RestoreNoisySum();
  const RunLog::NoisySum* OpenNoisySum() const;
  RestoredRun Standing() const;
  // Runs `step` in the present process, then ends the process if a crash struck meanwhile.
  void Enter(const std::function<void()>& step);
  // The same later, unless the process has ended by then.
  void Later(Instant when, std::function<void()> step);
  // A place before `step`; false once the process is as good as dead.
  bool Survives(std::string_view step);
  void Crash();

  void OnMessage(PeerId peer, const Message& message);
  void OnWelcomeMessage(PeerId peer, const proto::Envelope& envelope,
                        const std::optional<Frame>& raw);
  void OnDeadline();
  void PlanDeadline();
  void Feed(const Input& input);

  void Drain(MembershipOutbox out);
  void Drain(Outbox out);
  void Drain(UploadReceiver::Events events);
  void Persist(const Record& record);
  void Send(const OutgoingMessage& message);
  void SendChunks();
  static std::string ModelHash(const ParameterVector& model);
  void CheckTask(const proto::RoundTask& task);

  void Handle(const UploadOrder& order);
  void Do(const Work& work);
  void AddUpload(const AddUploadWork& work);
  void Commit(const CommitWork& work);
  bool AddNoise(const CommitWork& work);
  // When the worker, which does one thing after the other, is done with its next piece of work.
  Instant WorkerDone();

  ClusterContext context_;
  Rng rng_;
  SeededRandom nonces_;
  FakeSecAggCrypto crypto_;
  std::shared_ptr<const FakeRoster> roster_;
  ParameterLayoutPtr layout_;
  int incarnation_ = 0;
  int crash_count_ = 0;
  bool is_dying_ = false;
  std::unique_ptr<Process> process_;
};

}  // namespace skerry
