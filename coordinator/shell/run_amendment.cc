#include "coordinator/shell/run_amendment.h"

#include <cmath>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/job_printer.h"
#include "common/config/privacy_rules.h"
#include "common/privacy/accountant.h"
#include "common/privacy/privacy_plan.h"

namespace skerry {
namespace {

constexpr const char* kRounds = "round.count";
constexpr const char* kEpsilon = "privacy.epsilon";

// Every key of a resolved job with its text. Items of a list are text of its key.
std::map<std::string, std::string> TextByKey(const JobConfig& job) {
  std::map<std::string, std::string> values;
  std::vector<std::pair<size_t, std::string>> path;  // indentation and name
  std::istringstream lines(ResolvedYaml(job));
  for (std::string line; std::getline(lines, line);) {
    const size_t indent = line.find_first_not_of(' ');
    if (indent == std::string::npos) continue;
    while (!path.empty() && path.back().first >= indent) path.pop_back();
    const size_t colon = line.find(':', indent);
    const std::string parent = path.empty() ? "" : path.back().second;
    if (line[indent] == '-' || colon == std::string::npos) {
      values[parent] += line.substr(indent);
      continue;
    }
    const std::string name = line.substr(indent, colon - indent);
    path.emplace_back(indent, parent.empty() ? name : fmt::format("{}.{}", parent, name));
    const size_t value = line.find_first_not_of(' ', colon + 1);
    if (value != std::string::npos) values[path.back().second] += line.substr(value);
  }
  return values;
}

std::vector<std::string> ChangedKeys(const std::map<std::string, std::string>& before,
                                     const std::map<std::string, std::string>& after) {
  std::vector<std::string> changed;
  for (const auto& [key, text] : before) {
    const auto found = after.find(key);
    if (found == after.end() || found->second != text) changed.push_back(key);
  }
  for (const auto& [key, text] : after) {
    if (!before.contains(key)) changed.push_back(key);
  }
  return changed;
}

// The charges so far, each with its own noise, and `rounds` more with the job's.
absl::StatusOr<double> EpsilonWith(const RunHistory& history, const JobConfig& job,
                                   int64_t rounds) {
  if (HasSecretCohorts(job)) {  // whose releases are alike: neither noise nor coins may change
    return EpsilonAfter(job, static_cast<int64_t>(history.charges.size()) + rounds);
  }
  std::map<std::pair<double, double>, int64_t> steps;
  for (const BudgetCharged& charge : history.charges) {
    steps[{charge.noise_multiplier, charge.sampling_rate}] += charge.steps;
  }
  const PrivacyEvent next = EventOfRounds(job, 1);
  steps[{next.noise_multiplier, next.sampling.amplifying_rate()}] += rounds * next.steps;
  std::vector<PrivacyEvent> events;
  for (const auto& [mechanism, count] : steps) {
    if (count == 0) continue;
    events.push_back({.noise_multiplier = mechanism.first,
                      .sampling = Sampling::Poisson(mechanism.second),
                      .steps = count,
                      .adjacency = job.privacy.adjacency});
  }
  return EpsilonFor(events, job.privacy.delta, BestAccountant(next.sampling));
}

}  // namespace

void KeepNoise(const JobConfig& recorded, JobConfig& job) {
  if (!job.privacy.enabled) return;
  if (!job.privacy.noise_multiplier) {
    job.privacy.noise_multiplier = recorded.privacy.noise_multiplier;
  }
  if (!job.privacy.epsilon) job.privacy.epsilon = recorded.privacy.epsilon;
}

absl::StatusOr<std::string> DescribeChanges(const RunHistory& history, const JobConfig& recorded,
                                            const JobConfig& job) {
  const std::map<std::string, std::string> before = TextByKey(recorded);
  const std::map<std::string, std::string> after = TextByKey(job);
  std::vector<std::string> refused;
  std::string changes;
  for (const std::string& key : ChangedKeys(before, after)) {
    if (key != kRounds && key != kEpsilon) {
      refused.push_back(key);
      continue;
    }
    changes += fmt::format("{}{} {} -> {}", changes.empty() ? "" : "; ", key, before.at(key),
                           after.at(key));
  }
  if (!refused.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: the run was started with another {}; only {} and {} may change when it "
                    "goes on. Resume it with the same file and --set options (`skerry-coordinator "
                    "report` shows the job)",
                    history.run_dir, fmt::join(refused, ", "), kRounds, kEpsilon));
  }
  const auto done = static_cast<int64_t>(history.rounds.size());
  if (job.round.count != recorded.round.count && job.round.count <= done) {
    return absl::InvalidArgumentError(fmt::format("{}: {} is {}, but {} rounds are done",
                                                  history.run_dir, kRounds, job.round.count, done));
  }
  if (job.privacy.enabled && *job.privacy.epsilon < *recorded.privacy.epsilon) {
    return absl::InvalidArgumentError(
        fmt::format("{}: {} was {:g} and cannot be lowered to {:g} any more; fewer rounds "
                    "(round.count) spend less",
                    history.run_dir, kEpsilon, *recorded.privacy.epsilon, *job.privacy.epsilon));
  }
  return changes;
}

absl::Status CheckRoundsLeft(const RunHistory& history, const JobConfig& job) {
  if (!job.privacy.enabled) return absl::OkStatus();
  const double budget = *job.privacy.epsilon;
  const auto done = static_cast<int64_t>(history.rounds.size());
  const int64_t left = job.round.count - done;
  SKERRY_ASSIGN_OR_RETURN(const double total, EpsilonWith(history, job, left));
  if (total <= budget) return absl::OkStatus();
  SKERRY_ASSIGN_OR_RETURN(const double spent, EpsilonWith(history, job, 0));
  int64_t fits = 0;
  int64_t exceeds = left;
  while (spent <= budget && fits + 1 < exceeds) {
    const int64_t middle = fits + (exceeds - fits) / 2;
    SKERRY_ASSIGN_OR_RETURN(const double epsilon, EpsilonWith(history, job, middle));
    (epsilon <= budget ? fits : exceeds) = middle;
  }
  return absl::InvalidArgumentError(fmt::format(
      "{}: {} releases have spent epsilon {:.4g}; {} more rounds at this run's noise multiplier "
      "{:.4g} would make it {:.4g}, and privacy.epsilon is {:g}. {}, or raise privacy.epsilon to "
      "{:g} with --set if every site agrees",
      history.run_dir, history.charges.size(), spent, left, *job.privacy.noise_multiplier, total,
      budget,
      fits == 0 ? "Not one more fits: end the run here"
                : fmt::format("{} more fit: --set round.count={}", fits, done + fits),
      std::ceil(total * 100) / 100));
}

}  // namespace skerry
