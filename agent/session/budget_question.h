// How much of a job this site's privacy budget has room for: asked by the session when a job
// begins, answered by a worker, because an accountant takes seconds. Nodes with the same history
// share one question.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/strong_id.h"
#include "common/privacy/allowance.h"

namespace skerry {

// One limit of the site's policy.
struct BudgetLimit {
  std::string key{};   // "policy.epsilon_total"
  std::string what{};  // "all jobs on data fashion"
  AllowanceQuestion question{};
};

struct BudgetQuestion {
  std::vector<NodeId> nodes;
  std::vector<BudgetLimit> limits;  // at least one; all must hold
};

struct BudgetAnswer {
  std::vector<NodeId> nodes;
  int64_t count = 0;     // releases of each node that fit
  std::string reason{};  // why no more do, with the numbers
};

// Pure, for any thread.
BudgetAnswer AnswerBudget(const BudgetQuestion& question);

}  // namespace skerry
