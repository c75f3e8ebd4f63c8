// A job whose rounds cost no training: every node sends the model back as it came.
#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "tests/support/temporary_directory.h"

namespace skerry {

// Images of one class: enough for nodes that do not train.
inline std::string TinyImages(const TemporaryDirectory& folder, uint32_t rows = 4096) {
  const auto big_endian = [](uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
    return bytes;
  };
  std::string images = big_endian(0x803) + big_endian(rows) + big_endian(28) + big_endian(28);
  images.append(rows * 784, '\x40');
  std::string labels = big_endian(0x801) + big_endian(rows);
  labels.append(rows, '\0');
  SKERRY_ASSERT(WriteFileAtomically(folder / "train-images-idx3-ubyte", images).ok());
  SKERRY_ASSERT(WriteFileAtomically(folder / "train-labels-idx1-ubyte", labels).ok());
  return folder.path();
}

// A job that sends a model of 784 * outputs + outputs parameters there and back.
inline std::string EchoJob(const std::string& data, int64_t outputs, int nodes, int rounds,
                           int checkpoint_every) {
  return fmt::format(R"(version: 1
seed: 1
model: {{input: [1, 28, 28], layers: [flatten, linear: {{out: {}}}]}}
data: {{id: tiny, dataset: idx, path: {}, partition: {{scheme: iid}}}}
training: {{local_epochs: 0, batch_size: 32}}
round: {{count: {}, nodes: {}, quorum: {}}}
evaluation: {{every_rounds: 0}}
storage: {{checkpoint_every: {}, keep_models: 1}}
)",
                     outputs, data, rounds, nodes, nodes, checkpoint_every);
}

}  // namespace skerry
