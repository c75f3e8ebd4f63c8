// `skerry-agent convert`, from options to exit code.
#pragma once

#include <string>

#include "agent/conversion/llama2c_conversion.h"

namespace skerry {

// Exit codes: 0 done, 1 the result cannot be written, 2 the files cannot be converted or the folder
// is taken.
int ConvertCommand(const Llama2cFiles& files, const std::string& folder);

}  // namespace skerry
