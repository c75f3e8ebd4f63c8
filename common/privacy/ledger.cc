#include "common/privacy/ledger.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <sys/file.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "common/config/config_words.h"
#include "common/crypto/hex.h"
#include "common/crypto/sha256.h"

namespace skerry {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kHashDigits = 64;
constexpr std::string_view kLineStart = "{\"data_id\":\"";
constexpr std::string_view kHashKey = ",\"sha256\":\"";
constexpr std::string_view kLineEnd = "\"}";

absl::Status Damage(const std::string& path, uint64_t line, std::string_view what) {
  return absl::DataLossError(fmt::format(
      "{}:{}: {}, so what this site has spent is not known. Put back an intact copy of the file. "
      "If there is none, move it away, and count the budget of its data as spent",
      path, line, what));
}

std::string HashOf(std::string_view text) { return HexOf(Sha256Of(text)); }

// The line of a charge, without its end, and its hash.
std::pair<std::string, std::string> LineOf(const Charge& charge, int64_t unix_ms,
                                           const std::string& prev) {
  const PrivacyEvent& event = charge.event;
  nlohmann::ordered_json json;
  json["data_id"] = charge.data_id;
  json["node"] = charge.node.value();
  json["run"] = charge.run.value();
  json["round"] = charge.release.round.value();
  json["attempt"] = charge.release.attempt.value();
  json["unit"] = WordFor(charge.unit, kPrivacyUnitWords);
  json["noise_multiplier"] = event.noise_multiplier;  // the shortest text that reads back the same
  json["sampling_rate"] = event.sampling.amplifying_rate();
  json["steps"] = event.steps;
  json["adjacency"] = WordFor(event.adjacency, kAdjacencyWords);
  json["unix_ms"] = unix_ms;
  json["prev"] = prev;
  std::string body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  body.pop_back();
  std::string hash = HashOf(body);
  return {fmt::format("{}{}{}{}", body, kHashKey, hash, kLineEnd), std::move(hash)};
}

template <typename Enum, size_t N>
bool ReadWord(const nlohmann::json& json, const EnumWord<Enum> (&words)[N], Enum& value) {
  if (!json.is_string()) return false;
  for (const EnumWord<Enum>& word : words) {
    if (json.get_ref<const std::string&>() != word.word) continue;
    value = word.value;
    return true;
  }
  return false;
}

// What a line says; nothing if it is no charge. `prev` is what it must follow.
std::optional<Charge> ParseCharge(std::string_view line, const std::string& prev) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  for (const char* key : {"data_id", "node", "run", "prev"}) {
    if (!json.contains(key) || !json[key].is_string()) return std::nullopt;
  }
  for (const char* key : {"round", "attempt", "steps"}) {
    if (!json.contains(key) || !json[key].is_number_unsigned()) return std::nullopt;
  }
  for (const char* key : {"noise_multiplier", "sampling_rate"}) {
    if (!json.contains(key) || !json[key].is_number()) return std::nullopt;
  }
  if (!json.contains("unit") || !json.contains("adjacency") || json["prev"] != prev) {
    return std::nullopt;
  }
  // Cut to its type, a larger number would stand for another attempt.
  if (json["attempt"] > std::numeric_limits<AttemptId::rep>::max()) return std::nullopt;
  Charge charge{.data_id = json["data_id"],
                .node = NodeId(json["node"]),
                .run = RunId(json["run"]),
                .release = {.round = RoundId(json["round"]), .attempt = AttemptId(json["attempt"])},
                .event = {.noise_multiplier = json["noise_multiplier"],
                          .sampling = Sampling::Poisson(json["sampling_rate"]),
                          .steps = json["steps"]}};
  if (!ReadWord(json["unit"], kPrivacyUnitWords, charge.unit) ||
      !ReadWord(json["adjacency"], kAdjacencyWords, charge.event.adjacency) ||
      !CheckEvents({&charge.event, 1}).ok()) {
    return std::nullopt;
  }
  return charge;
}

}  // namespace

SyncFile SystemSync() {
  return [](int fd) { return ::fsync(fd); };
}

Ledger::Ledger(std::string path, FileDescriptor file, SyncFile sync)
    : path_(std::move(path)),
      file_(std::move(file)),
      sync_(std::move(sync)),
      head_(kHashDigits, '0') {}

absl::StatusOr<Ledger> Ledger::Open(std::string path, SyncFile sync) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file.is_open()) {
    return Annotate(ErrnoStatus(errno, fmt::format("cannot open {}", path)), "privacy ledger");
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, fmt::format("cannot lock {}", path));
    return absl::FailedPreconditionError(
        fmt::format("{} is in use by another process: two must not spend from one privacy ledger. "
                    "Stop it first, or give this one a ledger of its own for data of its own",
                    path));
  }
  Ledger ledger(std::move(path), std::move(file), std::move(sync));
  SKERRY_RETURN_IF_ERROR(ledger.Read());
  if (ledger.spending_.charge_count() == 0) {
    // Perhaps it was made just now: its name must last as long as its charges.
    const std::string parent = std::filesystem::path(ledger.path_).parent_path().string();
    SKERRY_RETURN_IF_ERROR(SyncDirectory(parent.empty() ? "." : parent));
  }
  return ledger;
}

absl::Status Ledger::Read() {
  std::string text;  // lines that are not read yet
  std::vector<char> buffer(kReadBytes);
  uint64_t number = 1;
  uint64_t offset = 0;  // of `text` in the file
  for (;;) {
    const ssize_t got = ::pread(file_.get(), buffer.data(), buffer.size(),
                                static_cast<off_t>(offset + text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, fmt::format("cannot read {}", path_));
    if (got == 0) return text.empty() ? absl::OkStatus() : CutTail(text, number, offset);
    text.append(buffer.data(), static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      SKERRY_RETURN_IF_ERROR(ReadLine(std::string_view(text).substr(begin, end - begin), number));
      ++number;
    }
    text.erase(0, begin);
    offset += begin;
    if (text.size() > kLineBytesMax) return Damage(path_, number, "the line is too long");
  }
}

absl::Status Ledger::ReadLine(std::string_view line, uint64_t number) {
  const size_t end_bytes = kHashKey.size() + kHashDigits + kLineEnd.size();
  if (line.size() < end_bytes || line.size() > kLineBytesMax) {
    return Damage(path_, number, "the line is no charge");
  }
  const std::string_view body = line.substr(0, line.size() - end_bytes);
  const std::string hash = HashOf(body);
  if (line.substr(body.size()) != fmt::format("{}{}{}", kHashKey, hash, kLineEnd)) {
    return Damage(path_, number, "the line does not have the hash that it names");
  }
  const std::optional<Charge> charge = ParseCharge(line, head_);
  if (!charge.has_value()) {
    return Damage(path_, number, "the line is no charge that follows the one before it");
  }
  if (!spending_.Add(*charge)) return Damage(path_, number, "the line repeats an earlier charge");
  head_ = hash;
  return absl::OkStatus();
}

absl::Status Ledger::CutTail(std::string_view tail, uint64_t number, uint64_t offset) {
  const std::string_view start = tail.substr(0, kLineStart.size());
  if (tail.size() > kLineBytesMax || !kLineStart.starts_with(start)) {
    return Damage(path_, number, "the end of the file is no beginning of a charge");
  }
  if (::ftruncate(file_.get(), static_cast<off_t>(offset)) != 0 || sync_(file_.get()) != 0) {
    return ErrnoStatus(errno,
                       fmt::format("cannot cut the unfinished line {} off {}", number, path_));
  }
  warning_ = fmt::format(
      "{}:{}: an unfinished line was cut off; the process was ended while it wrote the line, so "
      "nothing was released for it",
      path_, number);
  return absl::OkStatus();
}

absl::Status Ledger::Append(std::span<const Charge> charges, int64_t unix_ms) {
  if (is_broken_) {
    return absl::FailedPreconditionError(
        fmt::format("{}: writing has failed before; start the agent anew", path_));
  }
  Spending added;
  std::vector<const Charge*> fresh;
  std::string text;
  std::string head = head_;
  for (const Charge& charge : charges) {
    SKERRY_RETURN_IF_ERROR(CheckEvents({&charge.event, 1}));
    if (spending_.Has(charge) || !added.Add(charge)) continue;
    auto [line, hash] = LineOf(charge, unix_ms, head);
    if (line.size() > kLineBytesMax) {
      return absl::InvalidArgumentError(
          fmt::format("{}: a charge takes {} bytes, {} are allowed: its names are too long", path_,
                      line.size(), kLineBytesMax));
    }
    text += line;
    text += '\n';
    head = std::move(hash);
    fresh.push_back(&charge);
  }
  if (fresh.empty()) return absl::OkStatus();
  is_broken_ = true;  // until it is seen to be well
  SKERRY_RETURN_IF_ERROR(Write(text));
  if (sync_(file_.get()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot make {} durable", path_));
  }
  is_broken_ = false;
  for (const Charge* charge : fresh) spending_.Add(*charge);
  head_ = std::move(head);
  return absl::OkStatus();
}

absl::Status Ledger::Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, fmt::format("cannot write {}", path_));
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace skerry
