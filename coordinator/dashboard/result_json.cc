#include "coordinator/dashboard/result_json.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace skerry {
namespace {

using Json = nlohmann::ordered_json;

Json NumberOrNull(const std::optional<double>& value) {
  return value.has_value() && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

}  // namespace

std::string ResultJson(const RunResult& result) {
  Json json = {{"status", result.status},
               {"exit_code", result.exit_code},
               {"rounds", result.rounds},
               {"nodes", result.nodes},
               {"accuracy", NumberOrNull(result.accuracy)},
               {"loss", NumberOrNull(result.loss)},
               {"model_sha256", result.model_sha256},
               {"epsilon", NumberOrNull(result.epsilon)},
               {"delta", NumberOrNull(result.delta)},
               {"run_dir", result.run_dir},
               {"wall_s", NumberOrNull(result.wall_s)}};
  if (result.epsilon_insider) json["epsilon_insider"] = NumberOrNull(result.epsilon_insider);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace skerry
