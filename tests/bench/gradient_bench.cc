// What private training costs: examples a second, one core, of clipped per-example gradients beside
// a plain epoch of stochastic gradient descent, by model. Both take turns; the median of 7 runs.
//
//   skerry_gradient_bench
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/ml/model.h"
#include "common/ml/private_gradient.h"
#include "common/ml/trainer.h"
#include "tests/bench/median.h"

namespace skerry {
namespace {

constexpr size_t kRuns = 7;
constexpr size_t kBatch = 256;

struct Case {
  ModelName model;
  const char* name;
  size_t batches;
  double goal_ratio;  // at most so many times slower
};

SharedDataset RandomImages(size_t count) {
  Rng rng(1);
  std::vector<uint8_t> pixels(count * 28 * 28);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
  std::vector<uint32_t> classes(count);
  for (uint32_t& label : classes) label = static_cast<uint32_t>(rng.Below(10));
  return std::make_shared<const Dataset>(Dataset::Contents{.example_shape = {1, 28, 28},
                                                           .features = std::move(pixels),
                                                           .classes = std::move(classes),
                                                           .targets = {}});
}

double Seconds(const std::function<void()>& run) {
  const Instant begin = SystemClock().Now();
  run();
  return skerry::Seconds(SystemClock().Now() - begin);
}

void Measure(const Case& what) {
  JobConfig job;
  job.model.name = what.model;
  job.training.batch_size = kBatch;
  const SharedDataset data = RandomImages(what.batches * kBatch);
  std::vector<uint32_t> rows(data->row_count());
  std::iota(rows.begin(), rows.end(), 0u);
  const SharedModel model = *InitialModel(job.model, 1);
  const std::unique_ptr<Trainer> trainer = *Trainer::Create(job, {});
  const std::unique_ptr<PrivateGradient> gradient =
      *PrivateGradient::Create(job.model, job.training.loss, 1);
  const auto plain = [&] {
    SKERRY_ASSERT(trainer->Train({.global = model, .dataset = data, .rows = rows, .seed = 1}).ok());
  };
  const auto clipped = [&] {
    for (size_t begin = 0; begin < rows.size(); begin += kBatch) {
      SKERRY_ASSERT(gradient
                        ->Compute({.parameters = model->values(),
                                   .dataset = data,
                                   .rows = std::span(rows).subspan(begin, kBatch),
                                   .clip_norm = 0.1})
                        .ok());
    }
  };
  std::vector<double> plain_seconds(kRuns);
  std::vector<double> clipped_seconds(kRuns);
  plain();
  clipped();
  for (size_t run = 0; run < kRuns; ++run) {
    plain_seconds[run] = Seconds(plain);
    clipped_seconds[run] = Seconds(clipped);
  }
  const auto examples = static_cast<double>(rows.size());
  const double ratio = Median(clipped_seconds) / Median(plain_seconds);
  std::printf("| %s | %.0f | %.0f | %.2f | %.0f |\n", what.name, examples / Median(plain_seconds),
              examples / Median(clipped_seconds), ratio, what.goal_ratio);
  std::fflush(stdout);
}

}  // namespace
}  // namespace skerry

int main() {
  using namespace skerry;
  std::printf(
      "\nPer-example gradients, batch 256, one core (goal for cnn_small: 8,400 examples/s)\n\n"
      "| model | plain examples/s | clipped examples/s | times slower | goal |\n"
      "|---|---:|---:|---:|---:|\n");
  for (const Case& what :
       {Case{ModelName::kCnnSmall, "cnn_small", 8, 2},
        Case{ModelName::kCnnSmallGn, "cnn_small_gn", 8, 2}, Case{ModelName::kCnn, "cnn", 2, 4},
        Case{ModelName::kMlp, "mlp", 8, 4}}) {
    Measure(what);
  }
}
