// The agent's half of a job: joins, takes tasks, has nodes trained, brings their uploads to the
// coordinator. Knows no sockets, files, torch or OpenSSL, reads no clock and draws no global
// randomness: the same inputs give the same outputs.
//
// Inputs are the link's state, a message, finished work, or "it is now t". Calls carry
// non-decreasing `now`. After each call the caller drains the outbox (session_outbox.h), pulls
// NextBulk while the socket can take it, and asks NextDeadline() again. One thread.
//
// A process keeps what is finished through everything but its own end: a link or a coordinator that
// comes back with the same run gets the identical bytes again, and nothing is trained twice.
// Everything of another run is forgotten.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "agent/session/session_data.h"
#include "agent/session/session_inputs.h"
#include "agent/session/session_options.h"
#include "agent/session/session_outbox.h"
#include "agent/session/session_phases.h"
#include "common/base/clock.h"
#include "common/base/rng.h"

namespace skerry {

class SessionMachine {
 public:
  // `rng` draws content ids and the jitter of retries: seeded differently in every process.
  SessionMachine(SessionOptions options, SessionFunctions functions, Rng rng);

  void Handle(const SessionInput& input, Instant now, SessionOutbox& out);
  // A message that passed protocol::Decode, with its raw frame if it came with one.
  void HandleMessage(const proto::Envelope& message, std::optional<std::span<const uint8_t>> raw,
                     Instant now, SessionOutbox& out);
  void HandleDeadline(Instant now, SessionOutbox& out);
  // Nothing happens before this instant unless an input arrives; empty: only inputs matter. May
  // become earlier or later by NextBulk.
  std::optional<Instant> NextDeadline() const;

  // Whether NextBulk may have something; only then the shell waits for the socket to become free.
  bool has_bulk() const;
  // The next offer or chunk, to be sent behind everything that was in an outbox before.
  std::optional<BulkMessage> NextBulk(Instant now);

  bool is_finished() const { return std::holds_alternative<Ended>(phase_); }
  // "joining", for people.
  std::string_view phase_name() const { return NameOf(phase_); }
  // Valid until the next call.
  const SessionData& data() const { return data_; }

 private:
  SessionData data_;
  SessionPhase phase_;
};

}  // namespace skerry
