#include "coordinator/shell/run_command.h"

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
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
#include "coordinator/dashboard/closing_table.h"
#include "coordinator/dashboard/html_report.h"
#include "coordinator/dashboard/result_json.h"
#include "coordinator/dashboard/terminal_view.h"
#include "coordinator/shell/coordinator_shell.h"
#include "coordinator/shell/roster_file.h"

namespace skerry {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitBudget = 3;
constexpr int kExitInterrupted = 130;  // by SIGINT; a service that is stopped by SIGTERM is done

// What a signal handler can reach: a flag, and the handle that ends the shell's wait.
std::atomic<bool> g_is_stopping{false};
std::atomic<int> g_signal{0};
std::optional<Wakeup> g_wakeup;

void RequestStop(int signal) {
  g_signal = signal;
  g_is_stopping = true;
  if (g_wakeup.has_value()) g_wakeup->Notify();
}

void CatchSignals(Wakeup wakeup) {
  g_wakeup = std::move(wakeup);
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  // A second signal ends the process at once.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

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

RunResult ResultOf(const RunView& view, const PrivacyConfig& privacy, int exit_code) {
  RunResult result;
  result.status = view.status == RunStatus::kInterrupted ? "interrupted"
                  : exit_code == kExitDone               ? "completed"
                  : exit_code == kExitBudget             ? "budget_exhausted"
                                                         : "failed";
  result.exit_code = exit_code;
  result.rounds = view.rounds.size();
  result.nodes = view.node_count;
  if (const auto accuracy = TrendOf(view, "accuracy")) result.accuracy = accuracy->newest;
  if (const auto loss = TrendOf(view, "loss")) result.loss = loss->newest;
  result.model_sha256 = view.model_sha256;
  result.run_dir = view.run_dir;
  result.epsilon = view.epsilon_spent;
  if (privacy.enabled) result.delta = privacy.delta;
  result.wall_s = Seconds(view.elapsed);
  return result;
}

// Says whether a replay gave the recorded model.
int CompareReplay(const RunView& view, const std::string& recorded_sha256) {
  if (view.model_sha256 == recorded_sha256) {
    LogInfo("replay: the model is the recorded one, bit by bit");
    return kExitDone;
  }
  LogError(fmt::format("replay: the model has SHA-256 {}, recorded was {}", view.model_sha256,
                       recorded_sha256));
  return kExitFailed;
}

int Fail(const absl::Status& status) {
  LogError(std::string(status.message()));
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
                 absl::IsAlreadyExists(status) || absl::IsPermissionDenied(status)
             ? kExitUsage
             : kExitFailed;
}

void PrintResult(const RunOptions& options, const RunView& view, const PrivacyConfig& privacy,
                 int exit_code) {
  if (options.is_json) {
    std::puts(ResultJson(ResultOf(view, privacy, exit_code)).c_str());
    return;
  }
  const RenderOptions render{.width = SizeOf(STDOUT_FILENO).width,
                             .height = 1000,
                             .has_colour = WantsColour(STDOUT_FILENO),
                             .has_unicode = WantsUnicode()};
  std::fputs(ClosingTable(view, render).c_str(), stdout);
}

}  // namespace

int RunCommand(const RunOptions& options) {
  KeepMemoryPrivate();
  if (const absl::Status tested = SelfTestCrypto(); !tested.ok()) return Fail(tested);
  if (options.roster_path.empty()) {
    return Fail(absl::InvalidArgumentError(
        "who may take part? Give --roster FILE, made by `skerry-coordinator keys roster`"));
  }
  auto roster = RosterFile::Load(options.roster_path);
  if (!roster.ok()) return Fail(roster.status());
  auto run = PrepareRun(options, roster->roster(), SystemClock().WallUnixMs());
  if (!run.ok()) return Fail(run.status());
  const std::optional<std::string> replayed_sha256 = run->replayed_sha256;
  const std::string run_dir = run->store->run_dir();
  const PrivacyConfig privacy = run->job.privacy;

  // The authenticator reads this roster, which the shell keeps up to date.
  auto shared_roster = std::make_unique<RosterFile>(*std::move(roster));
  auto router = Listen(options, run->job, *shared_roster);
  if (!router.ok()) return Fail(router.status());
  CatchSignals(router->wakeup());
  const std::string address = router->addresses()[0];
  auto history = ReadRunHistory(run_dir);
  if (!history.ok()) return Fail(history.status());
  LogInfo(fmt::format("run {} in {}, listening on {}", run->info.run_id.value(), run_dir, address));
  if (options.endpoint_path.has_value()) {
    const absl::Status written = WriteFileAtomically(*options.endpoint_path, address + "\n");
    if (!written.ok()) return Fail(written);
  }

  CoordinatorShell shell(*std::move(run), *shared_roster, *std::move(router),
                         RunDisplay(*history, std::make_unique<TerminalView>(STDERR_FILENO)),
                         g_is_stopping);
  const absl::StatusOr<RunEnded> ended = shell.Run();
  int exit_code = kExitFailed;
  if (!ended.ok()) {
    LogError(fmt::format("{}; resume with --resume --run-dir {}",
                         std::string(ended.status().message()), run_dir));
  } else if (ended->status == RunStatus::kCompleted) {
    exit_code =
        replayed_sha256.has_value() ? CompareReplay(shell.view(), *replayed_sha256) : kExitDone;
  } else if (ended->status == RunStatus::kBudgetExhausted) {
    LogWarning(ended->detail);
    exit_code = kExitBudget;
  } else {
    LogError(ended->detail);
    if (ended->status == RunStatus::kInterrupted) {
      exit_code = g_signal == SIGTERM ? kExitDone : kExitInterrupted;
    }
  }
  if (const absl::Status report = WriteReport(run_dir); !report.ok()) {
    LogWarning(fmt::format("no report: {}", std::string(report.message())));
  } else {
    LogInfo(fmt::format("report: {}/report.html", run_dir));
  }
  PrintResult(options, shell.view(), privacy, exit_code);
  return exit_code;
}

}  // namespace skerry
