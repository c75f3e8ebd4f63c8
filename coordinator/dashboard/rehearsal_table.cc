#include "coordinator/dashboard/rehearsal_table.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "coordinator/dashboard/text.h"

namespace skerry {
namespace {

// An upload is slow if it takes so many times the median and so long.
constexpr double kSlowFactor = 3.0;
constexpr double kSlowSeconds = 2.0;
constexpr double kBitsPerByte = 8.0;

using Row = std::vector<std::string>;

std::optional<double> MedianUpload(const Rehearsal& rehearsal) {
  std::vector<double> times;
  for (const RehearsedNode& node : rehearsal.nodes) {
    if (node.upload_s.has_value()) times.push_back(*node.upload_s);
  }
  if (times.empty()) return std::nullopt;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

std::string Seconds(const std::optional<double>& seconds) {
  return seconds.has_value() ? fmt::format("{:.2f}", *seconds) : "-";
}

std::string Rate(const RehearsedNode& node, double megabytes) {
  if (!node.upload_s.has_value() || *node.upload_s <= 0) return "-";
  return fmt::format("{:.1f}", megabytes * kBitsPerByte / *node.upload_s);
}

std::string Outcome(const RehearsedNode& node) {
  if (!node.is_in_cohort) return node.has_joined ? "joined" : "absent";
  if (!node.has_joined) return "absent";
  if (node.has_lost_session) return "lost";
  return std::string(ParticipationName(node.participation));
}

Row RowOf(const RehearsedNode& node, const Rehearsal& rehearsal) {
  return {node.node,
          node.process,
          Outcome(node),
          Seconds(node.ready_s),
          Seconds(node.work_s),
          Seconds(node.upload_s),
          Rate(node, rehearsal.upload_megabytes)};
}

std::string TextOf(const Row& row, const std::vector<size_t>& widths) {
  std::string text;
  for (size_t i = 0; i < row.size(); ++i) {
    text += "  ";
    text += i < 3 ? PadRight(row[i], widths[i]) : PadLeft(row[i], widths[i]);
  }
  while (text.ends_with(' ')) text.pop_back();
  return text + "\n";
}

}  // namespace

std::string FindingOn(const RehearsedNode& node, const Rehearsal& rehearsal,
                      std::optional<double> median_upload_s) {
  if (!node.has_joined) {
    return fmt::format(
        "never joined: start its agent, let it dial {}, and see in its log whether its keys are "
        "those of the roster",
        rehearsal.address);
  }
  if (!node.is_in_cohort) return "";
  if (node.participation == Participation::kFailed) {
    return fmt::format("{}: its agent's log has the details", node.reason);
  }
  if (node.participation == Participation::kAccepted) {
    if (node.has_lost_session) {
      return "sent its update, then could not help to open the sum: its process was restarted or "
             "lost its keys";
    }
    const bool is_slow = node.upload_s.has_value() && median_upload_s.has_value() &&
                         *node.upload_s >= kSlowSeconds &&
                         *node.upload_s > kSlowFactor * *median_upload_s;
    if (!is_slow) return "";
    return fmt::format(
        "its upload takes {:.1f} s, the median is {:.1f} s: every round waits for it, unless "
        "round.over_selection or a smaller model spares it",
        *node.upload_s, *median_upload_s);
  }
  if (!node.ready_s.has_value()) {
    return "took the task and showed no sign of work in time: the model is slow to arrive or the "
           "data slow to load; raise round.stall_timeout_ms or look at the link";
  }
  if (!node.work_s.has_value()) {
    return "did not get as far as its upload in time: a slow or overloaded machine; raise "
           "round.stall_timeout_ms or have it host fewer nodes";
  }
  return "its upload was not complete in time: a slow or broken link; raise "
         "round.stall_timeout_ms";
}

bool IsSound(const Rehearsal& rehearsal) {
  return rehearsal.failure.empty() &&
         std::all_of(rehearsal.nodes.begin(), rehearsal.nodes.end(), [](const auto& node) {
           return node.has_joined && !node.has_lost_session &&
                  (!node.is_in_cohort || node.participation == Participation::kAccepted);
         });
}

std::string RehearsalTable(const Rehearsal& rehearsal, const RenderOptions& options) {
  const Row head = {"node", "process", "outcome", "ready s", "work s", "upload s", "Mbit/s"};
  std::vector<size_t> widths;
  for (const std::string& name : head) widths.push_back(DisplayWidth(name));
  std::vector<Row> rows;
  for (const RehearsedNode& node : rehearsal.nodes) {
    rows.push_back(RowOf(node, rehearsal));
    for (size_t i = 0; i < head.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(rows.back()[i]));
    }
  }
  const std::string head_text = TextOf(head, widths);
  std::string text = options.has_colour ? fmt::format("\x1b[1m{}\x1b[0m", head_text) : head_text;
  for (const Row& row : rows) text += TextOf(row, widths);

  const std::optional<double> median = MedianUpload(rehearsal);
  size_t found = 0;
  for (const RehearsedNode& node : rehearsal.nodes) {
    const std::string finding = FindingOn(node, rehearsal, median);
    if (finding.empty()) continue;
    if (found++ == 0) text += "\n";
    text += fmt::format("{}: {}\n", node.node, PlainText(finding));
  }
  const auto joined = std::count_if(rehearsal.nodes.begin(), rehearsal.nodes.end(),
                                    [](const auto& node) { return node.has_joined; });
  text += fmt::format(
      "\n{} of {} nodes have joined; an upload has {:.3g} MB{}.\n", joined, rehearsal.nodes.size(),
      rehearsal.upload_megabytes,
      rehearsal.is_masked ? ", and the sum was masked and opened as in a real round" : "");
  if (!rehearsal.failure.empty()) {
    text += fmt::format("The round was not completed: {}.\n", PlainText(rehearsal.failure));
  } else if (IsSound(rehearsal)) {
    text +=
        "Every node is ready. Nothing was trained on anybody's data and no budget was charged.\n";
  } else {
    text += "A real round would be completed, without the nodes named above.\n";
  }
  return text;
}

std::string RehearsalJson(const Rehearsal& rehearsal) {
  const std::optional<double> median = MedianUpload(rehearsal);
  const auto number = [](const std::optional<double>& value) {
    return value.has_value() ? nlohmann::json(*value) : nlohmann::json();
  };
  nlohmann::json nodes = nlohmann::json::array();
  for (const RehearsedNode& node : rehearsal.nodes) {
    nodes.push_back({{"node", node.node},
                     {"process", node.process},
                     {"joined", node.has_joined},
                     {"outcome", Outcome(node)},
                     {"ready_s", number(node.ready_s)},
                     {"work_s", number(node.work_s)},
                     {"upload_s", number(node.upload_s)},
                     {"finding", PlainText(FindingOn(node, rehearsal, median))}});
  }
  const nlohmann::json json = {{"job", rehearsal.job_name},
                               {"sound", IsSound(rehearsal)},
                               {"failure", PlainText(rehearsal.failure)},
                               {"upload_mb", rehearsal.upload_megabytes},
                               {"nodes", std::move(nodes)}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace skerry
