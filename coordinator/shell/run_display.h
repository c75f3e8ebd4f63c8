// Keeps the view of a running job up to date and shows it: on the terminal a few times a second, in
// status.json once a second. Fills the view from the machines and from what was made durable.
// Owned by the shell's thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/base/clock.h"
#include "coordinator/dashboard/run_view.h"
#include "coordinator/dashboard/terminal_view.h"
#include "coordinator/membership/membership.h"
#include "coordinator/round/round_machine.h"
#include "coordinator/store/run_history.h"

namespace skerry {

class RunDisplay {
 public:
  // `history`: what run.db holds at the start, so that a resumed run shows its earlier rounds.
  RunDisplay(const RunHistory& history, std::unique_ptr<TerminalView> terminal);

  // What was just made durable.
  void Show(std::span<const Record> records, const std::optional<RoundTraffic>& traffic);
  // Draws if it is time. `under_way` is the traffic since the last commit.
  void Update(const RoundMachine& machine, const Membership& membership,
              const RoundTraffic& under_way, Instant now);
  // The last state, drawn once, and the terminal given back.
  void Finish(const RoundMachine& machine, const Membership& membership,
              const RoundTraffic& under_way, Instant now);

  const RunView& view() const { return view_; }

 private:
  void Fill(const RoundMachine& machine, const Membership& membership,
            const RoundTraffic& under_way, Instant now);

  RunView view_;
  std::unique_ptr<TerminalView> terminal_;
  uint64_t bytes_sent_committed_ = 0;
  uint64_t bytes_received_committed_ = 0;
  std::optional<Instant> started_at_;
  Instant drawn_at_{};
  Instant status_written_at_{};
  // For the rates.
  Instant measured_at_{};
  uint64_t sent_measured_ = 0;
  uint64_t received_measured_ = 0;
};

}  // namespace skerry
