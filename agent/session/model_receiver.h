// Assembles one model from chunks, in order, resumable over several links. No I/O; owned by the
// session machine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "common/base/strong_id.h"
#include "common/tensor/parameter_vector.h"
#include "common/transport/chunk.h"
#include "skerry.pb.h"

namespace skerry {

// A version alone does not name a model: a run that was set back may compute it anew.
struct ModelKey {
  ModelVersion version;
  std::string sha256;  // 32 bytes
  bool operator==(const ModelKey&) const = default;
};

class ModelReceiver {
 public:
  // Writes into `target`, whatever it holds. Never has more than `window_bytes` on the way.
  ModelReceiver(ModelKey key, std::shared_ptr<ParameterVector> target, uint64_t window_bytes);

  const ModelKey& key() const { return key_; }
  bool is_complete() const { return sink_.is_complete(); }

  // The request that starts or resumes the transfer over a new link, or repeats the last one.
  proto::ModelRequest Request();
  // More credit, when it is due.
  std::optional<proto::ModelRequest> TakeCredit();
  // Repeats are ignored. Errors as ChunkSink::Write; nothing changes then.
  absl::Status Write(uint64_t offset, std::span<const uint8_t> bytes);

  // Complete: the model, to be checked against key().sha256.
  std::shared_ptr<ParameterVector> Take() && { return std::move(target_); }

 private:
  proto::ModelRequest RequestFor(ChunkCredit credit) const;

  ModelKey key_;
  std::shared_ptr<ParameterVector> target_;
  ChunkSink sink_;
};

// The parameters as the bytes that travel and that are hashed.
std::span<uint8_t> BytesOf(ParameterVector& model);

}  // namespace skerry
