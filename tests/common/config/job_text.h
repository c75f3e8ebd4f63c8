// Job texts for tests, and their errors as lines.
#pragma once

#include <string>
#include <vector>

#include "common/config/job_loader.h"

namespace skerry {

// The shortest valid job; five lines.
inline constexpr char kSmallJob[] =
    "version: 1\n"
    "model: {name: mlp}\n"
    "data:\n"
    "  id: fashion\n"
    "  dataset: fashion_mnist\n";

// A valid job whose model takes 13 columns of a CSV file; seven lines.
inline constexpr char kCsvJob[] =
    "version: 1\n"
    "model:\n"
    "  input: [13]\n"
    "  layers:\n"
    "    - linear: {out: 1}\n"
    "data: {id: heart, dataset: csv, path: heart.csv, label: disease}\n"
    "training: {loss: bce}\n";

inline std::vector<std::string> Lines(const std::vector<ConfigError>& errors) {
  std::vector<std::string> lines;
  for (const ConfigError& error : errors) lines.push_back(ToString(error));
  return lines;
}

// The errors of kSmallJob followed by `more`, whose first line is 6.
inline std::vector<std::string> ErrorsWith(const std::string& more,
                                           const std::vector<std::string>& overrides = {}) {
  return Lines(ReadJob(kSmallJob + more, "job.yaml", overrides).errors);
}

}  // namespace skerry
