// A real process for end-to-end tests: its stdout and stderr are read through pipes, so a test
// waits for what the process says, never for time to pass. Killed with SIGKILL when destroyed.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace skerry {

class Subprocess {
 public:
  // Starts `arguments[0]` with the rest as its arguments, in `directory` (empty: the current one).
  explicit Subprocess(std::vector<std::string> arguments, const std::string& directory = "");
  ~Subprocess();
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&&) = delete;

  // Reads until `text` has appeared in stdout or stderr together `count` times since the start.
  // False if the process closed both or `deadline` passed before.
  bool WaitForText(const std::string& text, int count = 1,
                   std::chrono::seconds deadline = std::chrono::seconds(240));
  // Reads what comes within `duration`. False if the process has closed both.
  bool ReadFor(std::chrono::milliseconds duration);
  // Reads to the end and returns the exit status; 128 + n if signal n ended it. Kills the process
  // and returns -1 if `deadline` passed before.
  int WaitForExit(std::chrono::seconds deadline = std::chrono::seconds(240));

  // What the process used, once it has ended.
  double cpu_seconds() const { return cpu_seconds_; }
  double peak_memory_mib() const { return peak_memory_mib_; }

  void Signal(int signal_number);
  int pid() const { return pid_; }
  bool is_running() const { return pid_ > 0; }
  // What was read so far.
  const std::string& standard_output() const { return output_; }
  const std::string& standard_error() const { return error_; }

 private:
  // Reads what is there, waiting up to `timeout_ms`. False once both pipes are closed.
  bool ReadSome(int timeout_ms);

  int pid_ = -1;
  int output_fd_ = -1;
  int error_fd_ = -1;
  std::string output_;
  std::string error_;
  double cpu_seconds_ = 0;
  double peak_memory_mib_ = 0;
};

}  // namespace skerry
