// Rosters. One that is read has a canonical text that reads to the same roster and hash; everybody
// in it is found by name and by key; a bad one is refused with its first hundred errors, however
// many there are, and without holding all of them.
#include "common/base/status.h"
#include "common/identity/roster.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const std::string_view text = fuzz::AsText({data, size});
  const RosterSource source{"roster.txt", text};
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<Roster> roster = Roster::Parse({&source, 1}, 1000);
  fuzz::CheckMemory(meter, size, {.factor = 32, .base = 128 << 10});
  if (!roster.ok()) {
    fuzz::CheckRefusal(roster.status(), 101 * 400);
    return 0;
  }

  for (const RosterNode& node : roster->nodes()) {
    SKERRY_ASSERT(roster->FindNode(node.id) == &node);
    SKERRY_ASSERT(roster->FindProcess(roster->ProcessOf(node).name) == &roster->ProcessOf(node));
  }
  for (const RosterProcess& process : roster->processes()) {
    SKERRY_ASSERT(roster->FindProcess(process.key) == &process);
  }
  const std::string canonical = roster->CanonicalText();
  const RosterSource canonical_source{"canonical.txt", canonical};
  const absl::StatusOr<Roster> again = Roster::Parse({&canonical_source, 1}, 1000);
  SKERRY_ASSERT(again.ok());
  SKERRY_ASSERT(again->hash() == roster->hash() && again->CanonicalText() == canonical);
  const RosterDiff diff = DiffRosters(*roster, *again);
  SKERRY_ASSERT(diff.removed_processes.empty() && diff.added_processes.empty());
  SKERRY_ASSERT(diff.removed_nodes.empty() && diff.added_nodes.empty());
  return 0;
}
