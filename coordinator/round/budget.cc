#include "coordinator/round/budget.h"

#include <algorithm>
#include <cmath>

namespace skerry {
namespace {

void Charge(BudgetCharged charge, RoundData& data, Outbox& out) {
  const BudgetPolicy& budget = *data.policy.budget;
  const ChargeKey key{.round = charge.round, .attempt = charge.attempt};
  if (data.newest_charge == key) return;
  data.newest_charge = key;
  ++data.charge_count;
  charge.noise_multiplier = budget.noise_multiplier;
  charge.sampling_rate = budget.sampling_rate;
  charge.steps = budget.steps;
  charge.epsilon_spent = budget.epsilon_after(data.charge_count);
  if (budget.insider_epsilon_after) {
    charge.epsilon_insider = budget.insider_epsilon_after(data.charge_count);
  }
  charge.clip_norm = data.clip_norm;
  out.persist.emplace_back(charge);
}

}  // namespace

bool IsBudgetSpent(const RoundData& data) {
  return data.policy.budget != nullptr && data.charge_count >= data.policy.budget->charges_max;
}

void ChargeStart(RoundId round, AttemptId attempt, RoundData& data, Outbox& out) {
  if (data.policy.budget == nullptr || !data.policy.budget->is_charged_at_start) return;
  Charge(
      {.round = round, .attempt = attempt, .noise_realised = data.policy.budget->noise_multiplier},
      data, out);
}

void ChargeOpening(size_t survivors, RoundData& data, Outbox& out) {
  if (data.policy.budget == nullptr || data.policy.budget->is_charged_at_start) return;
  const BudgetPolicy& budget = *data.policy.budget;
  const double noisy =
      budget.is_noise_central
          ? static_cast<double>(budget.noisy_survivors)
          : std::max(static_cast<double>(survivors) - static_cast<double>(budget.colluders),
                     static_cast<double>(budget.noisy_survivors));
  Charge({.round = data.round,
          .attempt = data.attempt,
          .noise_realised = budget.noise_multiplier *
                            std::sqrt(noisy / static_cast<double>(budget.noisy_survivors)),
          .survivors = survivors},
         data, out);
}

void ChargeSkip(RoundData& data, Outbox& out) {
  if (data.policy.budget == nullptr) return;
  Charge({.round = data.round, .attempt = data.attempt, .is_skipped = true}, data, out);
}

}  // namespace skerry
