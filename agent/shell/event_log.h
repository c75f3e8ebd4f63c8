// Turns what the session reports into log lines. Details of a node's data appear here, in the
// site's own log, and nowhere else.
#pragma once

#include <string>

#include "agent/session/session_outbox.h"

namespace skerry {

class EventLog {
 public:
  // Quiet: warnings and errors only.
  explicit EventLog(bool is_quiet) : is_quiet_(is_quiet) {}

  void Event(const SessionEvent& event);
  // Said once for the same reason, not at every try.
  void LinkDown(const std::string& reason);

 private:
  void Info(const std::string& text) const;

  bool is_quiet_;
  std::string last_link_down_;
};

}  // namespace skerry
