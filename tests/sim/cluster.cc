#include "tests/sim/cluster.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/secagg/job_encoding.h"
#include "tests/sim/simulated_agent.h"
#include "tests/sim/simulated_coordinator.h"

namespace skerry {
namespace {

// Virtual. Faults stop after a minute; whatever is waited for then takes well below that again for
// each round, unless something is waited for in vain.
constexpr Duration kTimeMax = std::chrono::minutes(30);

std::vector<NodeId> Survivors(const RoundCommitted& round) {
  std::vector<NodeId> survivors;
  for (const ParticipantRecord& participant : round.participants) {
    if (participant.participation == Participation::kAccepted) {
      survivors.push_back(participant.node);
    }
  }
  return survivors;
}

void CheckRound(const RoundCommitted& round, const Scenario& scenario,
                const QuadraticTrainer& trainer, RunResult& result) {
  const auto violate = [&](std::string_view what) {
    result.violations.push_back(fmt::format("round {}: {}", round.round.value(), what));
  };
  const std::vector<NodeId> survivors = Survivors(round);
  const auto started = result.log.started.find(round.round);
  if (started == result.log.started.end()) {
    violate("committed but never begun");
    return;
  }
  const std::vector<NodeId>& invited = started->second.invited;
  if (!std::is_sorted(survivors.begin(), survivors.end(), std::less_equal<>())) {
    violate("a survivor is recorded twice");
  }
  if (!std::includes(invited.begin(), invited.end(), survivors.begin(), survivors.end())) {
    violate("a survivor was not invited");
  }
  const ModelVersion version(round.round.value());
  const SharedModel before = result.log.models.at(ModelVersion(version.value() - 1));
  const std::span<const float> got = result.log.models.at(version)->values();
  if (round.is_skipped) {
    if (!std::ranges::equal(before->values(), got)) violate("it was skipped and changed the model");
    return;
  }
  if (survivors.size() < static_cast<size_t>(scenario.round.quorum)) {
    violate(fmt::format("{} survivors are fewer than the quorum", survivors.size()));
  }
  std::vector<RingElement> sum =
      trainer.SumOf(survivors, round.round, before->values(), round.attempt);
  const auto noisy = result.log.noisy_sums.find({round.round, round.attempt});
  if (noisy != result.log.noisy_sums.end()) {  // one draw of noise, and of this very sum
    if (noisy->second.survivors != survivors) violate("its noise is on another sum");
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += noisy->second.noise[i];
    if (noisy->second.sum != sum) violate("what was stored is not its sum with one draw of noise");
  } else if (scenario.adds_noise()) {
    violate("committed before its noise was durable");
  }
  const absl::StatusOr<std::vector<float>> expected =
      trainer.Apply(sum, survivors.size(), before->values());
  if (!expected.ok() || !std::equal(expected->begin(), expected->end(), got.begin(), got.end())) {
    violate("the model is not what its survivors make it");
  }
  if (!scenario.privacy.enabled) return;
  for (const NodeId& node : survivors) {
    if (result.log.site_charges.contains({node, round.round, round.attempt})) continue;
    violate(fmt::format("the site of {} was not charged", node.value()));
  }
}

// The coordinator's ledger: each attempt once, every committed one, and no more than there is.
void CheckCharges(const Scenario& scenario, RunResult& result) {
  std::set<std::pair<RoundId, AttemptId>> charged;
  for (const BudgetCharged& charge : result.log.charges) {
    if (charged.emplace(charge.round, charge.attempt).second) continue;
    result.violations.push_back(fmt::format("round {}, attempt {} was charged twice",
                                            charge.round.value(), charge.attempt.value()));
  }
  for (const RoundCommitted& round : result.log.committed) {
    if (charged.contains({round.round, round.attempt})) continue;
    result.violations.push_back(
        fmt::format("round {} was committed without a charge", round.round.value()));
  }
  if (static_cast<int64_t>(charged.size()) > scenario.charges_max) {
    result.violations.push_back("more was charged than the budget bears");
  }
  std::map<NodeId, int64_t> released;
  for (const auto& [node, round, attempt] : result.log.site_charges) ++released[node];
  for (const auto& [node, count] : released) {
    if (scenario.site_releases_max == 0 || count <= scenario.site_releases_max) continue;
    result.violations.push_back(fmt::format("{} released {} updates, its site allows {}",
                                            node.value(), count, scenario.site_releases_max));
  }
}

// Whether a run may end so early: crashes took what it needed.
bool IsHonestEnd(const Scenario& scenario, const RunLog& log) {
  const RunEnded& ended = *log.ended;
  if (ended.status == RunStatus::kFailed &&
      ended.detail.find("was given up") != std::string::npos) {
    return scenario.secagg.enabled;  // too many keys were lost three times
  }
  if (!scenario.privacy.enabled) return false;
  if (ended.status == RunStatus::kBudgetExhausted) {
    return static_cast<int64_t>(log.charges.size()) == scenario.charges_max;
  }
  // A node that was restarted after its charge takes no part in that attempt any more, and one
  // whose budget is spent in none.
  return ended.status == RunStatus::kFailed && log.agent_crashes > 0 &&
         ended.detail.find("can get") != std::string::npos;
}

void CheckRun(const Scenario& scenario, const QuadraticTrainer& trainer, RunResult& result) {
  const RunLog& log = result.log;
  if (!log.ended) {
    result.violations.push_back(fmt::format("after {:.0f} s the run has not ended, {} rounds done",
                                            Seconds(result.took), log.committed.size()));
  } else if (IsHonestEnd(scenario, log)) {
    result.is_given_up = true;
  } else if (log.ended->status != RunStatus::kCompleted) {
    result.violations.push_back(fmt::format("the run ended early: {}", log.ended->detail));
  } else if (log.committed.size() != static_cast<size_t>(scenario.round.count)) {
    result.violations.push_back(
        fmt::format("{} rounds instead of {}", log.committed.size(), scenario.round.count));
  }
  for (const RoundCommitted& round : log.committed) {
    CheckRound(round, scenario, trainer, result);
  }
  if (scenario.privacy.enabled) CheckCharges(scenario, result);
  for (const auto& [training, count] : log.trainings) {
    if (count == 1) continue;
    result.violations.push_back(fmt::format("{} was trained {} times in round {}",
                                            std::get<NodeId>(training).value(), count,
                                            std::get<RoundId>(training).value()));
  }
}

QuadraticTrainer TrainerOf(const Scenario& scenario) {
  const auto dimension = static_cast<size_t>(scenario.dimension);
  if (!scenario.privacy.enabled) {
    return QuadraticTrainer(scenario.seed, dimension, scenario.node_count);
  }
  absl::StatusOr<UpdateEncoding> encoding = EncodingOf(JobOf(scenario), dimension);
  SKERRY_ASSERT(encoding.ok());
  return QuadraticTrainer(scenario.seed, *std::move(encoding));
}

}  // namespace

RunResult RunCluster(const Scenario& scenario) {
  RunResult result;
  EventQueue events;
  LoopbackNetwork network(events, scenario.network, Rng::Derive(scenario.weather, "network"));
  const QuadraticTrainer trainer = TrainerOf(scenario);
  const ClusterContext context{.scenario = scenario,
                               .events = events,
                               .network = network,
                               .trainer = trainer,
                               .log = result.log};
  SimulatedCoordinator coordinator(context, Rng::Derive(scenario.weather, "coordinator"));
  std::map<ProcessName, std::vector<NodeId>> hosted;
  const std::vector<NodeId> nodes = scenario.nodes();
  for (int i = 0; i < scenario.node_count; ++i) {
    hosted[scenario.ProcessOf(i)].push_back(nodes[static_cast<size_t>(i)]);
  }
  Rng order = Rng::Derive(scenario.weather, "order");
  std::vector<std::unique_ptr<SimulatedAgent>> agents;
  for (auto& [name, names] : hosted) {
    order.Shuffle(names);
    agents.push_back(
        std::make_unique<SimulatedAgent>(context, name, std::move(names), Rng(order.NextU64())));
    events.After(std::chrono::microseconds(order.Below(2'000'000)),
                 [agent = agents.back().get()] { agent->Start(); });
  }

  coordinator.Start();
  while (!result.log.ended && events.now() < Instant() + kTimeMax && events.RunNext()) {
  }

  result.took = events.now() - Instant();
  result.message_count = network.message_count();
  result.violations = result.log.violations;
  CheckRun(scenario, trainer, result);
  result.model_sha256 = result.log.standing.model_sha256;
  const SharedModel& last =
      result.log.models.at(ModelVersion(result.log.standing.last_committed.value()));
  result.model.assign(last->values().begin(), last->values().end());
  return result;
}

}  // namespace skerry
