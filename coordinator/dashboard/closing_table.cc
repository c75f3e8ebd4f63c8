#include "coordinator/dashboard/closing_table.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "coordinator/dashboard/text.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

constexpr size_t kRowsMax = 40;
constexpr size_t kRowsAtStart = 5;

using Row = std::vector<std::string>;

std::vector<std::string> MetricsOf(const RunView& view) {
  std::set<std::string> present;
  for (const RoundView& round : view.rounds) {
    for (const auto& [name, value] : round.metrics) present.insert(name);
  }
  std::vector<std::string> names;
  for (const char* name : {"accuracy", "auc", "f1", "mae", "loss"}) {
    if (present.contains(name)) names.emplace_back(name);
  }
  return names;
}

Row RowOf(const RoundView& round, const std::vector<std::string>& metrics, bool is_hidden) {
  Row row = {fmt::format("{}{}", round.is_skipped ? "skipped " : "", round.round)};
  for (const std::string& metric : metrics) {
    const auto found = round.metrics.find(metric);
    row.push_back(found == round.metrics.end() ? "" : MetricText(metric, found->second));
  }
  if (is_hidden) return row;
  row.push_back(fmt::format("{}/{}", round.accepted, round.invited));
  row.push_back(fmt::format("{:.1f}", round.seconds));
  row.push_back(fmt::format("{:.2f}", static_cast<double>(round.bytes_sent) / 1e6));
  row.push_back(fmt::format("{:.2f}", static_cast<double>(round.bytes_received) / 1e6));
  return row;
}

std::string TextOf(const Row& row, const std::vector<size_t>& widths) {
  std::string text = " ";
  for (size_t i = 0; i < row.size(); ++i) text += "  " + PadLeft(row[i], widths[i]);
  return text;
}

std::string SpentText(const PrivacyView& privacy) {
  std::string text = fmt::format("epsilon {:.4g} of {:.4g} spent, delta {:g}",
                                 privacy.epsilon_spent, privacy.epsilon_max, privacy.delta);
  if (privacy.epsilon_insider) {
    text += fmt::format("; to who saw the cohorts at most {:.4g}", *privacy.epsilon_insider);
  }
  return text;
}

std::string NoiseText(const PrivacyView& privacy) {
  std::string text = fmt::format("multiplier {:.4g} planned", privacy.noise_planned);
  if (privacy.noise_realised) text += fmt::format(", {:.4g} in the end", *privacy.noise_realised);
  if (privacy.clip_norm) text += fmt::format("; clip norm {:.3g}", *privacy.clip_norm);
  if (privacy.skipped_count > 0) {
    text += fmt::format("; {} of {} releases were skipped rounds", privacy.skipped_count,
                        privacy.release_count);
  }
  return text;
}

std::string Painted(const std::string& text, const char* escape, const RenderOptions& options) {
  return options.has_colour ? fmt::format("{}{}\x1b[0m", escape, text) : text;
}

}  // namespace

std::string ClosingTable(const RunView& view, const RenderOptions& options) {
  const std::vector<std::string> metrics = MetricsOf(view);
  Row head = {"round"};
  head.insert(head.end(), metrics.begin(), metrics.end());
  if (!view.hides_cohorts) {
    for (const char* name : {"nodes", "seconds", "MB down", "MB up"}) head.emplace_back(name);
  }

  std::vector<Row> rows;
  size_t left_out = 0;
  for (size_t i = 0; i < view.rounds.size(); ++i) {
    const bool is_middle = view.rounds.size() > kRowsMax && i >= kRowsAtStart &&
                           i + (kRowsMax - kRowsAtStart) < view.rounds.size();
    if (is_middle) {
      ++left_out;
    } else {
      rows.push_back(RowOf(view.rounds[i], metrics, view.hides_cohorts));
    }
  }
  std::vector<size_t> widths(head.size());
  for (size_t i = 0; i < head.size(); ++i) {
    widths[i] = DisplayWidth(head[i]);
    for (const Row& row : rows) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }

  std::string text;
  if (!rows.empty()) {
    const std::string head_text = TextOf(head, widths);
    text += Painted(head_text, "\x1b[1m", options) + "\n";
    std::string rule = "   ";
    for (size_t i = 3; i < DisplayWidth(head_text); ++i) rule += options.has_unicode ? "─" : "-";
    text += Painted(rule, "\x1b[2m", options) + "\n";
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (left_out > 0 && i == kRowsAtStart) {
      text += Painted(fmt::format("   ... {} rounds more, see report.html", left_out), "\x1b[2m",
                      options) +
              "\n";
    }
    text += TextOf(rows[i], widths) + "\n";
  }

  const auto fact = [&](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    text += "   " + Painted(PadRight(name, 10), "\x1b[2m", options) + value + "\n";
  };
  if (!rows.empty()) text += "\n";
  std::string status(RunStatusName(view.status));
  if (!view.status_detail.empty()) status += ", " + PlainText(view.status_detail);
  fact("status", fmt::format("{}, {} of {} rounds in {}", status, view.rounds.size(),
                             view.round_count, DurationText(view.elapsed)));
  for (const std::string& metric : metrics) {
    if (const auto trend = TrendOf(view, metric)) fact(metric, MetricText(metric, trend->newest));
  }
  if (view.privacy) fact("privacy", SpentText(*view.privacy));
  if (view.privacy) fact("noise", NoiseText(*view.privacy));
  if (!view.hides_cohorts) {
    fact("traffic",
         fmt::format("{} to nodes, {} from nodes", BytesText(static_cast<double>(view.bytes_sent)),
                     BytesText(static_cast<double>(view.bytes_received))));
  }
  const std::string model = view.run_dir + "/model.safetensors";
  if (std::filesystem::exists(model)) fact("model", model);
  fact("sha256", view.model_sha256);
  const std::string report = view.run_dir + "/report.html";
  if (std::filesystem::exists(report)) fact("report", report);
  return text;
}

}  // namespace skerry
