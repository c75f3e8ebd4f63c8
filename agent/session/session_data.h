// What a session machine remembers beyond its phase: who it hosts, the link, the run, the round.
// Owned by SessionMachine; changed by join.h, round_work.h, progress.h and the phases only.
//
// A hosted node outside the current round costs a HostedNode and a map entry, about 200 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "agent/session/model_receiver.h"
#include "agent/session/session_options.h"
#include "agent/session/session_outbox.h"
#include "agent/session/upload_sender.h"
#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/privacy/spending.h"
#include "common/secagg/secagg_client.h"
#include "common/transport/back_off.h"

namespace skerry {

// What a node may still release in this run.
struct NodeBudget {
  int64_t releases_left = 0;
  std::shared_ptr<const std::string> reason{};  // why no more
};

struct HostedNode {
  NodeId id;
  // Over this link:
  bool is_answered = false;  // the coordinator gave a verdict on its join
  bool is_joined = false;
  proto::RejectReason refusal = proto::REJECT_REASON_UNSPECIFIED;
  // In this run: its data cannot be used, or its budget is spent.
  proto::RejectReason job_failure = proto::REJECT_REASON_UNSPECIFIED;
  std::optional<NodeBudget> budget{};  // none: without limit, or not known yet
};

// Names a round's training; ordered by time.
using RoundKey = ReleaseKey;

// A node's part in the current round.
struct NodeWork {
  enum class Stage {
    kQueued,  // waits for the model, its data or a worker
    kTraining,
    kTrained,  // its update waits for its masks
    kMasking,
    kDone,       // its upload is with the sender
    kFailed,     // with `failure`
    kWithdrawn,  // told to stop by the coordinator, until a task names it again
  };
  Stage stage = Stage::kQueued;
  TrainingId training;  // kTraining; the last one otherwise
  uint32_t permille = 0;
  bool has_advanced = false;  // kTraining: since the last Progress
  proto::RejectReason failure = proto::REJECT_REASON_UNSPECIFIED;
  std::unique_ptr<SecAggClient> client{};  // only if the job has secure aggregation
  std::optional<Frame> unmasked{};         // kTrained, or kWithdrawn after it; never leaves
};

struct LocalRound {
  RoundKey key;
  ModelKey model{};
  uint32_t scale_bits = 0;
  std::optional<double> clip_norm{};             // of the round, if the job's is adaptive
  std::unique_ptr<const SecAggCrypto> crypto{};  // for the clients of `nodes`; none without secagg
  std::deque<HostedIndex> queue{};               // an entry counts if its node's stage is kQueued
  absl::btree_map<HostedIndex, NodeWork> nodes{};
  // Of secure aggregation, checked; and what it was made from. With its ring, once that is drawn.
  std::shared_ptr<const SessionRoster> roster{};
  std::string roster_bytes{};
  std::string ring_bytes{};
};

struct Run {
  enum class DataState { kNone, kLoading, kLoaded };

  RunId id;
  std::string job_yaml;
  std::shared_ptr<const JobConfig> job;
  ParameterLayoutPtr layout;
  // Why this site's nodes take no part; nothing of their data is used then.
  proto::RejectReason refusal = proto::REJECT_REASON_UNSPECIFIED;
  std::string refusal_detail;

  DataState data = DataState::kNone;
  LoadingId loading;
  size_t budget_question_count = 0;  // asked with the loading

  std::shared_ptr<ParameterVector> model;  // complete and checked
  ModelKey model_key;
  std::optional<ModelReceiver> download;
  std::optional<LocalRound> round;
  // The newest round and attempt in which a masked update was made. Its like, or an older one, is
  // never begun again: two sums over almost the same nodes would give the difference away.
  std::optional<RoundKey> newest_masked;
};

// A training that the shell has not answered yet.
struct OutstandingTraining {
  RoundKey round;  // zero: of a round or run that is over
  HostedIndex node;
};

// What is known of the present connection only.
struct LinkState {
  std::string nonce;
  uint32_t version = 0;
  size_t unanswered_count = 0;            // nodes whose join has no verdict
  RoundKey floor;                         // older tasks are late repeats
  std::optional<Instant> model_asked_at;  // last request or chunk; none: not asked yet
  std::optional<Instant> rejoin_at;       // refused nodes try again
  std::optional<Instant> ping_at;         // none: the link is down, or about to be
  int unanswered_pings = 0;               // since the last message
};

struct SessionData {
  SessionData(SessionOptions options_in, SessionFunctions functions_in, Rng rng_in);

  SessionOptions options;
  SessionFunctions functions;
  Rng rng;
  // All that was charged, what is in an outbox included.
  Spending spending;
  std::vector<HostedNode> nodes;
  absl::flat_hash_map<std::string, HostedIndex> index_of;

  LinkState link;
  std::optional<Run> run;
  UploadSender uploads;
  absl::flat_hash_map<TrainingId, OutstandingTraining> trainings;
  // Updates being masked, by the training they came from.
  absl::flat_hash_map<TrainingId, OutstandingTraining> maskings;
  TrainingId last_training;
  LoadingId last_loading;

  // Since the last Progress message: a training or the model's transfer advanced, an upload did.
  bool training_advanced = false;
  bool uploads_advanced = false;
  Instant progress_at{};  // when the next message goes, if one of the above is set
  BackOff turned_away_wait;
  BackOff rejoin_wait;

  HostedNode& node(HostedIndex index) { return nodes[index.value()]; }
  const HostedNode& node(HostedIndex index) const { return nodes[index.value()]; }
  std::optional<HostedIndex> Find(const std::string& id) const;
};

// Appends a report about a message that does not fit.
void ReportIgnored(std::string detail, SessionOutbox& out);

}  // namespace skerry
