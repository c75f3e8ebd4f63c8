#include "coordinator/shell/run_setup.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/version.h"
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "common/config/privacy_rules.h"
#include "common/crypto/hex.h"
#include "common/crypto/random_bits.h"
#include "common/ml/model.h"
#include "common/ml/trainer.h"
#include "common/privacy/poisson_sampling.h"
#include "common/privacy/privacy_plan.h"
#include "common/protocol/limits.h"
#include "common/secagg/job_encoding.h"
#include "coordinator/shell/clip_state.h"
#include "coordinator/shell/coordinator_noise.h"
#include "coordinator/shell/guarantee.h"
#include "coordinator/shell/run_amendment.h"
#include "coordinator/store/checkpoint.h"

namespace skerry {
namespace {

RunId NewRunId() {
  std::array<uint8_t, 16> bytes;
  SystemRandom().Fill(bytes);
  return RunId(HexOf(bytes));
}

std::string DefaultRunDir(int64_t wall_unix_ms) {
  return fmt::format("runs/{:%Y%m%d-%H%M%S}", fmt::gmtime(wall_unix_ms / 1000));
}

// Everything about a job that can be known before anybody joins.
absl::StatusOr<UpdateEncoding> CheckJob(const JobConfig& job, const ParameterLayoutPtr& layout) {
  auto encoding = EncodingOf(job, layout->element_count());
  if (!encoding.ok()) return Annotate(encoding.status(), "encoding");
  // The nodes will make the same trainer; what it cannot do is better known now.
  SKERRY_RETURN_IF_ERROR(Trainer::Create(job, {}).status());
  return encoding;
}

// Null without differential privacy.
absl::StatusOr<std::shared_ptr<const BudgetPolicy>> BudgetOf(const JobConfig& job) {
  if (!job.privacy.enabled || job.is_rehearsal) return nullptr;
  SKERRY_ASSIGN_OR_RETURN(const int64_t charges_max, RoundsWithin(job));
  const PrivacyEvent event = EventOfRounds(job, 1);
  const bool is_secret = HasSecretCohorts(job);
  BudgetPolicy budget{
      .charges_max = charges_max,
      .is_charged_at_start = job.privacy.placement == NoisePlacement::kAgent,
      .is_noise_central = job.privacy.placement == NoisePlacement::kCoordinator,
      .noise_multiplier = event.noise_multiplier,
      .sampling_rate = is_secret ? job.privacy.sampling.rate : event.sampling.amplifying_rate(),
      .steps = event.steps,
      .colluders = job.secagg.enabled ? job.secagg.colluders : 0,
      .noisy_survivors = NoisySurvivors(job),
      // So many are proved to fit, even where the quick bound does not say so.
      .epsilon_after = [job, charges_max](int64_t charges) {
        const double quick = QuickEpsilonAfter(job, charges);
        return charges <= charges_max ? std::min(quick, *job.privacy.epsilon) : quick;
      }};
  if (is_secret) {
    budget.insider_epsilon_after = [job](int64_t charges) {
      return InsiderEpsilonOf(job, charges);
    };
  }
  return std::make_shared<const BudgetPolicy>(std::move(budget));
}

// Null unless the job's cohorts are secret. A rehearsal is for every node.
absl::StatusOr<std::shared_ptr<const SecretCohortPolicy>> SecretCohortsOf(const JobConfig& job) {
  if (!HasSecretCohorts(job) || job.is_rehearsal) return nullptr;
  SKERRY_ASSIGN_OR_RETURN(const PoissonSampling coins,
                          PoissonSampling::Create(job.privacy.sampling.rate));
  const CohortBounds bounds = SecretCohortBounds(job);
  return std::make_shared<const SecretCohortPolicy>(SecretCohortPolicy{
      .nodes = static_cast<size_t>(job.round.nodes),
      .smallest = static_cast<size_t>(bounds.smallest),
      .largest = static_cast<size_t>(bounds.largest),
      .able_min = static_cast<size_t>(
          std::ceil(static_cast<double>(bounds.smallest) / job.privacy.sampling.rate)),
      .is_noise_filled_up = job.privacy.placement == NoisePlacement::kDistributed,
      .draw = [coins](uint32_t count) { return coins.Draw(count, SystemRandom()); }});
}

// Makes the newest model from the newest checkpoint and the aggregates after it.
absl::StatusOr<SharedModel> RestoreModel(const PreparedRun& run, RunStore& store,
                                         const RestoredStore& restored, Aggregator& aggregator,
                                         ParameterVector model) {
  for (const RoundId round : restored.replay) {
    SKERRY_ASSIGN_OR_RETURN(const ParameterVector aggregate,
                            store.ReadAggregate(round, run.layout));
    aggregator.Replay(model, aggregate);
  }
  const std::string sha256 = ModelSha256(model);
  const std::string& expected = restored.run.last_committed.value() == 0
                                    ? run.info.initial_sha256
                                    : restored.run.model_sha256;
  if (sha256 != expected) {
    return absl::DataLossError(
        fmt::format("{}: the model of round {} has SHA-256 {}, recorded was {}: the checkpoint or "
                    "run.db was changed",
                    store.run_dir(), restored.run.last_committed.value(), sha256, expected));
  }
  return SharedModel(std::make_shared<ParameterVector>(std::move(model)));
}

// Fails if the job's clip norm cannot begin where it is to begin.
absl::StatusOr<std::optional<AdaptiveClip>> AdaptiveClipOf(const PreparedRun& run) {
  const PrivacyConfig& privacy = run.job.privacy;
  if (!privacy.enabled || !privacy.adaptive_clip.has_value()) return std::nullopt;
  return AdaptiveClip::Create(*privacy.adaptive_clip,
                              SmallestClip(run.layout->element_count(), run.encoding.scale_bits()),
                              privacy.clip_norm);
}

// `joined`: of the newest checkpoint; null before the first one.
absl::Status MakeAggregator(std::shared_ptr<const Strategy> strategy, StrategyState state,
                            const ParameterVector* joined, PreparedRun& run) {
  Aggregator::Options options{.encoding = run.encoding,
                              .layout = run.layout,
                              .strategy = strategy,
                              .run_dir = run.store->run_dir(),
                              .checkpoint_every = run.job.storage.checkpoint_every,
                              .round_count = RoundCount(run.policy),
                              .clip_norm = run.job.privacy.clip_norm};
  if (AddsNoise(run.job)) {
    options.noise = [job = run.job, encoding = run.encoding](double clip_norm,
                                                             uint32_t update_count) {
      return CoordinatorNoise(job, encoding, clip_norm, update_count);
    };
  }
  SKERRY_ASSIGN_OR_RETURN(options.adaptive_clip, AdaptiveClipOf(run));
  std::optional<float> clip_norm;
  if (options.adaptive_clip.has_value()) {
    SKERRY_ASSIGN_OR_RETURN(const ParameterLayoutPtr moments, strategy->StateLayout(run.layout));
    SKERRY_ASSIGN_OR_RETURN(options.clip_state_layout, ClipStateLayout(moments));
    clip_norm = options.adaptive_clip->initial();
    if (joined != nullptr) {
      ClipState split = SplitClipState(*joined, moments);
      state = std::move(split.strategy);
      clip_norm = split.clip_norm;
    }
    run.restored.clip_norm = *clip_norm;
  }
  SKERRY_RETURN_IF_ERROR(strategy->ValidateState(run.layout, state));
  run.aggregator = std::make_unique<Aggregator>(std::move(options), std::move(state), clip_norm);
  return absl::OkStatus();
}

// The sum of an open round that was complete when the coordinator stopped.
absl::Status RestoreOpenSum(PreparedRun& run) {
  if (!run.restored.open_round.has_value()) return absl::OkStatus();
  const RoundStarted& open = *run.restored.open_round;
  SKERRY_ASSIGN_OR_RETURN(run.restored.noisy_survivors,
                          run.aggregator->RestoreNoisySum(open.round, open.attempt));
  const bool is_sealed =
      run.restored.session.has_value() && !run.restored.session->survivors().empty();
  if (run.restored.noisy_survivors.has_value() || !is_sealed) return absl::OkStatus();
  return run.aggregator->RestoreSum(open.round, open.attempt);
}

// What a changed job makes of the round that is open: nodes hold it against the job, and what has
// left them belongs to the old one, so it is begun anew as another attempt.
absl::StatusOr<std::vector<Record>> ReopenUnder(const PreparedRun& run, const RunHistory& history) {
  std::vector<Record> records;
  if (!history.open_round || (!run.job.secagg.enabled && !run.job.privacy.enabled)) return records;
  RoundStarted started = *history.open_round;
  if (started.attempt.value() >= protocol::kRoundAttemptsMax) {
    return absl::InvalidArgumentError(
        fmt::format("{}: round {} is in its last attempt; resume the run with its old job first",
                    history.run_dir, started.round.value()));
  }
  started.attempt = AttemptId(started.attempt.value() + 1);
  records.emplace_back(started);
  if (run.policy.budget != nullptr && run.policy.budget->is_charged_at_start) {
    const BudgetPolicy& budget = *run.policy.budget;
    const auto charges = static_cast<int64_t>(history.charges.size()) + 1;
    records.emplace_back(BudgetCharged{.round = started.round,
                                       .attempt = started.attempt,
                                       .noise_multiplier = budget.noise_multiplier,
                                       .noise_realised = budget.noise_multiplier,
                                       .sampling_rate = budget.sampling_rate,
                                       .steps = budget.steps,
                                       .epsilon_spent = budget.epsilon_after(charges)});
  }
  return records;
}

// Opens the run's store, with the job as it is now.
absl::Status OpenStore(const RunOptions& options, int64_t wall_unix_ms, PreparedRun& run) {
  SKERRY_ASSIGN_OR_RETURN(const RunHistory history, ReadRunHistory(options.run_dir));
  SKERRY_ASSIGN_OR_RETURN(const JobConfig recorded,
                          ParseJob(history.info.job_yaml, options.run_dir + "/run.db"));
  SKERRY_ASSIGN_OR_RETURN(const std::string changes, DescribeChanges(history, recorded, run.job));
  if (history.status == RunStatus::kCompleted && run.job.round.count == recorded.round.count) {
    return absl::InvalidArgumentError(
        fmt::format("{}: the run is complete; --set round.count=N with N above {} goes on",
                    options.run_dir, history.rounds.size()));
  }
  std::vector<Record> records;
  if (!changes.empty()) {
    SKERRY_RETURN_IF_ERROR(CheckRoundsLeft(history, run.job));
    SKERRY_ASSIGN_OR_RETURN(records, ReopenUnder(run, history));
    records.emplace_back(EventRecorded{.round = RoundId(history.rounds.size()),
                                       .kind = "job changed",
                                       .node = {},
                                       .detail = changes});
  }
  run.info = history.info;
  SKERRY_ASSIGN_OR_RETURN(RunStore store,
                          RunStore::Open(options.run_dir, std::string(kVersion), wall_unix_ms));
  run.store = std::make_unique<RunStore>(std::move(store));
  if (changes.empty()) return absl::OkStatus();
  LogInfo(fmt::format("the run goes on with a changed job: {}", changes));
  run.info.job_yaml = ResolvedYaml(run.job);
  run.info.guarantee = GuaranteeOf(run.job);
  run.info.rounds_planned = RoundCount(run.policy);
  return run.store->Amend(run.info, records, wall_unix_ms);
}

absl::Status OpenExisting(const RunOptions& options, int64_t wall_unix_ms, PreparedRun& run) {
  SKERRY_RETURN_IF_ERROR(OpenStore(options, wall_unix_ms, run));
  SKERRY_ASSIGN_OR_RETURN(const RestoredStore restored, run.store->Restore());
  std::shared_ptr<const Strategy> strategy = MakeStrategy(run.job.strategy);
  SKERRY_ASSIGN_OR_RETURN(ParameterLayoutPtr state_layout, strategy->StateLayout(run.layout));
  StrategyState state;
  bool is_state_stored = false;
  std::optional<ParameterVector> model;
  if (restored.base_round.value() == 0) {
    SKERRY_ASSIGN_OR_RETURN(state, strategy->InitialState(run.layout));
    SKERRY_ASSIGN_OR_RETURN(LoadedCheckpoint loaded,
                            ReadCheckpoint(options.run_dir, restored.base, run.layout, nullptr));
    model = std::move(loaded.model);
  } else {
    if (run.job.privacy.enabled && run.job.privacy.adaptive_clip.has_value()) {
      SKERRY_ASSIGN_OR_RETURN(state_layout, ClipStateLayout(state_layout));
    }
    SKERRY_ASSIGN_OR_RETURN(LoadedCheckpoint loaded, ReadCheckpoint(options.run_dir, restored.base,
                                                                    run.layout, state_layout));
    state = std::move(loaded.state);
    is_state_stored = true;
    model = std::move(loaded.model);
  }
  run.restored = restored.run;
  SKERRY_RETURN_IF_ERROR(MakeAggregator(std::move(strategy), state,
                                        is_state_stored && state ? &*state : nullptr, run));
  SKERRY_RETURN_IF_ERROR(RestoreOpenSum(run));
  SKERRY_ASSIGN_OR_RETURN(
      run.model, RestoreModel(run, *run.store, restored, *run.aggregator, *std::move(model)));
  return absl::OkStatus();
}

absl::Status CreateNew(const RunOptions& options, SharedModel initial, PreparedRun& run) {
  const std::string run_dir =
      options.run_dir.empty() ? DefaultRunDir(run.info.started_unix_ms) : options.run_dir;
  SKERRY_ASSIGN_OR_RETURN(RunStore store, RunStore::Create(run_dir, run.info, *initial));
  run.store = std::make_unique<RunStore>(std::move(store));
  std::shared_ptr<const Strategy> strategy = MakeStrategy(run.job.strategy);
  SKERRY_ASSIGN_OR_RETURN(StrategyState state, strategy->InitialState(run.layout));
  SKERRY_RETURN_IF_ERROR(MakeAggregator(std::move(strategy), std::move(state), nullptr, run));
  run.model = std::move(initial);
  return absl::OkStatus();
}

absl::StatusOr<SharedModel> InitialModelOf(const RunOptions& options, const PreparedRun& run) {
  if (!options.replay_dir.has_value()) return InitialModel(run.job.model, run.job.seed);
  // A replay starts from the very bytes of the recorded run, whatever model.initial is by now.
  CheckpointFiles files;
  files.model = "models/" + CheckpointFileName(RoundId(0));
  auto loaded = ReadCheckpoint(*options.replay_dir, files, run.layout, nullptr);
  if (!loaded.ok()) {  // the first checkpoint is gone (storage.keep_models): the seed remains
    return InitialModel(run.job.model, run.job.seed);
  }
  return SharedModel(std::make_shared<ParameterVector>(std::move(loaded->model)));
}

absl::Status CheckOptions(const RunOptions& options) {
  if (options.is_resume && options.replay_dir.has_value()) {
    return absl::InvalidArgumentError("--resume and --replay exclude each other");
  }
  if (options.is_resume && options.run_dir.empty()) {
    return absl::InvalidArgumentError("--resume needs --run-dir, the run to go on with");
  }
  if (options.replay_dir.has_value() && !options.job_path.empty()) {
    return absl::InvalidArgumentError("--replay takes the job from the recorded run; give no job");
  }
  if (options.job_path.empty() && !options.is_resume && !options.replay_dir.has_value()) {
    return absl::InvalidArgumentError("which job? Give its YAML file");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PreparedRun> PrepareRun(const RunOptions& options, const Roster& roster,
                                       int64_t wall_unix_ms) {
  SKERRY_RETURN_IF_ERROR(CheckOptions(options));
  std::optional<RunHistory> recorded;
  std::string job_name = std::filesystem::path(options.job_path).stem().string();
  absl::StatusOr<JobConfig> job;
  if (options.replay_dir.has_value()) {
    SKERRY_ASSIGN_OR_RETURN(recorded, ReadRunHistory(*options.replay_dir));
    if (recorded->rounds.empty()) {
      return absl::InvalidArgumentError(fmt::format(
          "{}: no round was committed; there is nothing to replay", *options.replay_dir));
    }
    job = ParseJob(recorded->info.job_yaml, *options.replay_dir + "/run.db", options.overrides);
    job_name = recorded->info.job_name + " (replay)";
  } else if (options.is_resume && options.job_path.empty()) {
    SKERRY_ASSIGN_OR_RETURN(const RunHistory history, ReadRunHistory(options.run_dir));
    job = ParseJob(history.info.job_yaml, options.run_dir + "/run.db", options.overrides);
  } else {
    job = LoadJob(options.job_path, options.overrides);
  }
  if (!job.ok()) return job.status();
  if (recorded.has_value() && job->privacy.enabled) {
    return absl::InvalidArgumentError(
        "a run with differential privacy cannot be replayed: its noise is not known to anybody");
  }
  if (job->is_rehearsal) {
    return absl::InvalidArgumentError(
        "rehearsal is not for job files: use `skerry-coordinator rehearse JOB.yaml`");
  }
  job->is_rehearsal = options.is_rehearsal;
  if (options.is_resume) {
    SKERRY_ASSIGN_OR_RETURN(const RunHistory history, ReadRunHistory(options.run_dir));
    SKERRY_ASSIGN_OR_RETURN(const JobConfig started,
                            ParseJob(history.info.job_yaml, options.run_dir + "/run.db"));
    KeepNoise(started, *job);
  }
  if (!options.is_resume || !job->privacy.noise_multiplier || !job->privacy.epsilon) {
    SKERRY_RETURN_IF_ERROR(CompletePrivacy(*job));
  }
  SKERRY_ASSIGN_OR_RETURN(ParameterLayoutPtr layout, LayoutOf(job->model));
  SKERRY_ASSIGN_OR_RETURN(UpdateEncoding encoding, CheckJob(*job, layout));

  PreparedRun run{.job = *std::move(job),
                  .info = {},
                  .layout = std::move(layout),
                  .encoding = std::move(encoding),
                  .policy = {},
                  .store = nullptr,
                  .aggregator = nullptr,
                  .restored = {},
                  .model = nullptr,
                  .replayed_sha256 = std::nullopt};
  SKERRY_ASSIGN_OR_RETURN(run.policy.secret_cohorts, SecretCohortsOf(run.job));
  if (run.policy.secret_cohorts != nullptr &&
      roster.nodes().size() != run.policy.secret_cohorts->nodes) {
    LogWarning(
        fmt::format("the roster has {} nodes and round.nodes is {}: secret cohorts are "
                    "drawn from exactly so many, and the run will wait",
                    roster.nodes().size(), run.policy.secret_cohorts->nodes));
  } else if (roster.nodes().size() < static_cast<size_t>(run.job.round.quorum)) {
    LogWarning(fmt::format("the roster has {} nodes and a round needs {}: the run will wait",
                           roster.nodes().size(), run.job.round.quorum));
  }
  run.policy.seed = run.job.seed;
  run.policy.round = run.job.round;
  if (run.job.is_rehearsal) run.policy.round.count = 1;
  run.policy.evaluation = run.job.evaluation;
  run.policy.model_bytes = run.layout->element_count() * sizeof(float);
  run.policy.upload_bytes = run.encoding.layout().size() * sizeof(RingElement);
  run.policy.scale_bits = static_cast<uint32_t>(run.encoding.scale_bits());
  SKERRY_ASSIGN_OR_RETURN(run.policy.budget, BudgetOf(run.job));
  if (recorded.has_value()) {
    run.policy.replay = Survivors(*recorded);
    run.replayed_sha256 = recorded->rounds.back().committed.model_sha256;
  }
  if (options.is_resume) {
    SKERRY_RETURN_IF_ERROR(OpenExisting(options, wall_unix_ms, run));
    return run;
  }
  SKERRY_ASSIGN_OR_RETURN(SharedModel initial, InitialModelOf(options, run));
  run.info = RunInfo{.run_id = NewRunId(),
                     .job_name = std::move(job_name),
                     .job_yaml = ResolvedYaml(run.job),
                     .guarantee = GuaranteeOf(run.job),
                     .seed = run.job.seed,
                     .roster_sha256 = HexOf(roster.hash()),
                     .initial_sha256 = ModelSha256(*initial),
                     .software_version = std::string(kVersion),
                     .rounds_planned = RoundCount(run.policy),
                     .keep_models = static_cast<uint64_t>(run.job.storage.keep_models),
                     .started_unix_ms = wall_unix_ms,
                     .is_for_owner_only = run.policy.secret_cohorts != nullptr};
  run.restored.model_sha256 = run.info.initial_sha256;
  SKERRY_RETURN_IF_ERROR(CreateNew(options, std::move(initial), run));
  return run;
}

}  // namespace skerry
