// The section `model` of a job.
#pragma once

#include "common/config/config_error.h"
#include "common/config/job_config.h"
#include "common/config/yaml_reader.h"

namespace skerry {

// A layer that is refused is left out, so shapes are only worth inferring if `model` is sound.
ModelConfig ReadModel(SectionReader section, ConfigDiagnostics& diagnostics);

}  // namespace skerry
