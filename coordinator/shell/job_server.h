// A job that is set up and listens for its agents: what `run` and `rehearse` have in common.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/dashboard/run_view.h"
#include "coordinator/shell/coordinator_shell.h"
#include "coordinator/shell/roster_file.h"
#include "coordinator/shell/run_setup.h"

namespace skerry {

class JobServer {
 public:
  // Keeps the process's memory private, checks cryptography, reads the roster, sets the run up and
  // listens; from then on SIGINT and SIGTERM end Serve. One in a process.
  static absl::StatusOr<std::unique_ptr<JobServer>> Create(const RunOptions& options);

  // To the end of the job, with the live view on stderr. Once.
  absl::StatusOr<RunEnded> Serve(CoordinatorShell::Observer observer = {});

  // Whether the signal that ended Serve was SIGTERM.
  static bool WasTerminated();

  const JobConfig& job() const { return job_; }
  const Roster& roster() const { return roster_->roster(); }
  const std::string& run_dir() const { return run_dir_; }
  const std::string& address() const { return address_; }
  // --replay: what the recorded run ended with.
  const std::optional<std::string>& replayed_sha256() const { return replayed_sha256_; }
  const RunView& view() const { return shell_->view(); }

 private:
  JobServer() = default;

  std::unique_ptr<RosterFile> roster_;  // the authenticator and the shell refer to it
  std::unique_ptr<CoordinatorShell> shell_;
  JobConfig job_;
  std::string run_dir_;
  std::string address_;
  std::optional<std::string> replayed_sha256_;
};

}  // namespace skerry
