// The coordinator's command line. Each command's work is done in a library; here it is only parsed.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "common/base/log.h"
#include "common/base/version.h"
#include "common/crypto/random_bits.h"
#include "coordinator/dashboard/html_report.h"
#include "coordinator/dashboard/status_file.h"
#include "coordinator/dashboard/terminal_view.h"
#include "coordinator/keys/keys_command.h"
#include "coordinator/keys/throw_away_identities.h"
#include "coordinator/shell/check_command.h"
#include "coordinator/shell/exit_codes.h"
#include "coordinator/shell/privacy_command.h"
#include "coordinator/shell/rehearse_command.h"
#include "coordinator/shell/run_command.h"
#include "coordinator/shell/secagg_command.h"

namespace skerry {
namespace {

int ExitCodeFor(const absl::Status& status) { return status.ok() ? kExitDone : FailWith(status); }

// Prints a result's description, or the error.
template <typename Result, typename... Arguments>
int Tell(const absl::StatusOr<Result>& result, const Arguments&... arguments) {
  if (!result.ok()) return ExitCodeFor(result.status());
  std::fputs(Describe(*result, arguments...).c_str(), stdout);
  return 0;
}

void AddRun(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("run", "Run one federated job");
  auto options = std::make_shared<RunOptions>();
  auto replay = std::make_shared<std::string>();
  auto listen = std::make_shared<std::string>();
  auto endpoint = std::make_shared<std::string>();
  command->add_option("job", options->job_path, "The job's YAML; not needed to resume or replay");
  command->add_option("--set", options->overrides, "Override a key of the job: a.b=value")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--run-dir", options->run_dir, "Where the run is kept (default runs/<time>)");
  command->add_flag("--resume", options->is_resume, "Go on with the run in --run-dir");
  command->add_option("--replay", *replay,
                      "Repeat the run in this folder with its recorded cohorts and survivors");
  command->add_option("--listen", *listen, "tcp://host:port or ipc://path, for transport.listen");
  command->add_option("--keys", options->keys_folder, "Folder of the coordinator's keys (tcp)");
  command->add_option("--roster", options->roster_path, "Who may take part")->required();
  command->add_option("--endpoint-file", *endpoint, "Write the address that agents dial here");
  command->add_flag("--json", options->is_json, "Print the result as one JSON object");
  command->callback([=, &exit_code] {
    if (!replay->empty()) options->replay_dir = *replay;
    if (!listen->empty()) options->listen = *listen;
    if (!endpoint->empty()) options->endpoint_path = *endpoint;
    exit_code = RunCommand(*options);
  });
}

void AddRehearse(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "rehearse", "One round with every node in which nothing is learned, and what would fail");
  auto options = std::make_shared<RehearseOptions>();
  auto listen = std::make_shared<std::string>();
  auto endpoint = std::make_shared<std::string>();
  auto wait_s = std::make_shared<int64_t>(options->wait.count());
  RunOptions& run = options->run;
  command->add_option("job", run.job_path, "The job's YAML")->required();
  command->add_option("--set", run.overrides, "Override a key of the job: a.b=value")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--listen", *listen, "tcp://host:port or ipc://path, for transport.listen");
  command->add_option("--keys", run.keys_folder, "Folder of the coordinator's keys (tcp)");
  command->add_option("--roster", run.roster_path, "Who may take part")->required();
  command->add_option("--endpoint-file", *endpoint, "Write the address that agents dial here");
  command->add_option("--wait", *wait_s, "Seconds to wait for a node (default 60)")
      ->check(CLI::Range(1, 86'400));
  command->add_flag("--json", run.is_json, "Print the findings as one JSON object");
  command->callback([=, &exit_code] {
    if (!listen->empty()) options->run.listen = *listen;
    if (!endpoint->empty()) options->run.endpoint_path = *endpoint;
    options->wait = std::chrono::seconds(*wait_s);
    exit_code = RehearseCommand(*options);
  });
}

void AddCheck(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("check", "Check a job and print it with every default");
  auto job = std::make_shared<std::string>();
  auto overrides = std::make_shared<std::vector<std::string>>();
  command->add_option("job", *job, "The job's YAML")->required();
  command->add_option("--set", *overrides, "Override a key: a.b=value")
      ->take_all()
      ->allow_extra_args(false);
  command->callback([=, &exit_code] { exit_code = CheckCommand(*job, *overrides); });
}

void AddSecAgg(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "secagg", "Degree and threshold of a sparse graph for secure aggregation in large groups");
  auto options = std::make_shared<SecAggCommandOptions>();
  auto adversary = std::make_shared<std::string>("semi_malicious");
  GraphRequirements& wanted = options->wanted;
  command->add_option("--nodes", wanted.nodes, "Nodes of a round")->required();
  command->add_option("--corrupt", wanted.corrupt, "Fraction that conspires with the coordinator")
      ->required();
  command->add_option("--dropout", wanted.dropout, "Fraction that may drop out")->required();
  command
      ->add_option("--adversary", *adversary,
                   "What the coordinator may do: semi_honest or "
                   "semi_malicious (default)")
      ->check(CLI::IsMember({"semi_honest", "semi_malicious"}));
  command->add_flag("--json", options->is_json, "One JSON object");
  command->callback([=, &exit_code] {
    options->wanted.adversary =
        *adversary == "semi_honest" ? Adversary::kSemiHonest : Adversary::kSemiMalicious;
    exit_code = SecAggCommand(*options);
  });
}

void AddPrivacy(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "privacy", "The epsilon of steps with noise, or the noise multiplier for an epsilon");
  auto options = std::make_shared<PrivacyCommandOptions>();
  auto accountant = std::make_shared<std::string>();
  auto adjacency = std::make_shared<std::string>("add_remove");
  command->add_option("--noise-multiplier", options->noise_multiplier,
                      "Standard deviation of the noise over the clip norm: prints epsilon");
  command->add_option("--epsilon", options->epsilon,
                      "Instead of --noise-multiplier: prints the smallest one within this epsilon");
  command
      ->add_option("--sampling-rate", options->sampling_rate,
                   "Probability of the Poisson sampling; 1 for everyone, fixed-size cohorts and "
                   "whoever sees who was sampled")
      ->required();
  command->add_option("--steps", options->steps, "Noisy sums that are released")->required();
  command->add_option("--delta", options->delta, "Failure probability")->required();
  command
      ->add_option("--accountant", *accountant,
                   "pld: tight, within 0.5 %; rdp: looser, a cross-check; analytic: exact, rate 1 "
                   "only. Default: analytic at rate 1, otherwise pld")
      ->check(CLI::IsMember({"pld", "rdp", "analytic"}));
  command
      ->add_option("--adjacency", *adjacency,
                   "Neighbours differ by a unit added or removed: add_remove (default), or by one "
                   "in another's place: replace_one")
      ->check(CLI::IsMember({"add_remove", "replace_one"}));
  command->add_flag("--json", options->is_json, "One JSON object");
  command->callback([=, &exit_code] {
    for (const Accountant known : {Accountant::kPld, Accountant::kRdp, Accountant::kAnalytic}) {
      if (*accountant == NameOf(known)) options->accountant = known;
    }
    options->adjacency =
        *adjacency == "add_remove" ? Adjacency::kAddRemove : Adjacency::kReplaceOne;
    exit_code = PrivacyCommand(*options);
  });
}

void AddKeysNew(CLI::App& keys, int& exit_code) {
  auto* create = keys.add_subcommand("new", "Make keys for a coordinator or an agent process");
  create->require_subcommand(1);
  auto folder = std::make_shared<std::string>();
  auto* coordinator = create->add_subcommand("coordinator", "The coordinator's key pair");
  coordinator->add_option("--out", *folder, "Folder for the keys")->required();
  coordinator->callback(
      [=, &exit_code] { exit_code = Tell(NewCoordinatorKeys(*folder, SystemRandom())); });

  auto options = std::make_shared<NewProcessOptions>();
  auto* process = create->add_subcommand("process", "Keys of an agent process and its nodes");
  process->add_option("name", options->process, "The process's name in the roster")->required();
  process->add_option("--nodes", options->nodes, "Its nodes: a,b,c")->required()->delimiter(',');
  process->add_option("--out", options->folder, "Folder for the keys")->required();
  process->callback(
      [=, &exit_code] { exit_code = Tell(NewProcessKeys(*options, SystemRandom())); });
}

void AddKeys(CLI::App& app, int& exit_code) {
  auto* keys = app.add_subcommand("keys", "Identities: make, enrol, revoke");
  keys->require_subcommand(1);
  AddKeysNew(*keys, exit_code);

  auto add = std::make_shared<AddToRosterOptions>();
  auto* roster = keys->add_subcommand("roster", "Add what sites sent to the roster");
  roster->add_option("roster", add->roster_path, "The roster file")->required();
  roster->add_option("--add", add->part_paths, "roster.part files")->required();
  roster->callback([=, &exit_code] { exit_code = Tell(AddToRoster(*add), std::string("added")); });

  auto revoke = std::make_shared<RevokeOptions>();
  auto* revoking = keys->add_subcommand("revoke", "Remove processes or nodes from the roster");
  revoking->add_option("roster", revoke->roster_path, "The roster file")->required();
  revoking->add_option("names", revoke->names, "Processes or nodes")->required();
  revoking->callback(
      [=, &exit_code] { exit_code = Tell(Revoke(*revoke), std::string("revoked")); });

  auto throw_away = std::make_shared<ThrowAwayOptions>();
  auto* simulated = keys->add_subcommand("throw-away", "All keys of a simulation");
  simulated->add_option("--nodes", throw_away->node_count, "Virtual nodes")->required();
  simulated->add_option("--processes", throw_away->process_count, "Agent processes")->required();
  simulated->add_option("--out", throw_away->folder, "Folder for the keys")->required();
  simulated->callback([=, &exit_code] {
    exit_code = ExitCodeFor(MakeThrowAwayIdentities(*throw_away, SystemRandom()).status());
  });
}

void AddStatus(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("status", "A running job's state");
  auto run_dir = std::make_shared<std::string>();
  auto is_json = std::make_shared<bool>(false);
  command->add_option("run-dir", *run_dir, "The run's folder")->required();
  auto is_insider = std::make_shared<bool>(false);
  command->add_flag("--json", *is_json, "One JSON object");
  command->add_flag(
      "--insider", *is_insider,
      "Also what only insiders may know of a run with secret cohorts (privacy.observer "
      "public): who is in them. From run.db");
  command->callback([=, &exit_code] {
    const Audience audience = *is_insider ? Audience::kInsiders : Audience::kEverybody;
    const RenderOptions render{.width = SizeOf(STDOUT_FILENO).width,
                               .height = 24,
                               .has_colour = WantsColour(STDOUT_FILENO),
                               .has_unicode = WantsUnicode()};
    const absl::StatusOr<std::string> text =
        *is_json ? StatusJson(*run_dir, audience) : StatusText(*run_dir, render, audience);
    if (text.ok()) {
      std::fputs(text->c_str(), stdout);
      if (*is_json) std::fputs("\n", stdout);
    }
    exit_code = ExitCodeFor(text.status());
  });
}

void AddReport(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("report", "Write report.html of a run again");
  auto run_dir = std::make_shared<std::string>();
  command->add_option("run-dir", *run_dir, "The run's folder")->required();
  command->callback([=, &exit_code] {
    exit_code = ExitCodeFor(WriteReport(*run_dir));
    if (exit_code == 0) fmt::print("{}/report.html\n", *run_dir);
  });
}

}  // namespace

int Main(int argc, char** argv) {
  SetUpLogging("skerry-coordinator", LogLevel::kInfo);
  CLI::App app("Skerry's coordinator: runs federated jobs with its agents", "skerry-coordinator");
  app.set_version_flag("--version", std::string(kVersion));
  app.require_subcommand(1);
  int exit_code = 0;
  AddRun(app, exit_code);
  AddRehearse(app, exit_code);
  AddCheck(app, exit_code);
  AddSecAgg(app, exit_code);
  AddPrivacy(app, exit_code);
  AddKeys(app, exit_code);
  AddStatus(app, exit_code);
  AddReport(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 exits 0 for --help and --version; everything else is bad usage.
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return exit_code;
}

}  // namespace skerry

int main(int argc, char** argv) { return skerry::Main(argc, argv); }
