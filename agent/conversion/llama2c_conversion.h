// A model of llama2.c as a Hugging Face folder: config.json, generation_config.json,
// model.safetensors (float32), tokenizer.json, tokenizer_config.json.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace skerry {

struct Llama2cFiles {
  std::string checkpoint;  // for example stories260K.bin
  std::string tokenizer;   // for example tok512.bin
};

// Writes into `folder`, which must be missing or empty. Fails with kInvalidArgument if a file is no
// such file or the two disagree about the number of tokens; nothing is written then.
absl::Status ConvertLlama2c(const Llama2cFiles& files, const std::string& folder);

}  // namespace skerry
