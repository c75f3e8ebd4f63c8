// What is wrong with a configuration, and where. Everything found is collected and shown at once,
// so that a user mends a file in one go.
#pragma once

#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace skerry {

// Where a value was written: a file and its line, or "--set a.b" and line 0.
struct Place {
  std::string source;
  int line = 0;
};

struct ConfigError {
  std::string source;
  int line = 0;  // 0: the source has no lines
  std::string message;
};

// "job.yaml:14: round.quorum must be ..."
std::string ToString(const ConfigError& error);

// OK if there are none, else kInvalidArgument with one error a line.
absl::Status StatusFromErrors(const std::vector<ConfigError>& errors);

// Collects the errors of one configuration and remembers where each key stands. Plain value, used
// by one thread. Keys are named by their path: "training.batch_size", "model.layers[3].linear".
class ConfigDiagnostics {
 public:
  // `source` is where keys stand that are not written anywhere.
  explicit ConfigDiagnostics(std::string source) : source_(std::move(source)) {}

  void NotePlace(const std::string& path, const Place& place) { places_[path] = place; }

  // Adds "<place>: <path> <what>", at the place of the key or, if it is not written, of the nearest
  // section around it. After kErrorsMax errors it only counts.
  void Add(const std::string& path, std::string_view what);
  // The same at another place than the key's.
  void AddAt(const Place& place, const std::string& path, std::string_view what);

  // True if no error names one of `paths`, a section around one or a key inside one. A rule over
  // several keys is only worth checking if each of them was read.
  bool IsSound(std::initializer_list<std::string_view> paths) const;

  // By source and line, files before overrides.
  std::vector<ConfigError> errors() const;

 private:
  std::string source_;
  std::map<std::string, Place> places_;
  std::set<std::string> failed_;
  std::vector<ConfigError> errors_;
  int errors_left_out_ = 0;
};

}  // namespace skerry
