// SIGINT and SIGTERM for a process whose loop waits in an endpoint's Poll.
#pragma once

#include <atomic>

#include "common/transport/wakeup.h"

namespace skerry {

// From now on either signal sets StopFlag and ends the endpoint's wait; a second one ends the
// process at once. SIGPIPE is ignored. Once in a process.
void CatchStopSignals(Wakeup wakeup);

const std::atomic<bool>& StopFlag();
// The signal that was caught, 0 if there was none.
int StopSignal();

}  // namespace skerry
