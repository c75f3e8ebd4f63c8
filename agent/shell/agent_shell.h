// The agent's loop: polls its one connection, feeds the session machine, drains its outbox, pulls
// bulk while the socket takes it. The only place on this side that owns a socket, threads and the
// clock.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/session/session_machine.h"
#include "agent/session/upload_store.h"
#include "agent/shell/event_log.h"
#include "agent/shell/training_pool.h"
#include "common/base/clock.h"
#include "common/privacy/ledger.h"
#include "common/transport/dealer_endpoint.h"
#include "common/transport/spool_file.h"

namespace skerry {

// The session's spool: an unlinked file, made when the first upload needs it.
class FileSpool final : public UploadSpool {
 public:
  explicit FileSpool(std::string folder) : folder_(std::move(folder)) {}
  absl::StatusOr<uint64_t> Append(std::span<const uint8_t> bytes) override;
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> bytes) override;
  void Discard(uint64_t offset, uint64_t size) override;
  void Clear() override;

 private:
  std::string folder_;
  std::unique_ptr<SpoolFile> file_;
};

class AgentShell {
 public:
  // `ledger` holds what the session was told is spent. The session's spool outlives the shell.
  // `stop` turns true when the process is asked to end; whoever sets it
  // also notifies dealer.wakeup().
  AgentShell(SessionMachine session, Ledger ledger, DealerEndpoint dealer,
             std::unique_ptr<TrainingPool> pool, EventLog log, const std::atomic<bool>& stop);

  // Runs until the session is finished; its exit code.
  int Run();

 private:
  void HandlePoll(DealerPoll poll, Instant now);
  void HandleMessage(const Message& message, Instant now);
  void Drain();
  // False if a charge is not durable: then nothing may be sent any more.
  bool Persist(const SessionOutbox& out);
  void SendBulk(Instant now);
  Duration TimeToWait(Instant now) const;

  SessionMachine session_;
  SessionOutbox out_;
  Ledger ledger_;
  DealerEndpoint dealer_;
  std::unique_ptr<TrainingPool> pool_;
  EventLog log_;
  const std::atomic<bool>& stop_;
  bool is_stop_handled_ = false;
  bool may_send_ = true;
  std::optional<Message> blocked_;  // bulk that the socket would not take
  std::optional<int> exit_code_;
};

}  // namespace skerry
