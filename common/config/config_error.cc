#include "common/config/config_error.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace skerry {
namespace {

// More would not be read, and a hostile file could ask for hundreds of thousands.
constexpr size_t kErrorsMax = 100;

// The path of the section around `path`, empty at the top.
std::string_view Parent(std::string_view path) {
  const size_t end = path.find_last_of(".[");
  return end == std::string_view::npos ? std::string_view() : path.substr(0, end);
}

// True if `path` is `section` or lies inside it.
bool IsInside(std::string_view path, std::string_view section) {
  return path.starts_with(section) && (section.empty() || path.size() == section.size() ||
                                       path[section.size()] == '.' || path[section.size()] == '[');
}

}  // namespace

std::string ToString(const ConfigError& error) {
  if (error.line == 0) return fmt::format("{}: {}", error.source, error.message);
  return fmt::format("{}:{}: {}", error.source, error.line, error.message);
}

absl::Status StatusFromErrors(const std::vector<ConfigError>& errors) {
  if (errors.empty()) return absl::OkStatus();
  std::vector<std::string> lines;
  for (const ConfigError& error : errors) lines.push_back(ToString(error));
  return absl::InvalidArgumentError(fmt::format("{}", fmt::join(lines, "\n")));
}

void ConfigDiagnostics::Add(const std::string& path, std::string_view what) {
  for (std::string_view at = path; !at.empty(); at = Parent(at)) {
    const auto found = places_.find(std::string(at));
    if (found != places_.end()) return AddAt(found->second, path, what);
  }
  AddAt({source_, 0}, path, what);
}

void ConfigDiagnostics::AddAt(const Place& place, const std::string& path, std::string_view what) {
  if (errors_.size() == kErrorsMax) {
    ++errors_left_out_;
    return;
  }
  if (!path.empty()) failed_.insert(path);
  std::string message = path.empty() ? std::string(what) : fmt::format("{} {}", path, what);
  // A key may hold anything; an error is one line.
  std::replace_if(
      message.begin(), message.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  errors_.push_back({place.source, place.line, std::move(message)});
}

bool ConfigDiagnostics::IsSound(std::initializer_list<std::string_view> paths) const {
  return std::none_of(failed_.begin(), failed_.end(), [&](const std::string& failed) {
    return std::any_of(paths.begin(), paths.end(), [&](std::string_view path) {
      return IsInside(path, failed) || IsInside(failed, path);
    });
  });
}

std::vector<ConfigError> ConfigDiagnostics::errors() const {
  std::vector<ConfigError> sorted = errors_;
  const auto order = [&](const ConfigError& error) {
    return std::make_tuple(error.source != source_, std::string_view(error.source), error.line);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const ConfigError& a, const ConfigError& b) { return order(a) < order(b); });
  if (errors_left_out_ > 0) {
    sorted.push_back({source_, 0, fmt::format("{} more errors are not shown", errors_left_out_)});
  }
  return sorted;
}

}  // namespace skerry
