#include "agent/session/session_data.h"

#include <utility>

#include "common/base/status.h"

namespace skerry {
namespace {

// A process that is turned away, or a node that is, may be put on the roster again at any time.
constexpr Duration kRetryShortest = std::chrono::seconds(2);
constexpr Duration kRetryLongest = std::chrono::seconds(60);

}  // namespace

SessionData::SessionData(SessionOptions options_in, SessionFunctions functions_in, Rng rng_in)
    : options(std::move(options_in)),
      functions(std::move(functions_in)),
      rng(rng_in),
      spending(std::move(options.spent)),
      uploads({.inline_bytes_max = options.inline_upload_bytes_max,
               .memory_bytes_max = options.upload_memory_bytes,
               .resend_after = options.resend_after},
              functions.spool),
      turned_away_wait(kRetryShortest, kRetryLongest),
      rejoin_wait(kRetryShortest, kRetryLongest) {
  SKERRY_ASSERT(!options.nodes.empty());
  SKERRY_ASSERT(options.workers > 0);
  nodes.reserve(options.nodes.size());
  index_of.reserve(options.nodes.size());
  for (const NodeId& id : options.nodes) {
    const HostedIndex index(static_cast<uint32_t>(nodes.size()));
    const bool is_new = index_of.emplace(id.value(), index).second;
    SKERRY_ASSERT(is_new);
    nodes.push_back({.id = id});
  }
}

std::optional<HostedIndex> SessionData::Find(const std::string& id) const {
  const auto it = index_of.find(id);
  if (it == index_of.end()) return std::nullopt;
  return it->second;
}

void ReportIgnored(std::string detail, SessionOutbox& out) {
  out.report.push_back({.kind = SessionEventKind::kMessageIgnored, .detail = std::move(detail)});
}

}  // namespace skerry
