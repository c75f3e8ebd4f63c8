#include "coordinator/transfer/model_server.h"

#include <utility>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/protocol/codec.h"

namespace skerry {

void ModelServer::Publish(ModelVersion version, SharedModel model) {
  version_ = version;
  model_ = std::move(model);
  transfers_.clear();
}

void ModelServer::Withdraw() {
  model_.reset();
  transfers_.clear();
}

Frame ModelServer::WholeModel() const {
  SKERRY_ASSERT(model_ != nullptr);
  return Frame::Borrow(AsBytes(model_->values()), model_);
}

proto::RejectReason ModelServer::HandleRequest(PeerId peer, const proto::ModelRequest& request) {
  if (model_ == nullptr || request.model_version() != version_.value()) {
    return proto::REJECT_REASON_WRONG_ROUND;
  }
  const uint64_t total_bytes = model_->values().size_bytes();
  const ChunkCredit credit{request.offset(), request.credit_until()};
  auto found = transfers_.find(peer);
  absl::Status status;
  if (found == transfers_.end()) {
    ChunkSource source(total_bytes, chunk_bytes_);
    status = source.Resume(credit);
    if (status.ok()) transfers_.emplace(peer, source);
  } else {
    status = found->second.Extend(credit);
  }
  return status.ok() ? proto::REJECT_REASON_UNSPECIFIED : proto::REJECT_REASON_MALFORMED;
}

bool ModelServer::Pump(const std::function<SendResult(PeerId, const Message&)>& send) {
  bool is_blocked = false;
  for (bool has_sent = true; has_sent;) {
    has_sent = false;
    is_blocked = false;
    for (auto transfer = transfers_.begin(); transfer != transfers_.end();) {
      auto& [peer, source] = *transfer;
      const std::optional<ByteRange> range = source.Next();
      if (!range.has_value()) {
        ++transfer;
        continue;
      }
      const SendResult result = send(peer, ChunkMessage(*range));
      if (result == SendResult::kPeerGone) {
        transfer = transfers_.erase(transfer);
        continue;
      }
      if (result == SendResult::kAccepted) {
        source.Advance();
        sent_bytes_ += range->size;
        has_sent = true;
      } else {
        is_blocked = true;
      }
      ++transfer;
    }
  }
  return is_blocked;
}

Message ModelServer::ChunkMessage(ByteRange range) const {
  proto::Envelope envelope;
  envelope.mutable_model_chunk()->set_model_version(version_.value());
  envelope.mutable_model_chunk()->set_offset(range.offset);
  return Message{
      Frame::Own(protocol::Encode(envelope)),
      Frame::Borrow(AsBytes(model_->values()).subspan(range.offset, range.size), model_)};
}

}  // namespace skerry
