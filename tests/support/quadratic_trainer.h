// A learning problem whose answer is known. Node u holds n_u examples and the optimum x_u of
// |w - x_u|^2 / 2; its training moves the model by eta (x_u - w). With everyone in every round the
// model w_t keeps to  w_t - x = (1 - eta)^t (w_0 - x),  where x is the mean of the x_u weighted by
// the n_u.
//
// With the encoding of a private job every node counts alike, and training adds a noise that is
// drawn anew for each attempt (from the seed, so that a test can compute it).
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/base/strong_id.h"
#include "common/secagg/fixed_point.h"
#include "common/secagg/rounding_key.h"

namespace skerry {

class QuadraticTrainer {
 public:
  static constexpr int64_t kWeightCap = 50;
  static constexpr float kStep = 0.25f;  // eta

  QuadraticTrainer(uint64_t seed, size_t dimension, int64_t node_count)
      : QuadraticTrainer(seed, MakeEncoding(dimension, node_count)) {}
  QuadraticTrainer(uint64_t seed, UpdateEncoding encoding)
      : seed_(seed),
        dimension_(encoding.layout().parameter_count),
        encoding_(std::move(encoding)) {}

  const UpdateEncoding& encoding() const { return encoding_; }
  size_t dimension() const { return dimension_; }

  int64_t example_count(const NodeId& node) const { return Of(node).example_count; }
  std::span<const float> optimum(const NodeId& node) const { return Of(node).optimum; }

  // The encoded update of one node's training from `model`.
  std::vector<RingElement> Train(const NodeId& node, RoundId round, std::span<const float> model,
                                 AttemptId attempt = AttemptId(1)) const {
    const Problem& problem = Of(node);
    std::vector<float> delta(dimension_);
    for (size_t i = 0; i < dimension_; ++i) delta[i] = kStep * (problem.optimum[i] - model[i]);
    std::vector<RingElement> words(encoding_.layout().size());
    const absl::Status encoded = EncodeUpdate(
        encoding_,
        {.delta = delta, .example_count = problem.example_count, .metrics = std::nullopt},
        RoundingKey(seed_, node, round, attempt), words);
    SKERRY_ASSERT(encoded.ok());
    if (encoding_.layout().has_counts) return words;
    Rng noise = Rng::Derive(
        seed_, fmt::format("noise {} {} {}", node.value(), round.value(), attempt.value()));
    for (RingElement& word : words) word += static_cast<RingElement>(noise.Below(1 << 16));
    return words;
  }

  // The model after one round in which exactly `survivors` took part: each is trained here and
  // summed as a plain integer.
  absl::StatusOr<std::vector<float>> NextModel(std::span<const NodeId> survivors, RoundId round,
                                               std::span<const float> model,
                                               AttemptId attempt = AttemptId(1)) const {
    return Apply(SumOf(survivors, round, model, attempt), survivors.size(), model);
  }
  std::vector<RingElement> SumOf(std::span<const NodeId> survivors, RoundId round,
                                 std::span<const float> model, AttemptId attempt) const {
    std::vector<int64_t> total(encoding_.layout().size());
    for (const NodeId& node : survivors) {
      const std::vector<RingElement> words = Train(node, round, model, attempt);
      for (size_t i = 0; i < words.size(); ++i) total[i] += ToSigned(words[i]);
    }
    std::vector<RingElement> sum(total.size());
    for (size_t i = 0; i < total.size(); ++i) sum[i] = ToRing(static_cast<int32_t>(total[i]));
    return sum;
  }

  // What a coordinator does with a round's sum. Fails if the sum is none of valid updates.
  absl::StatusOr<std::vector<float>> Apply(std::span<const RingElement> sum, size_t update_count,
                                           std::span<const float> model) const {
    std::vector<float> next(dimension_);
    SKERRY_RETURN_IF_ERROR(DecodeSum(encoding_, sum, update_count, next).status());
    for (size_t i = 0; i < dimension_; ++i) next[i] += model[i];
    return next;
  }

  std::vector<double> WeightedOptimum(std::span<const NodeId> nodes) const {
    std::vector<double> mean(dimension_);
    double weight = 0;
    for (const NodeId& node : nodes) {
      const Problem& problem = Of(node);
      const auto count = static_cast<double>(problem.example_count);
      for (size_t i = 0; i < dimension_; ++i) mean[i] += count * problem.optimum[i];
      weight += count;
    }
    for (double& value : mean) value /= weight;
    return mean;
  }

 private:
  struct Problem {
    int64_t example_count = 0;
    std::vector<float> optimum;
  };

  static UpdateEncoding MakeEncoding(size_t dimension, int64_t node_count) {
    auto encoding = UpdateEncoding::Create(
        {.parameter_count = dimension, .has_metrics = false},
        {.node_count_max = node_count, .range = 8, .weight_cap = kWeightCap});
    SKERRY_ASSERT(encoding.ok());
    return *encoding;
  }

  const Problem& Of(const NodeId& node) const {
    const auto [it, is_new] = problems_.try_emplace(node);
    if (is_new) {
      Rng rng = Rng::Derive(seed_, "quadratic " + node.value());
      it->second.example_count = 1 + static_cast<int64_t>(rng.Below(kWeightCap));
      for (size_t i = 0; i < dimension_; ++i) {
        it->second.optimum.push_back(static_cast<float>(rng.Uniform() * 4 - 2));
      }
    }
    return it->second;
  }

  uint64_t seed_;
  size_t dimension_;
  UpdateEncoding encoding_;
  mutable std::map<NodeId, Problem> problems_;
};

}  // namespace skerry
