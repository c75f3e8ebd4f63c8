#include "coordinator/dashboard/status_file.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/base/status.h"
#include "coordinator/dashboard/text.h"
#include "coordinator/store/run_lock.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kStatusBytesMax = 64 << 20;
// What a reader can use; the whole history stands in run.db.
constexpr size_t kEventsMax = 100;
constexpr size_t kNodesMax = 1000;

std::string StatusPath(const std::string& run_dir) { return run_dir + "/status.json"; }

Json NumberOrNull(const std::optional<double>& value) {
  return value.has_value() && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

Json ToJson(const PrivacyView& privacy) {
  return {{"epsilon_max", privacy.epsilon_max},
          {"delta", privacy.delta},
          {"epsilon_spent", NumberOrNull(privacy.epsilon_spent)},
          {"epsilon_insider", NumberOrNull(privacy.epsilon_insider)},
          {"releases", privacy.release_count},
          {"skipped", privacy.skipped_count},
          {"noise_planned", privacy.noise_planned},
          {"noise_realised", NumberOrNull(privacy.noise_realised)},
          {"clip_norm", NumberOrNull(privacy.clip_norm)}};
}

Json ToJson(const RunView& view) {
  Json counts = Json::object();
  for (size_t i = 0; i < kParticipationCount; ++i) {
    const std::string name(ParticipationName(static_cast<Participation>(i)));
    counts[name] = view.participation_counts[i];
  }
  Json nodes = Json::array();
  for (size_t i = 0; i < std::min(view.nodes.size(), kNodesMax); ++i) {
    const NodeView& node = view.nodes[i];
    nodes.push_back({{"node", node.node},
                     {"participation", ParticipationName(node.participation)},
                     {"permille", node.permille},
                     {"note", node.note}});
  }
  Json rounds = Json::array();
  for (const RoundView& round : view.rounds) {
    rounds.push_back({{"round", round.round},
                      {"skipped", round.is_skipped},
                      {"invited", round.invited},
                      {"accepted", round.accepted},
                      {"seconds", round.seconds},
                      {"bytes_sent", round.bytes_sent},
                      {"bytes_received", round.bytes_received},
                      {"metrics", Json(round.metrics)}});
  }
  Json events = Json::array();
  const size_t first = view.events.size() - std::min(view.events.size(), kEventsMax);
  for (size_t i = first; i < view.events.size(); ++i) {
    const EventView& event = view.events[i];
    events.push_back({{"round", event.round},
                      {"kind", event.kind},
                      {"node", event.node},
                      {"detail", event.detail}});
  }
  return {
      {"job_name", view.job_name},
      {"run_id", view.run_id},
      {"run_dir", view.run_dir},
      {"status", RunStatusName(view.status)},
      {"status_detail", view.status_detail},
      {"round", view.round},
      {"round_count", view.round_count},
      {"phase", view.phase},
      {"waiting_for", view.waiting_for},
      {"node_count", view.node_count},
      {"node_connected_count", view.node_connected_count},
      {"quorum", view.quorum},
      {"participation_counts", std::move(counts)},
      {"nodes", std::move(nodes)},
      {"rounds", std::move(rounds)},
      {"events", std::move(events)},
      {"refusals", Json(view.refusals)},
      {"bytes_sent", view.bytes_sent},
      {"bytes_received", view.bytes_received},
      {"bytes_sent_per_s", view.bytes_sent_per_s},
      {"bytes_received_per_s", view.bytes_received_per_s},
      {"elapsed_s", Seconds(view.elapsed)},
      {"round_elapsed_s", Seconds(view.round_elapsed)},
      {"model_sha256", view.model_sha256},
      {"hides_cohorts", view.hides_cohorts},
      {"epsilon_spent", view.privacy ? NumberOrNull(view.privacy->epsilon_spent) : Json(nullptr)},
      {"privacy", view.privacy ? ToJson(*view.privacy) : Json(nullptr)}};
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A field that is missing or of another type reads as its default: the file is for display, and a
// newer version may have other fields.
template <typename T>
T Get(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return T();
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->get<std::string>() : T();
  } else {
    return found->is_number() ? found->get<T>() : T();
  }
}

const Json& Member(const Json& json, const char* name) {
  static const Json kNone;
  const auto found = json.find(name);
  return found == json.end() ? kNone : *found;
}

Duration SecondsOf(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

bool IsTrue(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

std::optional<double> NumberOrNothing(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

PrivacyView PrivacyFrom(const Json& json) {
  return {.epsilon_max = Get<double>(json, "epsilon_max"),
          .delta = Get<double>(json, "delta"),
          .epsilon_spent = Get<double>(json, "epsilon_spent"),
          .epsilon_insider = NumberOrNothing(json, "epsilon_insider"),
          .release_count = Get<uint64_t>(json, "releases"),
          .skipped_count = Get<uint64_t>(json, "skipped"),
          .noise_planned = Get<double>(json, "noise_planned"),
          .noise_realised = NumberOrNothing(json, "noise_realised"),
          .clip_norm = NumberOrNothing(json, "clip_norm")};
}

RoundView RoundFrom(const Json& json) {
  RoundView round{Get<uint64_t>(json, "round"),
                  Get<uint64_t>(json, "invited"),
                  Get<uint64_t>(json, "accepted"),
                  Get<double>(json, "seconds"),
                  Get<uint64_t>(json, "bytes_sent"),
                  Get<uint64_t>(json, "bytes_received"),
                  {},
                  IsTrue(json, "skipped")};
  for (const auto& [name, value] : Member(json, "metrics").items()) {
    round.metrics[name] =
        value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
  }
  return round;
}

struct Current {
  RunView view;
  std::optional<int> process;  // of the coordinator at work
};

absl::StatusOr<Current> ReadCurrent(const std::string& run_dir, Audience audience) {
  const auto process = RunLock::Owner(run_dir);
  if (process.has_value() && audience == Audience::kEverybody) {
    const auto text = ReadFile(StatusPath(run_dir), kStatusBytesMax);
    if (text.ok()) {
      SKERRY_ASSIGN_OR_RETURN(RunView view, ViewFromJson(*text));
      return Current{std::move(view), process};
    }
  }
  SKERRY_ASSIGN_OR_RETURN(const RunHistory history, ReadRunHistory(run_dir));
  return Current{ViewOf(history, audience), process};
}

}  // namespace

std::string ViewToJson(const RunView& view) { return Dump(ToJson(view)); }

absl::StatusOr<RunView> ViewFromJson(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError("status.json is not a JSON object");
  RunView view;
  view.job_name = Get<std::string>(json, "job_name");
  view.run_id = Get<std::string>(json, "run_id");
  view.run_dir = Get<std::string>(json, "run_dir");
  view.status = RunStatusFromName(Get<std::string>(json, "status")).value_or(RunStatus::kRunning);
  view.status_detail = Get<std::string>(json, "status_detail");
  view.round = Get<uint64_t>(json, "round");
  view.round_count = Get<uint64_t>(json, "round_count");
  view.phase = Get<std::string>(json, "phase");
  view.waiting_for = Get<std::string>(json, "waiting_for");
  view.node_count = Get<uint64_t>(json, "node_count");
  view.node_connected_count = Get<uint64_t>(json, "node_connected_count");
  view.quorum = Get<uint64_t>(json, "quorum");
  for (size_t i = 0; i < kParticipationCount; ++i) {
    const std::string name(ParticipationName(static_cast<Participation>(i)));
    view.participation_counts[i] =
        Get<uint64_t>(Member(json, "participation_counts"), name.c_str());
  }
  for (const Json& node : Member(json, "nodes")) {
    const auto participation = ParticipationFromName(Get<std::string>(node, "participation"));
    view.nodes.push_back({Get<std::string>(node, "node"),
                          participation.value_or(Participation::kInvited),
                          Get<uint32_t>(node, "permille"), Get<std::string>(node, "note")});
  }
  for (const Json& round : Member(json, "rounds")) view.rounds.push_back(RoundFrom(round));
  for (const Json& event : Member(json, "events")) {
    view.events.push_back({Get<uint64_t>(event, "round"), Get<std::string>(event, "kind"),
                           Get<std::string>(event, "node"), Get<std::string>(event, "detail")});
  }
  for (const auto& [reason, count] : Member(json, "refusals").items()) {
    if (count.is_number_unsigned()) view.refusals[reason] = count.get<uint64_t>();
  }
  view.bytes_sent = Get<uint64_t>(json, "bytes_sent");
  view.bytes_received = Get<uint64_t>(json, "bytes_received");
  view.bytes_sent_per_s = Get<double>(json, "bytes_sent_per_s");
  view.bytes_received_per_s = Get<double>(json, "bytes_received_per_s");
  view.elapsed = SecondsOf(Get<double>(json, "elapsed_s"));
  view.round_elapsed = SecondsOf(Get<double>(json, "round_elapsed_s"));
  view.model_sha256 = Get<std::string>(json, "model_sha256");
  view.hides_cohorts = IsTrue(json, "hides_cohorts");
  if (const Json& privacy = Member(json, "privacy"); privacy.is_object()) {
    view.privacy = PrivacyFrom(privacy);
  }
  return view;
}

absl::Status WriteStatusFile(const std::string& run_dir, const RunView& view) {
  const std::string path = StatusPath(run_dir);
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << ViewToJson(view) << '\n';
  file.close();
  if (!file) return absl::UnavailableError(fmt::format("cannot write {}", temporary));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot rename {} to {}", temporary, path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> StatusText(const std::string& run_dir, const RenderOptions& options,
                                       Audience audience) {
  SKERRY_ASSIGN_OR_RETURN(const Current current, ReadCurrent(run_dir, audience));
  std::string text = Render(current.view, options);
  if (current.process.has_value()) {
    return text + fmt::format("  the coordinator is process {}\n", *current.process);
  }
  switch (current.view.status) {
    case RunStatus::kRunning:
      return text +
             "  the coordinator is not running; it stopped without an end. Continue with "
             "--resume\n";
    case RunStatus::kFailed:
      text += fmt::format("  the run failed: {}\n", PlainText(current.view.status_detail));
      [[fallthrough]];
    case RunStatus::kInterrupted:
      return text + "  the coordinator is not running. Continue with --resume\n";
    case RunStatus::kBudgetExhausted:
      return text + "  the run has ended: its privacy budget is spent\n";
    case RunStatus::kCompleted:
      break;
  }
  return text + "  the run is complete\n";
}

absl::StatusOr<std::string> StatusJson(const std::string& run_dir, Audience audience) {
  SKERRY_ASSIGN_OR_RETURN(const Current current, ReadCurrent(run_dir, audience));
  Json json = ToJson(current.view);
  json["coordinator"] = {{"running", current.process.has_value()}, {"process", nullptr}};
  if (current.process.has_value()) json["coordinator"]["process"] = *current.process;
  return Dump(json);
}

}  // namespace skerry
