#include "coordinator/shell/run_command.h"

#include <cstdio>
#include <memory>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "coordinator/dashboard/closing_table.h"
#include "coordinator/dashboard/html_report.h"
#include "coordinator/dashboard/result_json.h"
#include "coordinator/dashboard/terminal_view.h"
#include "coordinator/shell/exit_codes.h"
#include "coordinator/shell/job_server.h"

namespace skerry {
namespace {

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
  if (view.privacy && view.privacy->release_count > 0) {
    result.epsilon = view.privacy->epsilon_spent;
    result.epsilon_insider = view.privacy->epsilon_insider;
  }
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
  auto server = JobServer::Create(options);
  if (!server.ok()) return FailWith(server.status());
  JobServer& job = **server;
  const absl::StatusOr<RunEnded> ended = job.Serve();
  int exit_code = kExitFailed;
  if (!ended.ok()) {
    LogError(fmt::format("{}; resume with --resume --run-dir {}",
                         std::string(ended.status().message()), job.run_dir()));
  } else if (ended->status == RunStatus::kCompleted) {
    exit_code = job.replayed_sha256().has_value()
                    ? CompareReplay(job.view(), *job.replayed_sha256())
                    : kExitDone;
  } else if (ended->status == RunStatus::kBudgetExhausted) {
    LogWarning(ended->detail);
    exit_code = kExitBudget;
  } else {
    // The view's says nothing of a secret cohort.
    LogError(job.view().hides_cohorts && ended->status == RunStatus::kFailed
                 ? fmt::format("the run failed: {}", job.view().status_detail)
                 : ended->detail);
    if (ended->status == RunStatus::kInterrupted) {
      exit_code = JobServer::WasTerminated() ? kExitDone : kExitInterrupted;
    }
  }
  if (const absl::Status report = WriteReport(job.run_dir()); !report.ok()) {
    LogWarning(fmt::format("no report: {}", std::string(report.message())));
  } else {
    LogInfo(fmt::format("report: {}/report.html", job.run_dir()));
  }
  PrintResult(options, job.view(), job.job().privacy, exit_code);
  return exit_code;
}

}  // namespace skerry
