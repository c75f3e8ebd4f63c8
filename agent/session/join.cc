#include "agent/session/join.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/session/budget.h"
#include "agent/session/round_work.h"
#include "agent/session/site_policy.h"
#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/config/model_shapes.h"
#include "common/privacy/privacy_plan.h"
#include "common/protocol/codec.h"
#include "common/protocol/limits.h"
#include "common/secagg/job_encoding.h"

namespace skerry {
namespace {

using proto::RejectReason;

absl::StatusOr<ParameterLayoutPtr> LayoutOf(const proto::Welcome& welcome) {
  std::vector<TensorShape> tensors;
  tensors.reserve(static_cast<size_t>(welcome.layout_size()));
  for (const proto::TensorInfo& tensor : welcome.layout()) {
    tensors.push_back(
        {.name = tensor.name(), .sizes = {tensor.sizes().begin(), tensor.sizes().end()}});
  }
  return ParameterLayout::Create(std::move(tensors));
}

// The announced layout decides how much memory a model takes, so it must be the job's.
absl::Status CheckLayout(const ParameterLayout& layout, const JobConfig& job) {
  SKERRY_ASSIGN_OR_RETURN(const ModelShapes shapes, InferShapes(job.model));
  const std::vector<TensorShape>& tensors = layout.tensors();
  if (tensors.size() != shapes.parameters.size()) {
    return absl::InvalidArgumentError(
        fmt::format("the job's model has {} tensors, announced are {}", shapes.parameters.size(),
                    tensors.size()));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ParameterShape& expected = shapes.parameters[i];
    if (tensors[i].name == expected.name && tensors[i].sizes == expected.sizes) continue;
    return absl::InvalidArgumentError(fmt::format(
        "tensor {} of the job's model is {} [{}], announced is {} [{}]", i, expected.name,
        fmt::join(expected.sizes, ", "), tensors[i].name, fmt::join(tensors[i].sizes, ", ")));
  }
  return absl::OkStatus();
}

// A job whose noise an accountant cannot weigh is not charged for, and so not run.
absl::Status CheckNoise(const JobConfig& job) {
  if (!job.privacy.enabled) return absl::OkStatus();
  if (!job.privacy.noise_multiplier.has_value()) {
    return absl::InvalidArgumentError(
        "privacy.noise_multiplier is missing: the job must say how much noise is added, not only "
        "which epsilon that is meant to give");
  }
  const PrivacyEvent event = EventOfRounds(job, 1);
  return CheckEvents({&event, 1});
}

// Fills run.job and run.layout, or says why this site takes no part.
absl::Status ReadRun(const proto::Welcome& welcome, const SessionData& data, Run& run) {
  SKERRY_ASSIGN_OR_RETURN(JobConfig job, data.functions.parse_job(welcome.job_yaml()));
  // Asked first: a job that is not allowed is not looked at any further.
  SKERRY_RETURN_IF_ERROR(CheckSitePolicy(
      data.options.policy, job,
      {.roster_size = welcome.roster_size(), .pinned_nodes = data.options.roster_nodes}));
  SKERRY_RETURN_IF_ERROR(CheckNoise(job));
  SKERRY_ASSIGN_OR_RETURN(run.layout, LayoutOf(welcome));
  SKERRY_RETURN_IF_ERROR(CheckLayout(*run.layout, job));
  SKERRY_RETURN_IF_ERROR(EncodingOf(job, run.layout->element_count()).status());
  run.job = std::make_shared<const JobConfig>(std::move(job));
  return absl::OkStatus();
}

// What is known of the nodes in one job.
void ForgetJob(SessionData& data) {
  for (HostedNode& node : data.nodes) {
    node.job_failure = proto::REJECT_REASON_UNSPECIFIED;
    node.budget.reset();
  }
}

void OpenJob(const proto::Welcome& welcome, SessionData& data, SessionOutbox& out) {
  Run& run = *data.run;
  if (run.round) AbandonRound(data, out);  // begun under another job
  run.job_yaml = welcome.job_yaml();
  run.refusal = proto::REJECT_REASON_UNSPECIFIED;
  run.refusal_detail.clear();
  ForgetJob(data);
  const absl::Status read = ReadRun(welcome, data, run);
  if (!read.ok()) {
    run.refusal = absl::IsPermissionDenied(read) ? proto::REJECT_REASON_POLICY
                                                 : proto::REJECT_REASON_INTERNAL;
    run.refusal_detail = std::string(read.message());
    run.data = Run::DataState::kNone;
    out.report.push_back({.kind = SessionEventKind::kJobRefused,
                          .reason = run.refusal,
                          .detail = run.refusal_detail});
    return;
  }
  data.uploads.set_chunk_bytes(static_cast<uint64_t>(run.job->transport.chunk_bytes));
  run.data = Run::DataState::kLoading;
  run.loading = data.last_loading = LoadingId(data.last_loading.value() + 1);
  out.report.push_back({.kind = SessionEventKind::kJobAccepted, .detail = run.id.value()});
  LoadDataWork work{.loading = run.loading, .job = run.job, .layout = run.layout};
  work.budgets = AskBudget(data);
  run.budget_question_count = work.budgets.size();
  out.work.push_back(std::move(work));
}

// What a node that has just joined could not tell before.
void TellFailure(const HostedNode& node, const Run& run, SessionOutbox& out) {
  const RejectReason reason =
      run.refusal != proto::REJECT_REASON_UNSPECIFIED ? run.refusal : node.job_failure;
  if (reason == proto::REJECT_REASON_UNSPECIFIED) return;
  SendFailure(node, {.round = RoundId(0), .attempt = AttemptId(0)}, reason, out);
}

// The node takes no part in the job.
void ExcludeNode(const DataProblem& problem, RejectReason reason, SessionData& data,
                 SessionOutbox& out) {
  const std::optional<HostedIndex> index = data.Find(problem.node.value());
  SKERRY_ASSERT(index.has_value());
  HostedNode& node = data.node(*index);
  if (node.job_failure != proto::REJECT_REASON_UNSPECIFIED) return;
  node.job_failure = reason;
  FailQueued(*index, reason, data);
  if (node.is_joined) TellFailure(node, *data.run, out);
  out.report.push_back({.kind = SessionEventKind::kNodeFailed,
                        .node = node.id,
                        .reason = reason,
                        .detail = problem.detail});
}

}  // namespace

void ForgetLink(SessionData& data) {
  data.link = LinkState();
  data.uploads.LinkLost();
  for (HostedNode& node : data.nodes) {
    node.is_answered = false;
    node.is_joined = false;
    node.refusal = proto::REJECT_REASON_UNSPECIFIED;
  }
}

void SendHello(const SessionData& data, SessionOutbox& out) {
  proto::Hello& hello = *out.send.emplace_back().mutable_hello();
  hello.set_version_min(protocol::kVersionMin);
  hello.set_version_max(protocol::kVersionMax);
  hello.set_software(data.options.software.substr(0, protocol::kSoftwareBytesMax));
  hello.set_process(data.options.process.value());
}

void ForgetRun(SessionData& data, SessionOutbox& out) {
  if (!data.run) return;
  AbandonRound(data, out);
  data.run.reset();
  ForgetJob(data);
}

void TakeWelcome(const proto::Welcome& welcome, SessionData& data, SessionOutbox& out) {
  const RunId id(welcome.run_id());
  if (data.run && data.run->id != id) ForgetRun(data, out);
  const bool is_new = !data.run;
  if (is_new) {
    data.run.emplace();
    data.run->id = id;
  }
  // A run may be resumed with a changed job, for example with more rounds.
  if (is_new || data.run->job_yaml != welcome.job_yaml()) OpenJob(welcome, data, out);

  data.link.nonce = welcome.nonce();
  data.link.version = welcome.version();
  data.link.unanswered_count = data.nodes.size();
  for (HostedNode& node : data.nodes) node.is_answered = false;
}

void SendJoin(SessionData& data, SessionOutbox& out) {
  proto::Join* join = nullptr;
  for (const HostedNode& node : data.nodes) {
    if (node.is_answered) continue;
    if (join == nullptr || join->nodes_size() == protocol::kJoinNodesMax) {
      join = out.send.emplace_back().mutable_join();
    }
    proto::NodeProof& proof = *join->add_nodes();
    proof.set_node(node.id.value());
    proof.set_signature(
        data.functions.sign_join({.nonce = AsBytes(data.link.nonce.data(), data.link.nonce.size()),
                                  .run_id = data.run->id.value(),
                                  .version = data.link.version,
                                  .node = node.id,
                                  .process = data.options.process}));
  }
}

void LoseNode(HostedIndex index, RejectReason reason, SessionData& data, Instant now) {
  HostedNode& node = data.node(index);
  node.is_joined = false;
  node.refusal = reason;
  // A node that another process has joined stays there: two must not fight for it.
  if (reason == proto::REJECT_REASON_NODE_ELSEWHERE || data.link.rejoin_at) return;
  data.link.rejoin_at = now + data.rejoin_wait.Next(data.rng);
}

void TakeJoinResult(const proto::JoinResult& result, SessionData& data, Instant now,
                    SessionOutbox& out) {
  for (const proto::NodeVerdict& verdict : result.nodes()) {
    const std::optional<HostedIndex> index = data.Find(verdict.node());
    if (!index) {
      ReportIgnored(fmt::format("JoinResult for {}, which is not hosted here", verdict.node()),
                    out);
      continue;
    }
    HostedNode& node = data.node(*index);
    const bool was_joined = node.is_joined;
    const RejectReason refusal_before = node.refusal;
    if (!node.is_answered) {
      node.is_answered = true;
      --data.link.unanswered_count;
    }
    if (verdict.reason() != proto::REJECT_REASON_UNSPECIFIED) {
      LoseNode(*index, verdict.reason(), data, now);
      if (was_joined) Withdraw(*index, data, now, out);
      if (verdict.reason() == refusal_before) continue;
      out.report.push_back({.kind = SessionEventKind::kNodeRefused,
                            .node = node.id,
                            .reason = verdict.reason(),
                            .detail = protocol::Describe(verdict.reason())});
      continue;
    }
    node.is_joined = true;
    node.refusal = proto::REJECT_REASON_UNSPECIFIED;
    if (was_joined) continue;
    out.report.push_back({.kind = SessionEventKind::kNodeJoined, .node = node.id});
    TellFailure(node, *data.run, out);
    if (data.uploads.is_held(*index)) data.uploads.Offer(*index);
  }
}

void RejoinRefused(SessionData& data, Instant now, SessionOutbox& out) {
  if (!data.link.rejoin_at || now < *data.link.rejoin_at) return;
  data.link.rejoin_at.reset();
  for (HostedNode& node : data.nodes) {
    const bool tries_again =
        node.is_answered && !node.is_joined && node.refusal != proto::REJECT_REASON_NODE_ELSEWHERE;
    if (!tries_again) continue;
    node.is_answered = false;
    ++data.link.unanswered_count;
  }
  SendJoin(data, out);
}

void TakeDataLoaded(const DataLoaded& in, SessionData& data, SessionOutbox& out) {
  if (!data.run || data.run->data != Run::DataState::kLoading || data.run->loading != in.loading) {
    return;  // of a run that is over
  }
  SKERRY_ASSERT(in.budgets.size() == data.run->budget_question_count);
  data.run->data = Run::DataState::kLoaded;
  for (const DataProblem& problem : in.problems) {
    ExcludeNode(problem, proto::REJECT_REASON_DATA, data, out);
  }
  for (const DataProblem& problem : TakeBudget(in.budgets, data, out)) {
    ExcludeNode(problem, proto::REJECT_REASON_POLICY, data, out);
  }
  StartTrainings(data, out);
}

}  // namespace skerry
