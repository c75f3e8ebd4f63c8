#include "agent/session/model_receiver.h"

#include <utility>

#include "common/transport/byte_store.h"

namespace skerry {

std::span<uint8_t> BytesOf(ParameterVector& model) {
  const std::span<float> values = model.values();
  return {reinterpret_cast<uint8_t*>(values.data()), values.size_bytes()};
}

ModelReceiver::ModelReceiver(ModelKey key, std::shared_ptr<ParameterVector> target,
                             uint64_t window_bytes)
    : key_(std::move(key)),
      target_(std::move(target)),
      sink_(target_->size() * sizeof(float), window_bytes) {}

proto::ModelRequest ModelReceiver::RequestFor(ChunkCredit credit) const {
  proto::ModelRequest request;
  request.set_model_version(key_.version.value());
  request.set_offset(credit.offset);
  request.set_credit_until(credit.credit_until);
  return request;
}

proto::ModelRequest ModelReceiver::Request() { return RequestFor(sink_.Restart()); }

std::optional<proto::ModelRequest> ModelReceiver::TakeCredit() {
  if (sink_.is_complete()) return std::nullopt;
  const std::optional<ChunkCredit> credit = sink_.TakeCredit();
  if (!credit) return std::nullopt;
  return RequestFor(*credit);
}

absl::Status ModelReceiver::Write(uint64_t offset, std::span<const uint8_t> bytes) {
  MemoryStore store(BytesOf(*target_));
  return sink_.Write(offset, bytes, store);
}

}  // namespace skerry
