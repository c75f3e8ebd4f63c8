#include "coordinator/shell/roster_file.h"

#include <cerrno>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/identity/join_proof.h"
#include "common/identity/z85.h"

namespace skerry {
namespace {

class FileAuthority final : public RosterAuthority {
 public:
  explicit FileAuthority(std::shared_ptr<const Roster> roster)
      : roster_(std::move(roster)), nodes_(roster_->NodeIds()) {}

  const std::vector<NodeId>& nodes() const override { return nodes_; }

  std::string hash() const override { return {roster_->hash().begin(), roster_->hash().end()}; }

  std::optional<std::string> ProcessEntry(const ProcessName& name) const override {
    const RosterProcess* process = roster_->FindProcess(name);
    if (process == nullptr) return std::nullopt;
    return RosterLine(*process);
  }

  std::optional<std::string> NodeEntry(const NodeId& id) const override {
    const RosterNode* node = roster_->FindNode(id);
    if (node == nullptr) return std::nullopt;
    return RosterLine(*node, roster_->ProcessOf(*node).name);
  }

  proto::RejectReason Judge(const JoinClaim& claim, std::string_view signature) const override {
    const RosterNode* node = roster_->FindNode(claim.node);
    if (node == nullptr) return proto::REJECT_REASON_NOT_IN_ROSTER;
    if (roster_->ProcessOf(*node).name != claim.process) return proto::REJECT_REASON_WRONG_PROCESS;
    const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(signature.data()),
                                         signature.size());
    return IsValidJoin(claim, node->key, bytes) ? proto::REJECT_REASON_UNSPECIFIED
                                                : proto::REJECT_REASON_BAD_SIGNATURE;
  }

 private:
  std::shared_ptr<const Roster> roster_;
  std::vector<NodeId> nodes_;
};

}  // namespace

absl::StatusOr<RosterFile::Stamp> RosterFile::StampOf(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot read the roster {}", path));
  }
  return Stamp{info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec, info.st_ino,
               info.st_size};
}

absl::StatusOr<RosterFile> RosterFile::Load(const std::string& path) {
  SKERRY_ASSIGN_OR_RETURN(const Stamp stamp, StampOf(path));
  SKERRY_ASSIGN_OR_RETURN(Roster roster, Roster::Load(path));
  return RosterFile(path, stamp, std::move(roster));
}

absl::StatusOr<bool> RosterFile::Refresh() {
  SKERRY_ASSIGN_OR_RETURN(const Stamp stamp, StampOf(path_));
  if (stamp == stamp_) return false;
  stamp_ = stamp;  // a broken file is reported once, not every second
  SKERRY_ASSIGN_OR_RETURN(Roster roster, Roster::Load(path_));
  if (roster.hash() == roster_->hash()) return false;
  roster_ = std::make_shared<const Roster>(std::move(roster));
  return true;
}

std::shared_ptr<const RosterAuthority> RosterFile::authority() const {
  return std::make_shared<const FileAuthority>(roster_);
}

std::optional<ProcessName> RosterFile::ProcessWithKey(std::string_view public_key_z85) const {
  std::array<uint8_t, CurvePublicKey::kBytes> bytes;
  if (!Z85Decode(public_key_z85, bytes).ok()) return std::nullopt;
  const RosterProcess* process = roster_->FindProcess(CurvePublicKey(bytes));
  if (process == nullptr) return std::nullopt;
  return process->name;
}

}  // namespace skerry
