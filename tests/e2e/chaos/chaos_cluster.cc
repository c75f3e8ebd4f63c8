#include "tests/e2e/chaos/chaos_cluster.h"

#include <algorithm>
#include <set>
#include <signal.h>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/privacy/ledger.h"
#include "coordinator/store/run_store.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;

// Nothing that is waited for takes as long, on however busy a machine.
constexpr Duration kPatience = std::chrono::minutes(4);
constexpr milliseconds kTick{5};

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

size_t TimesSaid(const Subprocess& process, const std::string& text) {
  return CountOf(process.standard_output(), text) + CountOf(process.standard_error(), text);
}

std::string DescribeStage(const RestoredRun& run) {
  if (!run.open_round) return "no round open";
  if (!run.session) return "round open";
  if (run.session->has_unmask_request()) return "round open, opening asked for";
  if (!run.session->survivors().empty()) return "round open, masked sum sealed";
  if (run.session->shares_size() > 0) return "round open, shares fixed";
  return "round open, keys fixed";
}

}  // namespace

ChaosJob PlainJob(int rounds) {
  return {.name = "plain",
          .text = SmallJob(),
          .overrides = {"--set", fmt::format("round.count={}", rounds), "--set",
                        "round.stall_timeout_ms=2000"},
          .rounds = rounds};
}

ChaosJob MaskedJob(int rounds) {
  ChaosJob job = PlainJob(rounds);
  job.name = "masked";
  for (const char* key : {"secagg.enabled=true", "secagg.colluders=2", "secagg.dropout_tolerance=2",
                          "secagg.min_survivors=6"}) {
    job.overrides.insert(job.overrides.end(), {"--set", key});
  }
  return job;
}

ChaosJob PrivateJob(int rounds) {
  return {.name = "private, masked",
          .text = R"(version: 1
seed: 7
model: {name: cnn_small}
data: {id: fashion, dataset: fashion_mnist, examples_max: 800, partition: {scheme: iid}}
strategy: {name: fedavgm, learning_rate: 0.5, momentum: 0.5}
round: {nodes: 8, quorum: 6, stall_timeout_ms: 2000, wait_timeout_ms: 60000}
privacy: {enabled: true, placement: distributed, epsilon: 8.0, delta: 1.0e-5, clip_norm: 0.1,
          records: 800, sampling: {rate: 0.1}}
secagg: {enabled: true, colluders: 2, dropout_tolerance: 2, min_survivors: 6}
evaluation: {every_rounds: 0}
)",
          .overrides = {"--set", fmt::format("round.count={}", rounds)},
          .is_private = true,
          .rounds = rounds};
}

ChaosCluster::ChaosCluster(ChaosJob job, uint64_t seed)
    : job_(std::move(job)),
      seed_(seed),
      deployment_({.nodes = 8, .processes = job_.processes, .link = job_.link}) {
  deployment_.StartCoordinator(job_.text, job_.overrides);
  for (int process = 0; process < job_.processes; ++process) {
    networks_.push_back(std::make_unique<ChaosProxy>(deployment_.endpoint(), process, seed));
    deployment_.DialInstead(process, networks_.back()->address());
    StartAgent(process);
  }
}

void ChaosCluster::StartAgent(int process) {
  deployment_.StartAgent(process, {"--epsilon-total", "none"});
}

// ---- reading -----------------------------------------------------------------------------------

void ChaosCluster::Watch(milliseconds duration) {
  const Instant until = SystemClock().Now() + duration;
  do {
    has_ended_ |= !coordinator().ReadFor(kTick);
    for (int process = 0; process < job_.processes; ++process) {
      agent(process).ReadFor(milliseconds(0));
    }
    SampleMemory();
  } while (SystemClock().Now() < until && !has_ended_);
}

bool ChaosCluster::WatchUntil(Subprocess& process, const std::string& text) {
  const size_t before = TimesSaid(process, text);
  const Instant until = SystemClock().Now() + kPatience;
  while (TimesSaid(process, text) == before) {
    if (has_ended_) return false;
    if (SystemClock().Now() > until) {
      ADD_FAILURE() << "seed " << seed_ << ": nobody has said '" << text << "'; the coordinator:\n"
                    << coordinator().standard_error();
      return false;
    }
    Watch(kTick);
  }
  return true;
}

bool ChaosCluster::WatchUntilCoordinatorSays(const std::string& text) {
  return WatchUntil(coordinator(), text);
}
bool ChaosCluster::WatchUntilAgentSays(int process, const std::string& text) {
  return WatchUntil(agent(process), text);
}

void ChaosCluster::SampleMemory() {
  const size_t rounds = TimesSaid(coordinator(), fmt::format("of {} done", job_.rounds));
  if (rounds == rounds_seen_) return;
  rounds_seen_ = rounds;
  const auto status = ReadFile(fmt::format("/proc/{}/status", coordinator().pid()), 1 << 16);
  if (!status.ok()) return;
  const size_t at = status->find("VmRSS:");
  if (at == std::string::npos) return;  // it has just ended
  memory_mib_.push_back(std::stod(status->substr(at + 6)) / 1024);
}

// ---- faults ------------------------------------------------------------------------------------

std::string ChaosCluster::KillCoordinator() {
  ++coordinator_kills_;
  coordinator().Signal(SIGKILL);
  EXPECT_EQ(coordinator().WaitForExit(), 128 + SIGKILL);
  auto store = RunStore::Open(deployment_.run_dir(), "a look after a kill", 0);
  EXPECT_OK(store);
  if (!store.ok()) return "unreadable";
  const absl::StatusOr<RestoredStore> restored = store->Restore();
  EXPECT_OK(restored);
  return restored.ok() ? DescribeStage(restored->run) : "unreadable";
}

void ChaosCluster::ResumeCoordinator() {
  std::vector<std::string> arguments = job_.overrides;
  arguments.push_back("--resume");
  has_ended_ = false;
  rounds_seen_ = 0;
  deployment_.StartCoordinator(job_.text, arguments);
}

void ChaosCluster::Collect(int process) { agent_words_.push_back(agent(process).standard_error()); }

void ChaosCluster::RestartAgent(int process) {
  ++agent_kills_;
  agent(process).Signal(SIGKILL);
  EXPECT_EQ(agent(process).WaitForExit(), 128 + SIGKILL);
  Collect(process);
  StartAgent(process);
}

// ---- judging -----------------------------------------------------------------------------------

RunHistory ChaosCluster::History() const {
  absl::StatusOr<RunHistory> history = ReadRunHistory(deployment_.run_dir());
  EXPECT_OK(history);
  return history.ok() ? *std::move(history) : RunHistory();
}

void ChaosCluster::ExpectNothingLost() {
  while (!has_ended_ && WatchUntilCoordinatorSays("\n")) {
  }
  const nlohmann::json result = deployment_.Result();
  std::string last_words;
  for (int process = 0; process < job_.processes; ++process) {
    // They would wait for a failed run to be resumed.
    if (result.value("status", "") == "failed") agent(process).Signal(SIGTERM);
    const int code = agent(process).WaitForExit();
    Collect(process);
    const std::string& words = agent_words_.back();
    last_words += fmt::format("\nagent {} ended with {}:\n{}", process, code,
                              words.substr(words.size() - std::min<size_t>(words.size(), 1500)));
  }
  const std::string status = result.value("status", "");
  const bool is_spent = job_.is_private && status == "budget_exhausted";
  ASSERT_TRUE(is_spent || status == "completed") << "seed " << seed_ << ": " << result << "\n"
                                                 << coordinator().standard_error() << last_words;
  const RunHistory history = History();
  EXPECT_TRUE(is_spent || history.rounds.size() == static_cast<size_t>(job_.rounds));
  for (const std::vector<NodeId>& survivors : Survivors(history)) {
    EXPECT_GE(survivors.size(), 6u) << "the quorum, seed " << seed_;
    EXPECT_EQ(std::set(survivors.begin(), survivors.end()).size(), survivors.size());
  }
  ExpectNoTrainingTwice();
  if (job_.is_private) {
    ExpectLedgersHoldEveryRelease();
  } else {
    ExpectReplayGivesTheModel(result.value("model_sha256", "none"));
  }
}

// One process trains each of its nodes once for an attempt, however often its coordinator dies. A
// masked round that is given up is begun again, by everyone, which the coordinator's events count.
void ChaosCluster::ExpectNoTrainingTwice() const {
  const RunHistory history = History();
  std::map<uint64_t, int> attempts;
  for (const RoundHistory& round : history.rounds) {
    attempts[round.committed.round.value()] = static_cast<int>(round.committed.attempt.value());
  }
  for (const std::string& words : agent_words_) {
    std::map<std::pair<uint64_t, std::string>, int> trained;
    std::istringstream lines(words);
    for (std::string line; std::getline(lines, line);) {
      const size_t at = line.find("round ");
      const size_t end = line.find(" trained");
      if (at == std::string::npos || end == std::string::npos) continue;
      const size_t colon = line.find(": ", at);
      if (colon == std::string::npos || colon > end) continue;
      ++trained[{std::stoull(line.substr(at + 6)), line.substr(colon + 2, end - colon - 2)}];
    }
    for (const auto& [what, times] : trained) {
      const auto known = attempts.find(what.first);
      EXPECT_LE(times, known == attempts.end() ? 3 : known->second)
          << what.second << " in round " << what.first << ", seed " << seed_;
    }
  }
}

void ChaosCluster::ExpectReplayGivesTheModel(const std::string& sha256) {
  const std::string socket = "ipc://" + deployment_.Path("replay");
  Subprocess keys({CoordinatorProgram(), "keys", "throw-away", "--nodes", "8", "--processes", "1",
                   "--out", deployment_.Path("keys2")});
  ASSERT_EQ(keys.WaitForExit(), 0);
  Subprocess replay({CoordinatorProgram(), "run", "--replay", deployment_.run_dir(), "--run-dir",
                     deployment_.Path("replayed"), "--listen", socket, "--roster",
                     deployment_.Path("keys2/roster.txt"), "--json"});
  ASSERT_TRUE(replay.WaitForText("listening on")) << replay.standard_error();
  Subprocess agent({AgentProgram(), "run", "--coordinator", socket, "--virtual-nodes", "0-7",
                    "--process", "process-0", "--keys", deployment_.Path("keys2/process-0"),
                    "--roster", deployment_.Path("keys2/roster.txt"), "--allow-plain",
                    "--cohort-min", "1", "--once", "--quiet"});
  EXPECT_EQ(replay.WaitForExit(), 0) << "seed " << seed_ << "\n" << replay.standard_error();
  EXPECT_THAT(replay.standard_output(), testing::HasSubstr(sha256)) << "seed " << seed_;
}

void ChaosCluster::ExpectLedgersHoldEveryRelease() {
  const RunHistory history = History();
  std::set<std::pair<uint64_t, uint32_t>> charged;
  for (const BudgetCharged& charge : history.charges) {
    EXPECT_TRUE(charged.emplace(charge.round.value(), charge.attempt.value()).second)
        << "round " << charge.round.value() << " was charged twice, seed " << seed_;
  }
  std::map<NodeId, Spending> sites;
  for (int process = 0; process < job_.processes; ++process) {
    const auto ledger = Ledger::Open(
        fmt::format("{}/process-{}/privacy-ledger.jsonl", deployment_.key_folder(), process));
    ASSERT_OK(ledger);
    for (int node = 0; node < 8; ++node) {
      if (node * job_.processes / 8 != process) continue;
      sites.emplace(NodeId(fmt::format("node-{:04}", node)), ledger->spending());
    }
  }
  for (const RoundHistory& round : history.rounds) {
    const RoundCommitted& committed = round.committed;
    EXPECT_TRUE(charged.contains({committed.round.value(), committed.attempt.value()}))
        << "round " << committed.round.value() << " was opened without a charge, seed " << seed_;
    for (const ParticipantRecord& record : committed.participants) {
      if (record.participation != Participation::kAccepted) continue;
      const Charge charge{.data_id = "fashion",
                          .node = record.node,
                          .run = history.info.run_id,
                          .release = {committed.round, committed.attempt},
                          .event = {.noise_multiplier = history.charges[0].noise_multiplier,
                                    .sampling = Sampling::Poisson(0.1),
                                    .steps = 1}};
      EXPECT_TRUE(sites.at(record.node).Has(charge))
          << record.node.value() << " in round " << committed.round.value() << ", seed " << seed_;
    }
  }
}

}  // namespace skerry
