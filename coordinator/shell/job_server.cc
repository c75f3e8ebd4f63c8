#include "coordinator/shell/job_server.h"

#include <signal.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/config/address.h"
#include "common/crypto/secret_bytes.h"
#include "common/crypto/self_test.h"
#include "common/identity/key_files.h"
#include "common/identity/z85.h"
#include "common/protocol/limits.h"
#include "common/transport/stop_signal.h"
#include "coordinator/dashboard/terminal_view.h"

namespace skerry {
namespace {

absl::StatusOr<RouterEndpoint> Listen(const RunOptions& options, const JobConfig& job,
                                      const RosterFile& roster) {
  RouterOptions router;
  router.addresses = {options.listen.value_or(job.transport.listen)};
  SKERRY_RETURN_IF_ERROR(CheckAddress(router.addresses[0], AddressUse::kListen));
  if (IsTcpAddress(router.addresses[0])) {
    if (options.keys_folder.empty()) {
      return absl::InvalidArgumentError(
          "tcp needs keys: give --keys DIR, made by `skerry-coordinator keys new coordinator`");
    }
    SKERRY_ASSIGN_OR_RETURN(const CurveKeyPair keys,
                            ReadCurveKeyFile(CoordinatorKeyPath(options.keys_folder)));
    router.secret_key_z85 = Z85Encode(keys.secret().bytes());
  }
  router.authenticate = [&roster](std::string_view key) { return roster.ProcessWithKey(key); };
  router.link.envelope_bytes_max = protocol::kEnvelopeBytesMax;
  router.link.raw_bytes_max = protocol::kRawFrameBytesMax;
  return RouterEndpoint::Create(router);
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobServer>> JobServer::Create(const RunOptions& options) {
  KeepMemoryPrivate();
  SKERRY_RETURN_IF_ERROR(SelfTestCrypto());
  if (options.roster_path.empty()) {
    return absl::InvalidArgumentError(
        "who may take part? Give --roster FILE, made by `skerry-coordinator keys roster`");
  }
  SKERRY_ASSIGN_OR_RETURN(RosterFile roster, RosterFile::Load(options.roster_path));
  SKERRY_ASSIGN_OR_RETURN(PreparedRun run,
                          PrepareRun(options, roster.roster(), SystemClock().WallUnixMs()));
  auto server = std::unique_ptr<JobServer>(new JobServer());
  server->roster_ = std::make_unique<RosterFile>(std::move(roster));
  server->job_ = run.job;
  server->run_dir_ = run.store->run_dir();
  server->replayed_sha256_ = run.replayed_sha256;
  SKERRY_ASSIGN_OR_RETURN(RouterEndpoint router, Listen(options, run.job, *server->roster_));
  CatchStopSignals(router.wakeup());
  server->address_ = router.addresses()[0];
  SKERRY_ASSIGN_OR_RETURN(const RunHistory history, ReadRunHistory(server->run_dir_));
  LogInfo(fmt::format("run {} in {}, listening on {}", run.info.run_id.value(), server->run_dir_,
                      server->address_));
  if (options.endpoint_path.has_value()) {
    SKERRY_RETURN_IF_ERROR(WriteFileAtomically(*options.endpoint_path, server->address_ + "\n"));
  }
  server->shell_ = std::make_unique<CoordinatorShell>(
      std::move(run), *server->roster_, std::move(router),
      RunDisplay(history, std::make_unique<TerminalView>(STDERR_FILENO)), StopFlag());
  return server;
}

absl::StatusOr<RunEnded> JobServer::Serve(CoordinatorShell::Observer observer) {
  shell_->Observe(std::move(observer));
  return shell_->Run();
}

bool JobServer::WasTerminated() { return StopSignal() == SIGTERM; }

}  // namespace skerry
