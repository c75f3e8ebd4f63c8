#include "coordinator/dashboard/plain_progress.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "coordinator/dashboard/text.h"

namespace skerry {
namespace {

constexpr Duration kWaitingEvery = std::chrono::seconds(30);

std::string EventText(const EventView& event) {
  std::string text = PlainText(event.kind);
  if (!event.node.empty()) text += fmt::format(" {}", PlainText(event.node));
  if (!event.detail.empty()) text += fmt::format(": {}", PlainText(event.detail));
  return text;
}

}  // namespace

std::string RoundText(const RoundView& round, bool is_hidden) {
  std::string text;
  for (const char* name : {"accuracy", "auc", "f1", "mae", "loss"}) {
    const auto found = round.metrics.find(name);
    if (found == round.metrics.end()) continue;
    text += fmt::format("{} {}, ", name, MetricText(name, found->second));
  }
  if (round.is_skipped) text += "skipped, ";
  if (is_hidden) return text + "cohort secret";
  const auto seconds = std::chrono::duration<double>(round.seconds);
  return text + fmt::format("{} of {} nodes, {}, {} down, {} up", round.accepted, round.invited,
                            DurationText(std::chrono::duration_cast<Duration>(seconds)),
                            BytesText(static_cast<double>(round.bytes_sent)),
                            BytesText(static_cast<double>(round.bytes_received)));
}

std::vector<std::string> PlainProgress::Next(const RunView& view) {
  std::vector<std::string> lines;
  if (!has_started_) {
    has_started_ = true;
    // A continued run begins with what happened before; that was told by the process before.
    rounds_told_ = view.rounds.empty() ? 0 : view.rounds.back().round;
    events_told_ = view.events_dropped + view.events.size();
    lines.push_back(fmt::format("{}: {} rounds, {} nodes, run directory {}",
                                PlainText(view.job_name), view.round_count, view.node_count,
                                view.run_dir));
  }
  events_told_ = std::max(events_told_, view.events_dropped);
  for (; events_told_ < view.events_dropped + view.events.size(); ++events_told_) {
    const EventView& event = view.events[events_told_ - view.events_dropped];
    lines.push_back(fmt::format("round {}: {}", event.round, EventText(event)));
  }
  for (const RoundView& round : view.rounds) {
    if (round.round <= rounds_told_) continue;
    rounds_told_ = round.round;
    lines.push_back(fmt::format("round {} of {} done: {}", round.round, view.round_count,
                                RoundText(round, view.hides_cohorts)));
    if (view.privacy && &round == &view.rounds.back()) {
      lines.back() += fmt::format(", epsilon {:.4g} of {:.4g} so far", view.privacy->epsilon_spent,
                                  view.privacy->epsilon_max);
    }
  }
  if (view.round != round_ || view.phase != phase_) {
    round_ = view.round;
    phase_ = view.phase;
    waiting_told_at_ = view.elapsed;
    uint64_t invited = 0;
    for (const uint64_t count : view.participation_counts) invited += count;
    std::string line = fmt::format("round {} of {}: {}", round_, view.round_count, phase_);
    if (!view.hides_cohorts) {
      line += fmt::format(", {} of {} updates", view.count_of(Participation::kAccepted), invited);
    }
    lines.push_back(std::move(line));
  }
  if (!view.waiting_for.empty() && view.elapsed - waiting_told_at_ >= kWaitingEvery) {
    waiting_told_at_ = view.elapsed;
    lines.push_back(fmt::format("round {}: {}", view.round, PlainText(view.waiting_for)));
  }
  return lines;
}

}  // namespace skerry
