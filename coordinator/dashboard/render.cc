#include "coordinator/dashboard/render.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "coordinator/dashboard/text.h"
#include "coordinator/store/schema.h"

namespace skerry {
namespace {

constexpr size_t kLinesMax = 20;
constexpr size_t kWidthMax = 100;   // longer lines are hard to read
constexpr size_t kLabelWidth = 11;  // "accuracy" and some air
constexpr size_t kTwoColumnWidth = 76;
constexpr size_t kNodeRowsMax = 8;
constexpr size_t kEventsMax = 3;
constexpr size_t kSparklineMax = 24;

enum class Style { kPlain, kBold, kDim, kGood, kBusy, kWarning, kBad, kAccent };

const char* EscapeOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kBusy:
      return "\x1b[34m";
    case Style::kWarning:
      return "\x1b[33m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kAccent:
      return "\x1b[36m";
  }
  return "";
}

Style StyleOf(Participation participation) {
  switch (participation) {
    case Participation::kAccepted:
      return Style::kGood;
    case Participation::kUploading:
      return Style::kAccent;
    case Participation::kTraining:
      return Style::kBusy;
    case Participation::kFailed:
      return Style::kBad;
    case Participation::kCut:
      return Style::kWarning;
    case Participation::kInvited:
    case Participation::kTasked:
    case Participation::kSurplus:
      return Style::kDim;
  }
  return Style::kPlain;
}

// Text in pieces of one style each; widths are counted before escapes are added.
class Line {
 public:
  Line& Add(std::string text, Style style = Style::kPlain) {
    width_ += DisplayWidth(text);
    pieces_.emplace_back(std::move(text), style);
    return *this;
  }
  Line& Fill(size_t width) {
    return width > width_ ? Add(std::string(width - width_, ' ')) : *this;
  }
  Line& Append(const Line& other) {
    for (const auto& [text, style] : other.pieces_) Add(text, style);
    return *this;
  }
  size_t width() const { return width_; }

  std::string ToText(size_t width_max, bool has_colour) const {
    std::string result;
    size_t left = width_max;
    for (const auto& [text, style] : pieces_) {
      const std::string fitted = FitText(text, left);
      if (fitted.empty()) continue;
      left -= DisplayWidth(fitted);
      const bool is_painted = has_colour && style != Style::kPlain;
      result += is_painted ? EscapeOf(style) + fitted + "\x1b[0m" : fitted;
      if (fitted.size() < text.size()) break;  // an ellipsis stands for this and all that follows
    }
    if (result.find_last_not_of(' ') != std::string::npos) {
      result.erase(result.find_last_not_of(' ') + 1);
    }
    return result;
  }

 private:
  std::vector<std::pair<std::string, Style>> pieces_;
  size_t width_ = 0;
};

class Renderer {
 public:
  Renderer(const RunView& view, const RenderOptions& options)
      : view_(view),
        options_(options),
        width_(std::clamp<size_t>(options.width, 2, kWidthMax + 1) - 1),
        line_count_max_(std::min(kLinesMax, options.height > 3 ? options.height - 2 : 1)) {}

  std::string Run() {
    std::vector<Line> head = {Title(), TotalBar()};
    std::vector<Line> body = {Cohort()};
    std::vector<Line> tail;
    if (auto line = Quality()) tail.push_back(*std::move(line));
    if (view_.privacy) {
      for (Line& line : Privacy(*view_.privacy)) tail.push_back(std::move(line));
    }
    if (!view_.hides_cohorts) tail.push_back(Traffic());
    tail.push_back(Time());
    if (!view_.refusals.empty()) tail.push_back(Refusals());
    if (!view_.waiting_for.empty()) {
      std::string_view sentence = view_.waiting_for;
      if (sentence.starts_with("waiting ")) sentence.remove_prefix(8);
      tail.push_back(Label("waiting").Add(PlainText(sentence), Style::kWarning));
    }
    // What gives way first on a small terminal: events, then node rows, then the air.
    const size_t fixed = head.size() + body.size() + tail.size();
    size_t spare = line_count_max_ > fixed ? line_count_max_ - fixed : 0;
    const bool has_air = spare >= 2;
    if (has_air) spare -= 2;
    const std::vector<Line> nodes = NodeRows(std::min(spare, kNodeRowsMax));
    spare -= nodes.size();
    std::vector<Line> events = Events(std::min(spare, kEventsMax));

    std::vector<Line> lines = std::move(head);
    if (has_air) lines.emplace_back();
    lines.insert(lines.end(), body.begin(), body.end());
    lines.insert(lines.end(), nodes.begin(), nodes.end());
    if (has_air) lines.emplace_back();
    lines.insert(lines.end(), tail.begin(), tail.end());
    lines.insert(lines.end(), events.begin(), events.end());
    if (lines.size() > line_count_max_) lines.resize(line_count_max_);

    std::string text;
    for (const Line& line : lines) {
      text += line.ToText(width_, options_.has_colour);
      text += '\n';
    }
    return text;
  }

 private:
  const char* dot() const { return options_.has_unicode ? " · " : " - "; }

  static Line Label(std::string_view name) {
    Line line;
    line.Add(PadRight(fmt::format("  {}", name), kLabelWidth + 2), Style::kDim);
    return line;
  }

  Line Title() const {
    Line right;
    right.Add(fmt::format("round {} of {}", view_.round, view_.round_count), Style::kBold);
    const std::string state = view_.status == RunStatus::kRunning
                                  ? view_.phase
                                  : std::string(RunStatusName(view_.status));
    if (!state.empty()) right.Add(dot()).Add(state, Style::kAccent);

    Line line;
    line.Add("  skerry", Style::kBold).Add("  ");
    const size_t room =
        width_ > line.width() + right.width() + 2 ? width_ - line.width() - right.width() - 2 : 0;
    line.Add(FitText(PlainText(view_.job_name), room));
    line.Fill(width_ > right.width() ? width_ - right.width() : 0);
    return line.Append(right);
  }

  // Thin bar over the whole width: all rounds, the current one by its progress.
  Line TotalBar() const {
    const double rounds_done =
        view_.rounds.empty() ? 0 : static_cast<double>(view_.rounds.back().round);
    const bool is_between = view_.rounds.empty() ? false : view_.rounds.back().round >= view_.round;
    double fraction = 0;
    if (view_.round_count > 0) {
      fraction = (rounds_done + (is_between ? 0 : RoundProgress(view_))) /
                 static_cast<double>(view_.round_count);
    }
    fraction = std::clamp(fraction, 0.0, 1.0);
    const size_t bar_width = width_ > 12 ? width_ - 9 : 4;
    Line line;
    line.Add("  ");
    AddBar(line, fraction, bar_width, Style::kAccent);
    return line.Add(fmt::format(" {:3.0f} %", std::floor(100 * fraction)), Style::kBold);
  }

  void AddBar(Line& line, double fraction, size_t width, Style style) const {
    // Half columns where the font has them.
    const auto halves = static_cast<size_t>(
        std::llround(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(2 * width)));
    const size_t full = halves / 2;
    std::string done;
    for (size_t i = 0; i < full; ++i) done += options_.has_unicode ? "━" : "=";
    const bool has_half = options_.has_unicode && halves % 2 == 1;
    if (has_half) done += "╸";
    std::string rest;
    for (size_t i = full + (has_half ? 1 : 0); i < width; ++i) {
      rest += options_.has_unicode ? "─" : "-";
    }
    line.Add(std::move(done), style).Add(std::move(rest), Style::kDim);
  }

  // One line if it fits, else the noise has its own.
  std::vector<Line> Privacy(const PrivacyView& privacy) const {
    Line spent = Label("privacy");
    spent.Add(fmt::format("epsilon {:.4g}", privacy.epsilon_spent), Style::kBold);
    spent.Add(fmt::format(" of {:.4g}, delta {:g}", privacy.epsilon_max, privacy.delta));
    if (privacy.epsilon_insider) {
      spent.Add(dot(), Style::kDim)
          .Add(fmt::format("insider {}{:.4g}", view_.hides_cohorts ? "at most " : "",
                           *privacy.epsilon_insider),
               Style::kDim);
    }
    std::string noise = fmt::format("noise {:.3g}", privacy.noise_planned);
    if (privacy.noise_realised) noise += fmt::format(", was {:.3g}", *privacy.noise_realised);
    if (privacy.clip_norm) noise += fmt::format("{}clip {:.3g}", dot(), *privacy.clip_norm);
    if (privacy.skipped_count > 0) {
      noise += fmt::format("{}{} skipped", dot(), privacy.skipped_count);
    }
    Line both = spent;
    both.Add(dot(), Style::kDim).Add(noise, Style::kDim);
    if (both.width() <= width_) return {both};
    Line second = Label("");
    second.Add(noise, Style::kDim);
    return {spent, second};
  }

  Line Cohort() const {
    static constexpr Participation kOrder[] = {Participation::kAccepted, Participation::kUploading,
                                               Participation::kTraining, Participation::kTasked,
                                               Participation::kInvited,  Participation::kFailed,
                                               Participation::kCut,      Participation::kSurplus};
    Line line = Label("nodes");
    if (view_.hides_cohorts) {
      line.Add(fmt::format("secret cohorts of {}", view_.node_count));
      if (view_.node_connected_count == 0) return line;
      return line.Add(dot(), Style::kDim)
          .Add(fmt::format("{} connected", view_.node_connected_count));
    }
    bool is_first = true;
    for (const Participation participation : kOrder) {
      const uint64_t count = view_.count_of(participation);
      if (count == 0) continue;
      if (!is_first) line.Add(dot(), Style::kDim);
      is_first = false;
      line.Add(fmt::format("{} {}", count, ParticipationName(participation)),
               StyleOf(participation));
    }
    if (is_first && view_.node_connected_count == 0) {  // nobody works on this run
      return line.Add(fmt::format("{} took part", view_.node_count));
    }
    if (!is_first) line.Add(dot(), Style::kDim);
    line.Add(fmt::format("{}/{} connected", view_.node_connected_count, view_.node_count),
             view_.node_connected_count < view_.node_count ? Style::kPlain : Style::kDim);
    if (view_.quorum > 0) {
      line.Add(dot(), Style::kDim).Add(fmt::format("quorum {}", view_.quorum), Style::kDim);
    }
    return line;
  }

  // Those that are still at work first, if not all fit.
  static int RankOf(const NodeView& node) {
    switch (node.participation) {
      case Participation::kUploading:
      case Participation::kTraining:
        return 0;
      case Participation::kTasked:
      case Participation::kInvited:
        return 1;
      case Participation::kFailed:
      case Participation::kCut:
        return 2;
      case Participation::kAccepted:
      case Participation::kSurplus:
        return 3;
    }
    return 3;
  }

  std::vector<Line> NodeRows(size_t row_count_max) const {
    const size_t columns = width_ >= kTwoColumnWidth ? 2 : 1;
    const size_t room = columns * row_count_max;
    uint64_t total = 0;
    for (const uint64_t count : view_.participation_counts) total += count;
    total = std::max<uint64_t>(total, view_.nodes.size());
    if (room < 2 || view_.nodes.empty()) return {};

    std::vector<NodeView> shown = view_.nodes;
    std::sort(shown.begin(), shown.end(),
              [](const NodeView& a, const NodeView& b) { return NaturalLess(a.node, b.node); });
    if (total > room) {
      std::stable_sort(shown.begin(), shown.end(),
                       [](const NodeView& a, const NodeView& b) { return RankOf(a) < RankOf(b); });
      shown.resize(std::min(shown.size(), room - 1));
    }
    size_t name_width = 4;
    for (const NodeView& node : shown) {
      name_width = std::max(name_width, DisplayWidth(PlainText(node.node)));
    }
    name_width = std::min<size_t>(name_width, 16);
    const size_t cell_width = (width_ - 2) / columns;

    std::vector<Line> cells;
    for (const NodeView& node : shown) cells.push_back(NodeCell(node, name_width, cell_width));
    if (total > shown.size()) {
      Line more;
      more.Add(fmt::format("{} {} more", options_.has_unicode ? "…" : "...", total - shown.size()),
               Style::kDim);
      cells.push_back(std::move(more));
    }
    // Down the first column, then down the second, as a list is read.
    const size_t row_count = (cells.size() + columns - 1) / columns;
    std::vector<Line> rows(row_count);
    for (size_t i = 0; i < cells.size(); ++i) {
      Line& row = rows[i % row_count];
      row.Fill(2 + i / row_count * cell_width).Append(cells[i]);
    }
    return rows;
  }

  Line NodeCell(const NodeView& node, size_t name_width, size_t cell_width) const {
    double fraction = 0;
    switch (node.participation) {
      case Participation::kTraining:
        fraction = std::min(node.permille, 1000u) / 1000.0;
        break;
      case Participation::kUploading:
      case Participation::kAccepted:
        fraction = 1;
        break;
      default:
        break;
    }
    const Style style = StyleOf(node.participation);
    Line cell;
    cell.Add(PadRight(PlainText(node.node), name_width)).Add("  ");
    const size_t bar_width = cell_width > name_width + 36 ? 12 : 6;
    AddBar(cell, fraction, bar_width, style);
    cell.Add("  ");
    std::string state(ParticipationName(node.participation));
    if (node.participation == Participation::kTraining) {
      state += fmt::format(" {} %", std::min(node.permille, 1000u) / 10);
    }
    const size_t room = cell_width > cell.width() + 2 ? cell_width - cell.width() - 2 : 0;
    if (!node.note.empty()) state += ", " + PlainText(node.note);
    return cell.Add(FitText(state, room), style);
  }

  std::string Sparkline(const std::string& metric) const {
    std::vector<double> values;
    for (const RoundView& round : view_.rounds) {
      const auto found = round.metrics.find(metric);
      if (found != round.metrics.end() && std::isfinite(found->second)) {
        values.push_back(found->second);
      }
    }
    const size_t count_max = std::min(kSparklineMax, width_ / 4);
    if (values.size() > count_max) {
      values.erase(values.begin(), values.end() - static_cast<std::ptrdiff_t>(count_max));
    }
    if (values.size() < 2 || !options_.has_unicode) return {};
    static constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double range = *high - *low;
    std::string text;
    for (const double value : values) {
      const double part = range > 0 ? (value - *low) / range : 0.5;
      text += kBlocks[static_cast<size_t>(std::llround(7 * part))];
    }
    return text;
  }

  std::optional<Line> Quality() const {
    const std::string headline = HeadlineMetric(view_);
    const std::string name = headline.empty() ? "loss" : headline;
    const auto trend = TrendOf(view_, name);
    if (!trend.has_value()) return std::nullopt;
    Line line = Label(name);
    line.Add(MetricText(name, trend->newest), Style::kBold);
    if (trend->previous.has_value()) {
      const double scale = name == "accuracy" ? 100 : 1;
      line.Add(fmt::format("  {:+.{}f}", scale * (trend->newest - *trend->previous),
                           name == "accuracy" ? 2 : 4),
               Style::kDim);
    }
    const std::string sparkline = Sparkline(name);
    if (!sparkline.empty()) line.Add("  ").Add(sparkline, Style::kAccent);
    if (!headline.empty()) {
      if (const auto loss = TrendOf(view_, "loss")) {
        line.Add("  loss ", Style::kDim).Add(MetricText("loss", loss->newest));
      }
    }
    return line;
  }

  Line Traffic() const {
    const char* down = options_.has_unicode ? "↓ " : "down ";
    const char* up = options_.has_unicode ? "↑ " : "up ";
    Line line = Label("traffic");
    line.Add(down, Style::kDim).Add(BytesText(static_cast<double>(view_.bytes_sent)));
    if (view_.bytes_sent_per_s >= 1) {
      line.Add(fmt::format(" ({}/s)", BytesText(view_.bytes_sent_per_s)), Style::kDim);
    }
    line.Add(" to nodes   ", Style::kDim).Add(up, Style::kDim);
    line.Add(BytesText(static_cast<double>(view_.bytes_received)));
    if (view_.bytes_received_per_s >= 1) {
      line.Add(fmt::format(" ({}/s)", BytesText(view_.bytes_received_per_s)), Style::kDim);
    }
    return line.Add(" from nodes", Style::kDim);
  }

  Line Time() const {
    Line line = Label("time");
    line.Add(DurationText(view_.elapsed));
    if (const auto left = EstimateTimeLeft(view_)) {
      line.Add(dot(), Style::kDim).Add(fmt::format("about {} left", DurationText(*left)));
    }
    return line;
  }

  Line Refusals() const {
    Line line = Label("refused");
    std::string_view separator;
    for (const auto& [reason, count] : view_.refusals) {
      line.Add(std::string(separator), Style::kDim)
          .Add(fmt::format("{} x {}", count, PlainText(reason)), Style::kWarning);
      separator = ", ";
    }
    return line;
  }

  std::vector<Line> Events(size_t count_max) const {
    std::vector<Line> lines;
    const size_t count = std::min(count_max, view_.events.size());
    for (size_t i = view_.events.size() - count; i < view_.events.size(); ++i) {
      const EventView& event = view_.events[i];
      Line line = Label(lines.empty() ? "events" : "");
      line.Add(fmt::format("round {}  ", event.round), Style::kDim).Add(PlainText(event.kind));
      if (!event.node.empty()) line.Add(" ").Add(PlainText(event.node), Style::kBold);
      if (!event.detail.empty()) line.Add(": " + PlainText(event.detail), Style::kDim);
      lines.push_back(std::move(line));
    }
    return lines;
  }

  const RunView& view_;
  const RenderOptions& options_;
  const size_t width_;
  const size_t line_count_max_;
};

}  // namespace

std::string Render(const RunView& view, const RenderOptions& options) {
  return Renderer(view, options).Run();
}

}  // namespace skerry
