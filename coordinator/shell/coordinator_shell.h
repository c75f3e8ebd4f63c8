// The coordinator's loop: polls its socket, feeds the machines, drains their outboxes in the order
// persist, send, work. The only place that owns sockets, threads and the clock on this side.
//
// Three threads: this one (sockets, machines, run.db), a worker for sums and commits, and one for
// evaluation, which nothing waits for. They share bounded queues and nothing else.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/worker.h"
#include "common/transport/router_endpoint.h"
#include "coordinator/membership/membership.h"
#include "coordinator/round/round_machine.h"
#include "coordinator/shell/aggregator.h"
#include "coordinator/shell/evaluation.h"
#include "coordinator/shell/roster_file.h"
#include "coordinator/shell/run_display.h"
#include "coordinator/shell/run_setup.h"
#include "coordinator/transfer/model_server.h"
#include "coordinator/transfer/upload_receiver.h"

namespace skerry {

class CoordinatorShell {
 public:
  // `roster` outlives the shell, which keeps it up to date. `stop` turns true when the process is
  // asked to end; whoever sets it also notifies router.wakeup().
  CoordinatorShell(PreparedRun run, RosterFile& roster, RouterEndpoint router, RunDisplay display,
                   const std::atomic<bool>& stop);

  // Called after everything that may have changed the round.
  using Observer = std::function<void(const RoundMachine& machine, Instant now)>;
  void Observe(Observer observer) { observer_ = std::move(observer); }

  // Runs to the end of the job. An error means that the machine could not go on (disk, sockets);
  // the run directory can be resumed.
  absl::StatusOr<RunEnded> Run();

  // After Run.
  const RunView& view() const { return display_.view(); }

 private:
  struct UploadChecked {
    NodeId node;
    RoundId round;
    uint64_t content_id = 0;
    absl::Status status;
  };
  struct UploadAdded {
    NodeId node;
    absl::Status status;
    SharedBuffer buffer;  // its memory, if it was assembled in memory
  };
  using WorkResult =
      std::variant<UploadChecked, std::vector<UploadAdded>, SumSealed, Aggregator::CommitResult>;

  void HandlePoll(RouterPoll poll, Instant now);
  void HandleMessage(ReceivedMessage received, Instant now);
  void HandleRouted(PeerId peer, const proto::Envelope& envelope, std::optional<Frame> raw,
                    Instant now);
  void HandleRefusal(PeerId peer, proto::RejectReason reason, Instant now);
  void TakeResults(Instant now);
  void HandleResult(WorkResult result, Instant now);
  std::string_view NameForLog(const NodeId& node) const;
  void HandleDeadlines(Instant now);
  void RefreshRoster(Instant now);
  Duration TimeToWait(Instant now) const;

  // Drains everything until nothing is left to do.
  absl::Status Drain(Instant now);
  void DrainMembership(Instant now);
  void DrainTransfers(Instant now);
  absl::Status Persist(Instant now);
  void SendAll(std::vector<OutgoingMessage> messages);
  void SendOne(const OutgoingMessage& message);
  void StartWork();
  void StartAdding(std::vector<AddUploadWork> uploads);
  void StartSealing(const SealSumWork& work);
  void StartCommit(const CommitWork& work);
  void StartEvaluation(const EvaluateWork& work);
  void ExecuteUploadOrders(Instant now);
  void CheckThenComplete(const UploadComplete& upload, Instant now);

  JobConfig job_;
  bool has_secret_cohorts_;  // nothing that is logged may tell who is in one
  RunInfo info_;
  UpdateEncoding encoding_;
  std::unique_ptr<RunStore> store_;
  std::unique_ptr<Aggregator> aggregator_;  // used on worker_ only, once the run has begun
  SharedModel model_;                       // null while a commit has it
  RosterFile& roster_;
  RouterEndpoint router_;
  RunDisplay display_;
  Observer observer_;  // may be empty
  const std::atomic<bool>& stop_;

  Membership membership_;
  MembershipOutbox membership_out_;
  RoundMachine machine_;
  Outbox out_;
  ModelServer model_server_;
  UploadReceiver uploads_;
  UploadReceiver::Events upload_events_;

  Worker<WorkResult> worker_;
  std::unique_ptr<Evaluation> evaluation_;

  bool is_stop_handled_ = false;
  Instant roster_checked_at_{};
  Instant refusal_logged_at_{};
  Instant round_began_at_{};
  RoundTraffic traffic_;  // since the last commit
};

}  // namespace skerry
