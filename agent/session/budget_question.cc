#include "agent/session/budget_question.h"

#include <cmath>

#include <fmt/format.h>

#include "common/base/status.h"

namespace skerry {
namespace {

BudgetAnswer AnswerLimit(const BudgetLimit& limit) {
  const AllowanceQuestion& question = limit.question;
  const absl::StatusOr<Allowance> allowance = CountReleases(question);
  BudgetAnswer answer;
  if (!allowance.ok()) {
    answer.reason =
        fmt::format("{} cannot be held: {}", limit.key, std::string(allowance.status().message()));
    return answer;
  }
  answer.count = allowance->count;
  if (allowance->count == question.count_max) {
    answer.reason = fmt::format("more than {} releases are not planned for", question.count_max);
  } else if (std::isinf(allowance->epsilon_beyond)) {
    answer.reason = fmt::format("{}: more steps than an accountant takes", limit.key);
  } else {
    answer.reason = fmt::format(
        "the next update would bring epsilon to {:.4g} at delta {:.3g} over {}, {} allows {:g}",
        allowance->epsilon_beyond, question.delta, limit.what, limit.key, question.epsilon_max);
  }
  return answer;
}

}  // namespace

BudgetAnswer AnswerBudget(const BudgetQuestion& question) {
  SKERRY_ASSERT(!question.limits.empty());
  BudgetAnswer tightest;
  for (size_t i = 0; i < question.limits.size(); ++i) {
    BudgetAnswer answer = AnswerLimit(question.limits[i]);
    if (i == 0 || answer.count < tightest.count) tightest = std::move(answer);
  }
  tightest.nodes = question.nodes;
  return tightest;
}

}  // namespace skerry
