#include "common/identity/key_files.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/crypto/hex.h"
#include "common/identity/roster.h"
#include "common/identity/z85.h"

namespace skerry {
namespace {

constexpr unsigned kSecretMode = 0600;
constexpr unsigned kFolderMode = 0700;
constexpr size_t kCurveFileBytesMax = 4096;
constexpr size_t kSeedDigits = 2 * Ed25519SecretKey::kSeedBytes;

std::string CurveKeyPath(const std::string& folder) { return folder + "/curve.key"; }
std::string NodeKeysPath(const std::string& folder) { return folder + "/nodes.keys"; }

// Text that contains secrets. Its memory is reserved at once, so that growing leaves no copies.
class SecretText {
 public:
  explicit SecretText(size_t size_max) : buffer_(size_max) {}

  void Append(std::string_view text) {
    SKERRY_ASSERT(text.size() <= buffer_.size() - size_);
    std::copy(text.begin(), text.end(),
              buffer_.mutable_bytes().begin() + static_cast<ptrdiff_t>(size_));
    size_ += text.size();
  }
  void AppendSecret(std::string text) {
    Append(text);
    WipeBytes({reinterpret_cast<uint8_t*>(text.data()), text.size()});
  }
  std::span<const uint8_t> bytes() const { return buffer_.bytes().first(size_); }

 private:
  SecretBytes buffer_;
  size_t size_ = 0;
};

absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t bytes_max) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return ErrnoStatus(errno, fmt::format("cannot open {}", path));
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot stat {}", path));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(fmt::format("{} is not a file", path));
  }
  if ((info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        fmt::format("{0} is open to others (mode {1:04o}), expected 0600: run chmod 600 {0}, and "
                    "make new keys if somebody may have read it",
                    path, info.st_mode & 07777));
  }
  const auto size = static_cast<size_t>(info.st_size);
  if (size > bytes_max) {
    return absl::ResourceExhaustedError(fmt::format("{} is larger than {} bytes", path, bytes_max));
  }
  SecretBytes content(size);
  for (size_t done = 0; done < size;) {
    const ssize_t got = ::read(file.get(), content.mutable_bytes().data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, fmt::format("cannot read {}", path));
    if (got == 0) return absl::DataLossError(fmt::format("{} became shorter while read", path));
    done += static_cast<size_t>(got);
  }
  return content;
}

// Calls `visit(words, line number)` for each line that has words, until it fails.
template <typename Visit>
absl::Status ForEachLine(const SecretBytes& content, Visit visit) {
  std::string_view rest(reinterpret_cast<const char*>(content.bytes().data()), content.size());
  for (size_t line = 1; !rest.empty(); ++line) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::vector<std::string_view> words = RosterWords(rest.substr(0, end));
    if (!words.empty()) SKERRY_RETURN_IF_ERROR(visit(words, line));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return absl::OkStatus();
}

absl::Status BadLine(const std::string& path, size_t line, std::string_view problem) {
  return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path, line, problem));
}

absl::Status CheckIsFree(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0) {
    return absl::AlreadyExistsError(
        fmt::format("{} exists and is not overwritten: choose another folder", path));
  }
  if (errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, fmt::format("cannot stat {}", path));
}

absl::Status WriteCurveKeyFile(const std::string& path, const CurveKeyPair& keys) {
  SecretText text(256);
  text.Append("public " + Z85Encode(keys.public_key().bytes()) + "\nsecret ");
  text.AppendSecret(Z85Encode(keys.secret().bytes()));
  text.Append("\n");
  return WriteNewFile(path, text.bytes(), kSecretMode);
}

absl::Status WriteNodeKeysFile(const std::string& path, const std::vector<NodeKey>& nodes) {
  size_t size = 0;
  for (const NodeKey& node : nodes) size += node.id.value().size() + kSeedDigits + 2;
  SecretText text(size);
  for (const NodeKey& node : nodes) {
    text.Append(node.id.value());
    text.Append(" ");
    text.AppendSecret(HexOf(node.key.seed().bytes()));
    text.Append("\n");
  }
  return WriteNewFile(path, text.bytes(), kSecretMode);
}

absl::StatusOr<std::vector<NodeKey>> ReadNodeKeysFile(const std::string& path) {
  SKERRY_ASSIGN_OR_RETURN(const SecretBytes content, ReadSecretFile(path, kRosterBytesMax));
  std::vector<NodeKey> nodes;
  std::set<std::string_view> seen;
  SKERRY_RETURN_IF_ERROR(ForEachLine(
      content, [&](const std::vector<std::string_view>& words, size_t line) -> absl::Status {
        if (words.size() != 2 || !IsValidName(words[0])) {
          return BadLine(path, line, "expected a node's name and its seed");
        }
        if (!seen.insert(words[0]).second) {
          return BadLine(path, line, fmt::format("node {} has a key already", words[0]));
        }
        SecretBytes seed(Ed25519SecretKey::kSeedBytes);
        const absl::Status status = ParseHex(words[1], seed.mutable_bytes());
        if (!status.ok()) {
          return BadLine(path, line, "seed: " + std::string(status.message()));
        }
        nodes.push_back(
            {NodeId(std::string(words[0])), Ed25519SecretKey::FromSeed(std::move(seed))});
        return absl::OkStatus();
      }));
  return nodes;
}

}  // namespace

std::string CoordinatorKeyPath(const std::string& folder) { return folder + "/coordinator.key"; }
std::string CoordinatorPublicPath(const std::string& folder) { return folder + "/coordinator.pub"; }
std::string RosterPartPath(const std::string& folder) { return folder + "/roster.part"; }

absl::Status WriteCoordinatorKeys(const std::string& folder, const CurveKeyPair& keys) {
  SKERRY_RETURN_IF_ERROR(MakeDirectories(folder, kFolderMode));
  SKERRY_RETURN_IF_ERROR(CheckIsFree(CoordinatorKeyPath(folder)));
  SKERRY_RETURN_IF_ERROR(CheckIsFree(CoordinatorPublicPath(folder)));
  SKERRY_RETURN_IF_ERROR(WriteCurveKeyFile(CoordinatorKeyPath(folder), keys));
  const std::string text = Z85Encode(keys.public_key().bytes()) + "\n";
  return WriteNewFile(CoordinatorPublicPath(folder), AsBytes(text.data(), text.size()));
}

absl::Status WriteProcessKeys(const std::string& folder, const ProcessName& process,
                              const ProcessKeys& keys) {
  SKERRY_RETURN_IF_ERROR(MakeDirectories(folder, kFolderMode));
  for (const std::string& path :
       {CurveKeyPath(folder), NodeKeysPath(folder), RosterPartPath(folder)}) {
    SKERRY_RETURN_IF_ERROR(CheckIsFree(path));
  }
  SKERRY_RETURN_IF_ERROR(WriteCurveKeyFile(CurveKeyPath(folder), keys.curve));
  SKERRY_RETURN_IF_ERROR(WriteNodeKeysFile(NodeKeysPath(folder), keys.nodes));
  const std::string part = RosterPart(process, keys);
  return WriteNewFile(RosterPartPath(folder), AsBytes(part.data(), part.size()));
}

absl::StatusOr<CurveKeyPair> ReadCurveKeyFile(const std::string& path) {
  SKERRY_ASSIGN_OR_RETURN(const SecretBytes content, ReadSecretFile(path, kCurveFileBytesMax));
  std::array<uint8_t, CurvePublicKey::kBytes> public_key{};
  SecretBytes secret(CurveKeyPair::kSecretBytes);
  bool has_public = false;
  bool has_secret = false;
  SKERRY_RETURN_IF_ERROR(ForEachLine(
      content, [&](const std::vector<std::string_view>& words, size_t line) -> absl::Status {
        const bool is_public = words[0] == "public" && !has_public;
        const bool is_secret = words[0] == "secret" && !has_secret;
        if (words.size() != 2 || (!is_public && !is_secret)) {
          return BadLine(path, line, "expected one line \"public KEY\" and one \"secret KEY\"");
        }
        const std::span<uint8_t> to = is_public ? std::span(public_key) : secret.mutable_bytes();
        const absl::Status status = Z85Decode(words[1], to);
        if (!status.ok()) return BadLine(path, line, std::string(status.message()));
        has_public |= is_public;
        has_secret |= is_secret;
        return absl::OkStatus();
      }));
  if (!has_public || !has_secret) {
    return absl::InvalidArgumentError(
        fmt::format("{}: expected one line \"public KEY\" and one \"secret KEY\"", path));
  }
  CurveKeyPair keys = CurveKeyPair::FromSecret(std::move(secret));
  if (keys.public_key() != CurvePublicKey(public_key)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: the public key does not belong to the secret key", path));
  }
  return keys;
}

absl::StatusOr<ProcessKeys> ReadProcessKeys(const std::string& folder) {
  SKERRY_ASSIGN_OR_RETURN(CurveKeyPair curve, ReadCurveKeyFile(CurveKeyPath(folder)));
  SKERRY_ASSIGN_OR_RETURN(std::vector<NodeKey> nodes, ReadNodeKeysFile(NodeKeysPath(folder)));
  return ProcessKeys{std::move(curve), std::move(nodes)};
}

absl::StatusOr<CurvePublicKey> ReadCurvePublicFile(const std::string& path) {
  SKERRY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kCurveFileBytesMax));
  const std::vector<std::string_view> words =
      RosterWords(std::string_view(text).substr(0, std::min(text.find('\n'), text.size())));
  std::array<uint8_t, CurvePublicKey::kBytes> key{};
  const absl::Status status = words.size() == 1
                                  ? Z85Decode(words[0], key)
                                  : absl::InvalidArgumentError("expected one line with one key");
  if (!status.ok()) return Annotate(status, path);
  return CurvePublicKey(key);
}

std::string RosterPart(const ProcessName& process, const ProcessKeys& keys) {
  std::string text = RosterLine(RosterProcess{process, keys.curve.public_key()});
  for (const NodeKey& node : keys.nodes) {
    text += RosterLine(RosterNode{node.id, node.key.public_key(), 0}, process);
  }
  return text;
}

}  // namespace skerry
