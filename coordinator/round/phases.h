// The phases of a run and how an input moves it from one to the next.
//
// Two steps answer every (phase, input) pair. Absorb (answers.h) does what the input means whatever
// the phase is: it answers the sender and updates RoundData. Settle (one a phase) then looks
// whether the phase is over and moves on, perhaps through several phases at once. A phase with an
// answer of its own declares On for that input in its header, which wins over the template below.
// An input without Absorb does not compile, so no pair is forgotten; a finished run answers
// nothing.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include "coordinator/round/answers.h"
#include "coordinator/round/phases/collecting.h"
#include "coordinator/round/phases/committing.h"
#include "coordinator/round/phases/evaluating.h"
#include "coordinator/round/phases/finished.h"
#include "coordinator/round/phases/selecting.h"
#include "coordinator/round/phases/training.h"
#include "coordinator/round/phases/unmasking.h"
#include "coordinator/round/session_answers.h"

namespace skerry {

struct Phase
    : std::variant<Selecting, Training, Collecting, Unmasking, Committing, Evaluating, Finished> {
  using variant::variant;
};

template <typename P>
concept RunningPhase = !std::same_as<P, Finished>;

template <RunningPhase P, typename In>
Phase On(P&& phase, const In& in, RoundData& data, Instant now, Outbox& out) {
  Absorb(in, data, now, out);
  return Settle(std::move(phase), data, now, out);
}

template <RunningPhase P>
Phase On(P&&, const StopRequested& in, RoundData& data, Instant, Outbox& out) {
  return Interrupt(in.detail, data, out);
}

template <RunningPhase P>
Phase On(P&&, const SumLost& in, RoundData& data, Instant, Outbox& out) {
  return Fail(in.detail, data, out);
}

template <typename In>
Phase On(Finished&& phase, const In&, RoundData&, Instant, Outbox&) {
  return std::move(phase);
}

}  // namespace skerry
