// The file in which a site writes down what its nodes release, before they release it. Only ever
// longer: nothing is refunded, and nothing is forgotten with a job, a coordinator or a process.
//
// One JSON object a line:
//
//   {"data_id":"fashion","node":"n-0","run":"<RunId>","round":3,"attempt":1,"unit":"record",
//    "noise_multiplier":2.5,"sampling_rate":0.01,"steps":1,"adjacency":"add_remove",
//    "unix_ms":1795000000000,"prev":"<the last line's sha256>","sha256":"<of all before this key>"}
//
// prev is 64 zeros in the first line. So a line that was changed, added or left out is noticed,
// but not that the newest lines are missing: whoever can write the file can put back an older one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/privacy/spending.h"

namespace skerry {

// fsync, or a test's. Returns 0, or -1 with errno set.
using SyncFile = std::function<int(int fd)>;
SyncFile SystemSync();

// Owned by the shell. One process has a ledger open at a time, and one thread uses it.
class Ledger {
 public:
  // Reads and checks the whole file; makes it if there is none. Fails with kFailedPrecondition if
  // another process has it, and with kDataLoss if it is damaged. The beginning of a line at its end
  // is what a crash left of a charge that was never durable, so nothing was released for it: it is
  // cut off, and warning() says so.
  static absl::StatusOr<Ledger> Open(std::string path, SyncFile sync = SystemSync());

  // Makes all charges durable with one write and one fsync. Releases that were charged before are
  // not charged again. After a failure nothing may be released, and this ledger takes no more
  // charges: what the disk holds is known only when it is opened anew.
  absl::Status Append(std::span<const Charge> charges, int64_t unix_ms);

  const Spending& spending() const { return spending_; }
  const std::string& path() const { return path_; }
  const std::string& warning() const { return warning_; }

 private:
  Ledger(std::string path, FileDescriptor file, SyncFile sync);

  absl::Status Read();
  absl::Status ReadLine(std::string_view line, uint64_t number);
  absl::Status CutTail(std::string_view tail, uint64_t number, uint64_t offset);
  absl::Status Write(std::string_view text);

  std::string path_;
  FileDescriptor file_;
  SyncFile sync_;
  Spending spending_;
  std::string head_;  // sha256 of the last line
  std::string warning_;
  bool is_broken_ = false;
};

}  // namespace skerry
