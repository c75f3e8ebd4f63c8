// The agent's command line. The work is done in libraries; here it is only parsed.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/shell/convert_command.h"
#include "agent/shell/infer_command.h"
#include "agent/shell/run_command.h"
#include "agent/shell/tokenize_command.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/config/agent_loader.h"
#include "common/identity/key_files.h"
#include "common/identity/z85.h"

namespace skerry {
namespace {

constexpr int kExitUsage = 2;

int Refuse(const absl::Status& status) {
  LogError(std::string(status.message()));
  return kExitUsage;
}

// What the command line says of an agent without a configuration file.
struct VirtualOptions {
  std::string coordinator;
  std::string virtual_nodes;
  std::string process;
  std::string keys;
  std::string server_key_path;
  std::string roster;
  std::string spool = "/tmp";
  std::string device = "cpu";
  int64_t workers = 1;
  bool allow_plain = false;
  bool allow_coordinator_noise = false;
  int64_t cohort_min = SitePolicyConfig().cohort_min;
  int64_t survivors_min = SitePolicyConfig().survivors_min;
  std::optional<int64_t> colluders_min;
  std::string ledger;
  std::string epsilon_total = fmt::format("{:g}", *SitePolicyConfig().epsilon_total);
};

// A number above 0, or "none".
absl::StatusOr<std::optional<double>> ParseLimit(const std::string& option,
                                                 const std::string& text) {
  if (text == "none") return std::nullopt;
  double value = 0.0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value) || value <= 0.0) {
    return absl::InvalidArgumentError(
        fmt::format("{} must be a number above 0 or none, got \"{}\"", option, text));
  }
  return value;
}

absl::StatusOr<AgentRunOptions> VirtualAgent(const VirtualOptions& given) {
  if (given.coordinator.empty() || given.virtual_nodes.empty() || given.keys.empty() ||
      given.process.empty()) {
    return absl::InvalidArgumentError(
        "give an agent's YAML, or all of --coordinator, --virtual-nodes, --process and --keys");
  }
  AgentRunOptions options;
  auto nodes = ParseVirtualNodes(given.virtual_nodes);
  if (!nodes.ok()) return nodes.status();
  options.virtual_nodes = *nodes;
  options.config.identity.process = given.process;
  options.config.identity.keys = given.keys;
  if (!given.roster.empty()) options.config.identity.roster = given.roster;
  options.config.coordinator.address = given.coordinator;
  if (!given.server_key_path.empty()) {
    auto key = ReadCurvePublicFile(given.server_key_path);
    if (!key.ok()) return key.status();
    options.config.coordinator.public_key = Z85Encode(key->bytes());
  }
  options.config.device = given.device;
  options.config.resources.workers = given.workers;
  options.config.resources.spool = given.spool;
  options.config.policy.allow_plain = given.allow_plain;
  options.config.policy.allow_coordinator_noise = given.allow_coordinator_noise;
  options.config.policy.cohort_min = given.cohort_min;
  options.config.policy.survivors_min = given.survivors_min;
  options.config.policy.colluders_min = given.colluders_min;
  if (!given.ledger.empty()) options.config.ledger = given.ledger;
  auto epsilon_total = ParseLimit("--epsilon-total", given.epsilon_total);
  if (!epsilon_total.ok()) return epsilon_total.status();
  options.config.policy.epsilon_total = *epsilon_total;
  return options;
}

void AddRun(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("run", "Join a coordinator's jobs");
  auto path = std::make_shared<std::string>();
  auto overrides = std::make_shared<std::vector<std::string>>();
  auto given = std::make_shared<VirtualOptions>();
  auto is_once = std::make_shared<bool>(false);
  auto is_quiet = std::make_shared<bool>(false);
  command->add_option("agent", *path, "The agent's YAML");
  command->add_option("--set", *overrides, "Override a key: a.b=value")
      ->take_all()
      ->allow_extra_args(false);
  command->add_flag("--once", *is_once, "End with the first job instead of waiting for the next");
  command->add_flag("--quiet", *is_quiet, "Warnings and errors only");
  auto* simulation = command->add_option_group("Simulated nodes, without a YAML");
  simulation->add_option("--coordinator", given->coordinator, "tcp://host:port or ipc://path");
  simulation->add_option("--virtual-nodes", given->virtual_nodes,
                         "Host these nodes of the job's partition: FIRST-LAST");
  simulation->add_option("--process", given->process, "This process's name in the roster");
  simulation->add_option("--keys", given->keys, "Folder of this process's keys");
  simulation->add_option("--server-key", given->server_key_path,
                         "File with the coordinator's public key (tcp)");
  simulation->add_option("--roster", given->roster,
                         "This process's copy of the roster (secure aggregation)");
  simulation->add_option("--device", given->device, "cpu or cuda:N");
  simulation->add_option("--workers", given->workers, "Nodes trained at once")
      ->check(CLI::Range(1, 1024));
  simulation->add_option("--spool", given->spool, "Folder for uploads that do not fit in memory");
  simulation->add_flag("--allow-plain", given->allow_plain, "policy.allow_plain: true");
  simulation->add_flag("--allow-coordinator-noise", given->allow_coordinator_noise,
                       "policy.allow_coordinator_noise: true");
  simulation->add_option("--cohort-min", given->cohort_min, "policy.cohort_min");
  simulation->add_option("--survivors-min", given->survivors_min, "policy.survivors_min");
  simulation->add_option("--colluders-min", given->colluders_min, "policy.colluders_min");
  simulation->add_option("--ledger", given->ledger,
                         "Privacy ledger (default: privacy-ledger.jsonl beside the keys)");
  simulation->add_option("--epsilon-total", given->epsilon_total,
                         "policy.epsilon_total, or none for no limit");
  command->callback([=, &exit_code] {
    absl::StatusOr<AgentRunOptions> options;
    if (path->empty()) {
      options = VirtualAgent(*given);
    } else {
      auto config = LoadAgent(*path, *overrides);
      if (config.ok()) {
        options = AgentRunOptions();
        options->config = *std::move(config);
      } else {
        options = config.status();
      }
    }
    if (!options.ok()) {
      exit_code = Refuse(options.status());
      return;
    }
    options->ends_with_job = *is_once;
    options->is_quiet = *is_quiet;
    exit_code = RunCommand(*options);
  });
}

void AddTokenize(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("tokenize", "Text on stdin to token ids, or back");
  auto given = std::make_shared<TokenizeOptions>();
  auto* source = command->add_option_group("Tokenizer");
  source->add_option("--model", given->path, "A model's folder");
  source->add_option("--tokenizer", given->path, "A tokenizer.json");
  source->require_option(1);
  command->add_flag("--json", given->is_json, "Print JSON; ids are printed as JSON always");
  auto* decode = command->add_flag("--decode", given->is_decode,
                                   "Ids, as JSON or as numbers, on stdin to text");
  command
      ->add_flag("--add-special", given->add_special,
                 "Add the tokens with which the model's prompts begin and end")
      ->excludes(decode);
  command->add_flag("--skip-special", given->skip_special, "Leave special tokens out")
      ->needs(decode);
  command->callback([=, &exit_code] { exit_code = TokenizeCommand(*given, std::cin, std::cout); });
}

void AddConvert(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("convert", "A model of llama2.c to a Hugging Face folder");
  auto files = std::make_shared<Llama2cFiles>();
  auto folder = std::make_shared<std::string>();
  command->add_option("--llama2c", files->checkpoint, "The checkpoint, version 0")->required();
  command->add_option("--tokenizer", files->tokenizer, "Its tokenizer.bin")->required();
  command->add_option("-o,--out", *folder, "Folder to write")->required();
  command->callback([=, &exit_code] { exit_code = ConvertCommand(*files, *folder); });
}

void AddInfer(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("infer", "Continue a text with a language model");
  auto options = std::make_shared<InferOptions>();
  auto token_ids = std::make_shared<std::string>();
  auto cache_type = std::make_shared<std::string>();
  auto seed = std::make_shared<uint64_t>(0);
  command->add_option("--model", options->model, "Folder in the Hugging Face layout")->required();
  auto prompt = std::make_shared<std::string>();
  auto* source = command->add_option_group("prompt");
  CLI::Option* const prompt_option =
      source->add_option("--prompt", *prompt, "The text to continue");
  source->add_option("--token-ids", *token_ids,
                     "The same as token ids, 1,5,9: needs no tokenizer, nothing is added");
  source->require_option(1);
  command->add_option("--stop", options->stops, "End the text before this string; may be repeated")
      ->needs(prompt_option);
  command->add_option("--max-tokens", options->tokens_max, "How many tokens to add")
      ->default_val(128);
  command->add_option("--temperature", options->sampling.temperature,
                      "0 takes the most likely token");
  command->add_option("--top-k", options->sampling.top_k, "Only among so many; 0 is all");
  command->add_option("--top-p", options->sampling.top_p,
                      "Only among the most likely with this share");
  const CLI::Option* seed_option =
      command->add_option("--seed", *seed, "Of sampling; drawn if it is not given");
  command->add_flag("--ignore-eos", options->ignores_end, "Go on after the end of the text");
  command->add_option("--cache-type", *cache_type, "f32, f16 or q8");
  command->add_option("--threads", options->threads, "Threads of the products of a prompt")
      ->default_val(1)
      ->check(CLI::Range(1, 1024));
  command->add_option("--logits-out", options->logits_out,
                      "Write logits and step_logits to this safetensors file; implies "
                      "--ignore-eos");
  command->add_flag("--json", options->is_json, "Print one JSON object at the end");
  command->callback([=, &exit_code] {
    absl::StatusOr<std::vector<int64_t>> ids = ParseTokenIds(*token_ids);
    if (!ids.ok()) {
      exit_code = Refuse(ids.status());
      return;
    }
    options->token_ids = *std::move(ids);
    if (prompt_option->count() > 0) options->prompt = *prompt;
    if (std::find(options->stops.begin(), options->stops.end(), "") != options->stops.end()) {
      exit_code = Refuse(absl::InvalidArgumentError("--stop must not be empty"));
      return;
    }
    if (seed_option->count() > 0) options->seed = *seed;
    if (!cache_type->empty()) {
      options->cache_format = FindCacheFormat(*cache_type);
      if (!options->cache_format) {
        exit_code = Refuse(absl::InvalidArgumentError(
            fmt::format("--cache-type must be f32, f16 or q8, got \"{}\"", *cache_type)));
        return;
      }
    }
    exit_code = InferCommand(*options);
  });
}

}  // namespace

int Main(int argc, char** argv) {
  SetUpLogging("skerry-agent", LogLevel::kInfo);
  CLI::App app("Skerry's agent: trains on this site's data, which never leaves it", "skerry-agent");
  app.set_version_flag("--version", std::string(kVersion));
  app.require_subcommand(1);
  int exit_code = 0;
  AddRun(app, exit_code);
  AddTokenize(app, exit_code);
  AddConvert(app, exit_code);
  AddInfer(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return exit_code;
}

}  // namespace skerry

int main(int argc, char** argv) { return skerry::Main(argc, argv); }
