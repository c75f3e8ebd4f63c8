// The section `data`: of a job with its partition, of a hosted node without.
#pragma once

#include <string>

#include "common/config/config_error.h"
#include "common/config/job_config.h"
#include "common/config/yaml_reader.h"

namespace skerry {

// Where Debian's package dataset-fashion-mnist puts it; the default of data.path for that dataset.
inline constexpr char kFashionMnistPath[] = "/usr/share/datasets/fashion-mnist";

DataConfig ReadJobData(SectionReader section);
DataConfig ReadNodeData(SectionReader section);

// Rules over several keys; `path` is the section's.
void CheckData(const DataConfig& data, const std::string& path, ConfigDiagnostics& diagnostics);

// 1 to 64 characters of [A-Za-z0-9._-], the form of every name in the roster and the ledgers.
bool IsName(const std::string& text);
inline constexpr char kNameRule[] = "must be 1 to 64 characters of A-Z a-z 0-9 . _ -";

// A required name; empty if it is absent or refused.
std::string ReadName(SectionReader& section, std::string_view key);

}  // namespace skerry
