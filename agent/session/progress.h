// Signs of life for the coordinator's stall rule: once an interval, and only if something has
// advanced. A node that hangs is not reported, however busy its neighbours are; one that waits its
// turn behind a busy neighbour is.
#pragma once

#include <optional>

#include "agent/session/session_data.h"
#include "common/base/clock.h"

namespace skerry {

void MarkTrainingProgress(SessionData& data, Instant now);
void MarkUploadProgress(SessionData& data, Instant now);
void ForgetProgress(SessionData& data);

void TakeTrainProgressed(const TrainProgressed& in, SessionData& data, Instant now);

std::optional<Instant> NextProgress(const SessionData& data);
void SendProgress(SessionData& data, Instant now, SessionOutbox& out);

}  // namespace skerry
