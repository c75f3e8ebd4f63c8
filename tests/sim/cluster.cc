#include "tests/sim/cluster.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

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
  if (survivors.size() < static_cast<size_t>(scenario.round.quorum)) {
    violate(fmt::format("{} survivors are fewer than the quorum", survivors.size()));
  }
  const ModelVersion version(round.round.value());
  const SharedModel before = result.log.models.at(ModelVersion(version.value() - 1));
  const absl::StatusOr<std::vector<float>> expected =
      trainer.NextModel(survivors, round.round, before->values());
  const std::span<const float> got = result.log.models.at(version)->values();
  if (!expected.ok() || !std::equal(expected->begin(), expected->end(), got.begin(), got.end())) {
    violate("the model is not what its survivors make it");
  }
}

void CheckRun(const Scenario& scenario, const QuadraticTrainer& trainer, RunResult& result) {
  const RunLog& log = result.log;
  if (!log.ended) {
    result.violations.push_back(fmt::format("after {:.0f} s the run has not ended, {} rounds done",
                                            Seconds(result.took), log.committed.size()));
  } else if (scenario.secagg.enabled && log.ended->status == RunStatus::kFailed &&
             log.ended->detail.find("was given up") != std::string::npos) {
    // Crashes took too many keys three times: an end without a model is right.
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
  for (const auto& [training, count] : log.trainings) {
    if (count == 1) continue;
    result.violations.push_back(fmt::format("{} was trained {} times in round {}",
                                            std::get<NodeId>(training).value(), count,
                                            std::get<RoundId>(training).value()));
  }
}

}  // namespace

RunResult RunCluster(const Scenario& scenario) {
  RunResult result;
  EventQueue events;
  LoopbackNetwork network(events, scenario.network, Rng::Derive(scenario.weather, "network"));
  const QuadraticTrainer trainer(scenario.seed, static_cast<size_t>(scenario.dimension),
                                 scenario.node_count);
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
