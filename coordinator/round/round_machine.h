// The coordinator's half of every round: who is invited, who has answered, when a round is
// complete, cut or given up. Knows no sockets, files, torch or OpenSSL, reads no clock and draws no
// global randomness: the same inputs give the same outputs.
//
// Inputs are a joined node's message, a finished piece of work, a change of membership, or "it is
// now t". Calls carry non-decreasing `now`. After each call the caller drains the outbox (outbox.h)
// and asks NextDeadline() again. One thread.
//
//   Selecting -> Training -> Collecting -> [Unmasking ->] Committing -> Selecting ...
//                                                        -> Evaluating -> Finished
//
//   Selecting   draws the cohort from the roster, by (seed, round) or by secret coins that the
//               policy holds ready, never from who is connected. Waits only while the roster has
//               fewer nodes than the quorum (with coins: another number than they are for).
//   Training    fewer updates than round.quorum. Waits up to round.wait_timeout without progress of
//               anyone, then the run fails and can be resumed.
//   Collecting  the quorum is met. Nodes without progress for round.stall_timeout are cut. Complete
//               when nobody is outstanding or the cohort size is reached.
//   Unmasking   with secure aggregation: the survivors sign who they are and open the sum. Too few
//               of them left: the attempt is given up and another one begins.
//   Committing  the worker opens a masked sum, decodes it, applies the strategy and writes the
//               checkpoint.
//               With secret cohorts a round may come here at once, to end without an update.
//   Evaluating  all rounds are committed; the evaluation of the last model is outstanding.
//
// A node's stall clock counts from its last sign of life: it joined, was sent the round's task for
// the first time, reported progress, offered an upload or sent bytes of it; for a node never seen,
// from Start. A node that leaves keeps its place in the round and its clock.
//
// Delivery is at least once, so every handler is idempotent: a repeat of an accepted offer is
// answered like the first and changes nothing. A message that does not fit is refused with a
// reason, counted, and costs its sender only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "coordinator/round/inputs.h"
#include "coordinator/round/outbox.h"
#include "coordinator/round/phases.h"
#include "coordinator/round/round_data.h"
#include "coordinator/round/round_policy.h"

namespace skerry {

class RoundMachine {
 public:
  // `roster`: all nodes, sorted, without repeats. The policy's numbers are those of a valid job.
  RoundMachine(RoundPolicy policy, std::vector<NodeId> roster, RestoredRun restored);

  // Begins (or resumes) the run. Called once, first.
  void Start(Instant now, Outbox& out);
  // A round message (Progress, UploadOffer, NodeFailure) that passed protocol::Decode. Others are
  // counted and ignored. The caller has checked that a raw frame has the announced size.
  void HandleMessage(PeerId peer, const proto::Envelope& message, bool has_raw_frame, Instant now,
                     Outbox& out);
  void Handle(const Input& input, Instant now, Outbox& out);
  // At or after NextDeadline(), once the messages that have already arrived are handled: nodes are
  // judged only here.
  void HandleDeadline(Instant now, Outbox& out);
  // Nothing happens before this instant unless an input arrives; empty: only inputs matter. O(1).
  std::optional<Instant> NextDeadline() const;

  bool is_finished() const { return std::holds_alternative<Finished>(phase_); }
  // The round's data for the live view, `status` and the report. Valid until the next call.
  const RoundData& data() const { return data_; }
  // "collecting", for people.
  std::string_view phase_name() const;
  // What the machine waits for, in one line: "waiting for node-3 (training, 41 %), node-7 (not
  // connected, silent for 12 s; cut in 18 s)". Empty when it does not wait. O(participants).
  std::string WaitingFor(Instant now) const;

 private:
  template <typename In>
  void Step(const In& in, Instant now, Outbox& out);

  RoundData data_;
  std::optional<RoundStarted> open_round_;              // of RestoredRun, until Start
  std::optional<proto::SessionState> session_;          // the same
  std::optional<std::vector<NodeId>> noisy_survivors_;  // the same
  bool is_newest_skipped_ = false;                      // the same
  Phase phase_;
};

}  // namespace skerry
