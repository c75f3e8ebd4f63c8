#include "coordinator/shell/rehearse_command.h"

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "coordinator/dashboard/rehearsal_table.h"
#include "coordinator/dashboard/terminal_view.h"
#include "coordinator/shell/exit_codes.h"
#include "coordinator/shell/job_server.h"
#include "coordinator/shell/rehearsal_log.h"

namespace skerry {
namespace {

constexpr double kBytesInMegabyte = 1e6;

// A folder that goes with what is in it.
class ScratchFolder {
 public:
  static absl::StatusOr<ScratchFolder> Create() {
    std::error_code error;
    std::string path =
        (std::filesystem::temp_directory_path(error) / "skerry-rehearsal-XXXXXX").string();
    if (error || ::mkdtemp(path.data()) == nullptr) {
      return absl::InternalError(fmt::format("cannot make a folder like {}", path));
    }
    return ScratchFolder(std::move(path));
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// `run`'s options with what makes a rehearsal of it.
RunOptions OptionsFor(const RehearseOptions& options, const std::string& folder) {
  RunOptions run = options.run;
  run.is_rehearsal = true;
  run.run_dir = folder + "/run";
  const auto wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(options.wait).count();
  run.overrides.push_back(fmt::format("round.stall_timeout_ms={}", wait_ms));
  run.overrides.push_back(fmt::format("round.wait_timeout_ms={}", wait_ms));
  return run;
}

}  // namespace

int RehearseCommand(const RehearseOptions& options) {
  const auto folder = ScratchFolder::Create();
  if (!folder.ok()) return FailWith(folder.status());
  auto server = JobServer::Create(OptionsFor(options, folder->path()));
  if (!server.ok()) return FailWith(server.status());
  JobServer& job = **server;
  RehearsalLog log;
  double upload_bytes = 0;
  const absl::StatusOr<RunEnded> ended = job.Serve([&](const RoundMachine& machine, Instant now) {
    log.Observe(machine, now);
    upload_bytes = static_cast<double>(machine.data().policy.upload_bytes);
  });
  std::string failure;
  if (!ended.ok()) {
    failure = std::string(ended.status().message());
  } else if (ended->status == RunStatus::kInterrupted) {
    return JobServer::WasTerminated() ? kExitDone : kExitInterrupted;
  } else if (ended->status != RunStatus::kCompleted) {
    failure = ended->detail;
  }

  Rehearsal rehearsal = log.Result(job.roster(), std::move(failure));
  rehearsal.job_name = job.view().job_name;
  rehearsal.address = job.address();
  rehearsal.upload_megabytes = upload_bytes / kBytesInMegabyte;
  rehearsal.is_masked = job.job().secagg.enabled;
  if (options.run.is_json) {
    std::puts(RehearsalJson(rehearsal).c_str());
  } else {
    const RenderOptions render{.width = SizeOf(STDOUT_FILENO).width,
                               .height = 1000,
                               .has_colour = WantsColour(STDOUT_FILENO),
                               .has_unicode = WantsUnicode()};
    std::fputs(RehearsalTable(rehearsal, render).c_str(), stdout);
  }
  return IsSound(rehearsal) ? kExitDone : kExitFailed;
}

}  // namespace skerry
