// The roster of a running coordinator: read from its file, read again when the file changes. The
// answer to "who is this?" for new connections and for joins.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/identity/roster.h"
#include "coordinator/membership/roster_authority.h"

namespace skerry {

class RosterFile {
 public:
  static absl::StatusOr<RosterFile> Load(const std::string& path);

  // Reads the file again if it has changed; true if the roster differs. A file that cannot be read
  // or parsed is an error and the roster stays as it was.
  absl::StatusOr<bool> Refresh();

  const Roster& roster() const { return *roster_; }
  // What membership needs of this version of the roster.
  std::shared_ptr<const RosterAuthority> authority() const;
  // The process with this CURVE key; none to refuse the connection.
  std::optional<ProcessName> ProcessWithKey(std::string_view public_key_z85) const;

 private:
  // Changes whenever the file is replaced or written.
  struct Stamp {
    int64_t modified_ns = 0;
    uint64_t inode = 0;
    int64_t size = 0;
    bool operator==(const Stamp&) const = default;
  };
  static absl::StatusOr<Stamp> StampOf(const std::string& path);

  RosterFile(std::string path, Stamp stamp, Roster roster)
      : path_(std::move(path)),
        stamp_(stamp),
        roster_(std::make_shared<const Roster>(std::move(roster))) {}

  std::string path_;
  Stamp stamp_;
  std::shared_ptr<const Roster> roster_;
};

}  // namespace skerry
