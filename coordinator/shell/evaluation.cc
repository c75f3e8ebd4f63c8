#include "coordinator/shell/evaluation.h"

#include <numeric>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/ml/data_loader.h"
#include "common/ml/evaluator.h"
#include "common/ml/fixed_features.h"

namespace skerry {
namespace {

// Evaluations waiting; more would only pile up models.
constexpr size_t kWaitingMax = 2;

absl::StatusOr<SharedDataset> LoadTestSetOf(const JobConfig& job) {
  SKERRY_ASSIGN_OR_RETURN(const DataRequest request, DataRequestFor(job, job.data));
  SKERRY_ASSIGN_OR_RETURN(SharedDataset test_set, LoadTestSet(request));
  if (test_set == nullptr) return test_set;
  return WithFixedFeatures(job.model, std::move(test_set));
}

}  // namespace

Evaluation::Evaluation(JobConfig job, std::function<void()> notify)
    : job_(std::move(job)), worker_(kWaitingMax, std::move(notify)) {}

void Evaluation::Start(ModelVersion version, SharedModel model) {
  worker_.Post([this, version, model = std::move(model)]() mutable {
    return Run(version, std::move(model));
  });
}

EvaluationDone Evaluation::Run(ModelVersion version, SharedModel model) {
  EvaluationDone done;
  done.result.version = version;
  if (!test_set_.has_value()) test_set_ = LoadTestSetOf(job_);
  if (!test_set_->ok()) {
    done.status = test_set_->status();
    return done;
  }
  const SharedDataset& test_set = **test_set_;
  if (test_set == nullptr) return done;  // the job has no test set
  std::vector<uint32_t> rows(test_set->row_count());
  std::iota(rows.begin(), rows.end(), 0u);
  const auto result = Evaluate(
      job_, {}, {std::move(model), test_set, rows, [this] { return is_stopping_.load(); }});
  if (!result.ok()) {
    done.status = result.status();
    return done;
  }
  done.result.examples = result->example_count;
  done.result.metrics["loss"] = result->loss;
  const auto add = [&](const char* name, const std::optional<double>& value) {
    if (value.has_value()) done.result.metrics[name] = *value;
  };
  add("accuracy", result->accuracy);
  add("auc", result->auc);
  add("f1", result->f1);
  add("mae", result->mae);
  return done;
}

}  // namespace skerry
