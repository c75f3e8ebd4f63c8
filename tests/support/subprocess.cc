#include "tests/support/subprocess.h"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace skerry {
namespace {

int CountOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

int MillisecondsUntil(Instant deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SystemClock().Now());
  return static_cast<int>(std::max<int64_t>(left.count(), 0));
}

void CloseIfOpen(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

}  // namespace

Subprocess::Subprocess(std::vector<std::string> arguments, const std::string& directory) {
  int output[2];
  int error[2];
  SKERRY_ASSERT(::pipe2(output, O_CLOEXEC) == 0 && ::pipe2(error, O_CLOEXEC) == 0);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  pid_ = ::fork();
  SKERRY_ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no orphans if the test itself dies
    ::dup2(output[1], STDOUT_FILENO);
    ::dup2(error[1], STDERR_FILENO);
    if (!directory.empty() && ::chdir(directory.c_str()) != 0) ::_exit(127);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(output[1]);
  ::close(error[1]);
  output_fd_ = output[0];
  error_fd_ = error[0];
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_fd_(std::exchange(other.output_fd_, -1)),
      error_fd_(std::exchange(other.error_fd_, -1)),
      output_(std::move(other.output_)),
      error_(std::move(other.error_)) {}

Subprocess::~Subprocess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  CloseIfOpen(output_fd_);
  CloseIfOpen(error_fd_);
}

void Subprocess::Signal(int signal_number) {
  if (pid_ > 0) ::kill(pid_, signal_number);
}

bool Subprocess::WaitForText(const std::string& text, int count, std::chrono::seconds deadline) {
  const Instant until = SystemClock().Now() + deadline;
  while (CountOf(output_, text) + CountOf(error_, text) < count) {
    const int left_ms = MillisecondsUntil(until);
    if (left_ms == 0 || !ReadSome(left_ms)) {
      return CountOf(output_, text) + CountOf(error_, text) >= count;
    }
  }
  return true;
}

bool Subprocess::ReadFor(std::chrono::milliseconds duration) {
  const Instant until = SystemClock().Now() + duration;
  for (;;) {
    const int left_ms = MillisecondsUntil(until);
    if (!ReadSome(left_ms)) return false;
    if (left_ms == 0) return true;
  }
}

int Subprocess::WaitForExit(std::chrono::seconds deadline) {
  SKERRY_ASSERT(pid_ > 0);
  const Instant until = SystemClock().Now() + deadline;
  bool is_late = false;
  for (;;) {
    const int left_ms = MillisecondsUntil(until);
    is_late = left_ms == 0;
    if (is_late || !ReadSome(left_ms)) break;
  }
  if (is_late) ::kill(pid_, SIGKILL);
  int status = 0;
  rusage usage = {};
  SKERRY_ASSERT(::wait4(pid_, &status, 0, &usage) == pid_);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  cpu_seconds_ = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  peak_memory_mib_ = static_cast<double>(usage.ru_maxrss) / 1024;
  pid_ = -1;
  if (is_late) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool Subprocess::ReadSome(int timeout_ms) {
  pollfd files[2] = {{output_fd_, POLLIN, 0}, {error_fd_, POLLIN, 0}};
  if (output_fd_ < 0 && error_fd_ < 0) return false;
  if (::poll(files, 2, timeout_ms) < 0) return errno == EINTR;
  char buffer[65536];
  const auto read_from = [&](const pollfd& file, int& fd, std::string& text) {
    if (file.revents == 0) return;
    const ssize_t got = ::read(fd, buffer, sizeof(buffer));
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
    if (got == 0) CloseIfOpen(fd);
  };
  read_from(files[0], output_fd_, output_);
  read_from(files[1], error_fd_, error_);
  return true;
}

}  // namespace skerry
