#include "tests/sim/scenario.h"

#include <algorithm>

#include "common/base/rng.h"
#include "common/config/secagg_rules.h"
#include "tests/support/small_job.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

int Between(Rng& rng, int least, int most) {
  return least + static_cast<int>(rng.Below(static_cast<uint64_t>(most - least + 1)));
}

bool OneIn(Rng& rng, uint64_t n) { return rng.Below(n) == 0; }

}  // namespace

Scenario DrawScenario(uint64_t seed) {
  Rng rng = Rng::Derive(seed, "scenario");
  Scenario scenario;
  scenario.seed = seed;
  scenario.weather = rng.NextU64();
  scenario.node_count = Between(rng, 3, 12);
  scenario.process_count = Between(rng, 1, std::min(5, scenario.node_count));
  scenario.dimension = Between(rng, 5, 20);
  scenario.workers = static_cast<size_t>(Between(rng, 1, 3));

  scenario.round.count = Between(rng, 2, 5);
  scenario.round.nodes = scenario.node_count;
  if (OneIn(rng, 3)) scenario.round.cohort_fraction = 0.6;
  if (OneIn(rng, 3)) scenario.round.over_selection = 1.5;
  const auto cohort = static_cast<int>(CohortSize(scenario.round));
  scenario.round.quorum = Between(rng, 1, cohort);
  scenario.round.stall_timeout = seconds(8);
  scenario.round.wait_timeout = seconds(900);
  // As many nodes as the quorum can spare never deliver anything.
  const std::vector<NodeId> nodes = scenario.nodes();
  for (int i = 0; i < cohort - scenario.round.quorum; ++i) {
    if (!OneIn(rng, 4)) continue;
    std::set<NodeId>& broken = OneIn(rng, 2) ? scenario.failing_nodes : scenario.dataless_nodes;
    broken.insert(nodes[static_cast<size_t>(i) * 2 % nodes.size()]);
  }

  scenario.sends_models_inline = OneIn(rng, 2);
  if (OneIn(rng, 2)) scenario.inline_upload_bytes_max = 8;
  if (OneIn(rng, 4)) scenario.upload_memory_bytes = 100;
  scenario.chunk_bytes = Between(rng, 4, 40);
  scenario.window_bytes = static_cast<uint64_t>(Between(rng, 40, 120));
  if (OneIn(rng, 3)) scenario.slow_probability = 0.1;

  if (OneIn(rng, 2)) scenario.network.delay_max = milliseconds(300);
  if (!OneIn(rng, 4)) scenario.network.break_probability = 0.03 * rng.Uniform();
  if (!OneIn(rng, 3)) scenario.network.duplicate_probability = 0.15 * rng.Uniform();
  scenario.network.until = Instant() + seconds(60);
  if (OneIn(rng, 2)) scenario.agent_crash_probability = 0.03 * rng.Uniform();
  if (!OneIn(rng, 3)) scenario.coordinator_crash_probability = 0.03 * rng.Uniform();
  scenario.crash_count_max = Between(rng, 1, 6);
  return scenario;
}

Scenario DrawSecAggScenario(uint64_t seed) {
  Scenario scenario = DrawScenario(seed);
  Rng rng = Rng::Derive(seed, "secagg");
  scenario.node_count = Between(rng, 4, 14);
  scenario.process_count = Between(rng, 1, std::min(6, scenario.node_count));
  scenario.round.nodes = scenario.node_count;
  scenario.round.cohort_fraction = 1;
  scenario.round.over_selection = 1;
  scenario.secagg.enabled = true;
  scenario.secagg.colluders = Between(rng, 0, scenario.node_count / 4);
  const auto threshold =
      static_cast<int>(SessionThreshold(scenario.node_count, scenario.secagg.colluders));
  scenario.secagg.dropout_tolerance = Between(rng, 0, scenario.node_count - threshold);
  scenario.round.quorum =
      Between(rng, 1, scenario.node_count - static_cast<int>(scenario.secagg.dropout_tolerance));
  scenario.secagg.min_survivors = 1;
  // Some of those that may drop out always do: before the keys, or once they have trained.
  scenario.failing_nodes.clear();
  scenario.dataless_nodes.clear();
  const std::vector<NodeId> nodes = scenario.nodes();
  const int64_t smallest = SmallestSession(scenario.round, scenario.secagg, scenario.node_count);
  for (int64_t i = 0; i < scenario.secagg.dropout_tolerance; ++i) {
    if (!OneIn(rng, 3)) continue;
    const bool is_early = OneIn(rng, 4) && static_cast<int64_t>(scenario.dataless_nodes.size()) <
                                               scenario.node_count - smallest;
    (is_early ? scenario.dataless_nodes : scenario.failing_nodes)
        .insert(nodes[static_cast<size_t>(i)]);
  }
  scenario.crash_count_max = std::min(scenario.crash_count_max, 3);
  return scenario;
}

Scenario DrawPrivateScenario(uint64_t seed) {
  Rng rng = Rng::Derive(seed, "private");
  const bool is_masked = !OneIn(rng, 3);
  Scenario scenario = is_masked ? DrawSecAggScenario(seed) : DrawScenario(seed);
  PrivacyConfig& privacy = scenario.privacy;
  privacy.enabled = true;
  privacy.unit = is_masked ? PrivacyUnit::kClient : PrivacyUnit::kRecord;
  privacy.placement = is_masked ? NoisePlacement::kDistributed : NoisePlacement::kAgent;
  privacy.sampling.scheme = is_masked ? SamplingScheme::kFixed : SamplingScheme::kPoisson;
  privacy.epsilon = 1;
  privacy.noise_multiplier = 1;
  privacy.clip_norm = 4;
  scenario.charges_max = scenario.round.count + Between(rng, 0, 3);
  if (OneIn(rng, 2)) scenario.site_releases_max = scenario.round.count + Between(rng, 0, 2);
  scenario.charge_crash_probability = 0.05 * rng.Uniform();
  return scenario;
}

Scenario DrawSparseScenario(uint64_t seed) {
  Scenario scenario = DrawSecAggScenario(seed);
  Rng rng = Rng::Derive(seed, "sparse");
  scenario.node_count = Between(rng, 66, 90);
  scenario.process_count = Between(rng, 2, 8);
  scenario.round.nodes = scenario.node_count;
  scenario.round.count = 2;
  scenario.secagg.colluders = Between(rng, 0, 3);
  scenario.secagg.dropout_tolerance = Between(rng, 1, 6);
  scenario.round.quorum = Between(rng, 1, scenario.node_count / 2);
  scenario.failing_nodes.clear();
  scenario.dataless_nodes.clear();
  const std::vector<NodeId> nodes = scenario.nodes();
  for (int64_t i = 0; i < scenario.secagg.dropout_tolerance; ++i) {
    if (OneIn(rng, 3)) scenario.failing_nodes.insert(nodes[static_cast<size_t>(i) * 7]);
  }
  return scenario;
}

JobConfig JobOf(const Scenario& scenario) {
  JobConfig job = SmallJob(scenario.dimension);
  job.round = scenario.round;
  job.secagg = scenario.secagg;
  job.privacy = scenario.privacy;
  job.data.id = "wards";
  job.transport.chunk_bytes = scenario.chunk_bytes;
  return job;
}

}  // namespace skerry
