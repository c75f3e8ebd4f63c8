#include "common/base/status.h"
#include "coordinator/strategy/fed_avg.h"
#include "coordinator/strategy/fed_avg_m.h"
#include "coordinator/strategy/fed_opt.h"

namespace skerry {

std::unique_ptr<const Strategy> MakeStrategy(const StrategyConfig& config) {
  switch (config.name) {
    case StrategyName::kFedAvg:
    case StrategyName::kFedProx:
      return std::make_unique<FedAvg>(config.learning_rate);
    case StrategyName::kFedAvgM:
      return std::make_unique<FedAvgM>(config.learning_rate, config.momentum);
    case StrategyName::kFedAdam:
      return std::make_unique<FedOpt>(SecondMoment::kAdam, config);
    case StrategyName::kFedYogi:
      return std::make_unique<FedOpt>(SecondMoment::kYogi, config);
    case StrategyName::kFedAdagrad:
      return std::make_unique<FedOpt>(SecondMoment::kAdagrad, config);
  }
  SKERRY_ASSERT(false);  // the parser knows the names
  return nullptr;
}

}  // namespace skerry
