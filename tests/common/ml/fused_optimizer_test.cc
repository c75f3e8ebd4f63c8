#include "common/ml/fused_optimizer.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "common/base/rng.h"
#include "common/ml/torch_optimizer.h"

namespace skerry {
namespace {

constexpr size_t kSizes[] = {37, 5};  // two parts, one longer than a vector register
constexpr size_t kCount = 42;

struct Case {
  const char* name;
  OptimizerConfig config;
};

class FusedOptimizerTest : public testing::TestWithParam<Case> {};

// Same gradients, step by step. Tolerance: both work in float32 but group the operations of a step
// differently, so they drift by a few units in the last place per step.
TEST_P(FusedOptimizerTest, StepsEqualThoseOfTorchOptim) {
  Rng rng(5);
  std::vector<at::Tensor> expected;
  for (const size_t size : kSizes) {
    expected.push_back(at::empty({static_cast<int64_t>(size)}).requires_grad_());
  }
  const auto reference = MakeTorchOptimizer(GetParam().config, expected);
  FusedOptimizer fused(GetParam().config, 0.0, kCount);
  std::vector<float> weights(kCount);
  std::vector<float> gradient(kCount);
  const auto each_part = [&](const auto& visit) {
    size_t offset = 0;
    for (size_t part = 0; part < std::size(kSizes); ++part) {
      visit(part, offset, kSizes[part]);
      offset += kSizes[part];
    }
  };
  for (float& weight : weights) weight = static_cast<float>(rng.Normal());
  each_part([&](size_t part, size_t offset, size_t size) {
    std::copy_n(weights.data() + offset, size, expected[part].data_ptr<float>());
  });

  for (int step = 0; step < 30; ++step) {
    for (float& value : gradient) value = static_cast<float>(rng.Normal());
    each_part([&](size_t part, size_t offset, size_t size) {
      expected[part].mutable_grad() = at::empty({static_cast<int64_t>(size)});
      std::copy_n(gradient.data() + offset, size, expected[part].grad().data_ptr<float>());
    });
    reference->step();
    fused.BeginStep();
    each_part([&](size_t, size_t offset, size_t size) {
      fused.Update({.offset = offset,
                    .weights = std::span(weights).subspan(offset, size),
                    .gradient = std::span(gradient).subspan(offset, size),
                    .anchor = {}});
    });
  }

  each_part([&](size_t part, size_t offset, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      const float value = expected[part].data_ptr<float>()[i];
      EXPECT_NEAR(weights[offset + i], value, 5e-6 * std::max(1.0f, std::abs(value)));
    }
  });
}

TEST_P(FusedOptimizerTest, ResetForgetsEverything) {
  FusedOptimizer fused(GetParam().config, 0.0, 1);
  const auto two_steps_from_one = [&] {
    float weight = 1.0f;
    for (const float gradient : {0.5f, -0.25f}) {
      fused.BeginStep();
      fused.Update(
          {.offset = 0, .weights = {&weight, 1}, .gradient = {&gradient, 1}, .anchor = {}});
    }
    return weight;
  };
  const float first = two_steps_from_one();

  fused.Reset();

  EXPECT_EQ(two_steps_from_one(), first);
}

// Li et al. 2020: the gradient gets mu (w - w_global). One plain step by hand:
// w = 2, g = 0.5, anchor = 1, mu = 0.1, rate = 0.5: w - 0.5 (0.5 + 0.1 x 1) = 1.7.
TEST(FusedOptimizerProximalTest, PullsTowardsTheAnchor) {
  OptimizerConfig config;
  config.learning_rate = 0.5;
  FusedOptimizer fused(config, 0.1, 1);
  float weight = 2.0f;
  const float gradient = 0.5f;
  const float anchor = 1.0f;

  fused.BeginStep();
  fused.Update(
      {.offset = 0, .weights = {&weight, 1}, .gradient = {&gradient, 1}, .anchor = {&anchor, 1}});

  EXPECT_FLOAT_EQ(weight, 1.7f);
}

OptimizerConfig Config(OptimizerName name, double momentum, double weight_decay) {
  OptimizerConfig config;
  config.name = name;
  config.learning_rate = 0.05;
  config.momentum = momentum;
  config.weight_decay = weight_decay;
  return config;
}

INSTANTIATE_TEST_SUITE_P(Optimizers, FusedOptimizerTest,
                         testing::Values(Case{"Sgd", Config(OptimizerName::kSgd, 0, 0)},
                                         Case{"SgdDecay", Config(OptimizerName::kSgd, 0, 0.01)},
                                         Case{"Momentum", Config(OptimizerName::kSgd, 0.9, 0)},
                                         Case{"MomentumDecay",
                                              Config(OptimizerName::kSgd, 0.9, 0.01)},
                                         Case{"Adam", Config(OptimizerName::kAdam, 0, 0)},
                                         Case{"AdamDecay", Config(OptimizerName::kAdam, 0, 0.01)},
                                         Case{"AdamW", Config(OptimizerName::kAdamW, 0, 0.01)}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace skerry
