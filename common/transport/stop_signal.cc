#include "common/transport/stop_signal.h"

#include <optional>
#include <signal.h>
#include <utility>

namespace skerry {
namespace {

// What a signal handler can reach.
std::atomic<bool> g_is_stopping{false};
std::atomic<int> g_signal{0};
std::optional<Wakeup> g_wakeup;

void RequestStop(int signal) {
  g_signal = signal;
  g_is_stopping = true;
  if (g_wakeup.has_value()) g_wakeup->Notify();
}

}  // namespace

void CatchStopSignals(Wakeup wakeup) {
  g_wakeup = std::move(wakeup);
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

const std::atomic<bool>& StopFlag() { return g_is_stopping; }
int StopSignal() { return g_signal; }

}  // namespace skerry
