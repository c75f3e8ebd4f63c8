#include "coordinator/transfer/upload_receiver.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace skerry {
namespace {

// How long an upload may rest before its memory is given to one that waits.
constexpr Duration kRateInterval = std::chrono::seconds(2);

std::span<uint8_t> BytesOf(const UploadBuffer& buffer) { return {buffer.bytes.get(), buffer.size}; }

}  // namespace

bool UploadReceiver::is_waiting(const Transfer& transfer) const {
  const Frame* frame = std::get_if<Frame>(&transfer.body);
  return frame != nullptr && frame->size() == 0;
}

void UploadReceiver::Receive(const ReceiveUpload& order, std::optional<Frame> inline_bytes,
                             Instant now, Events& events) {
  auto found = transfers_.find(order.node);
  if (found != transfers_.end() && found->second.content_id != order.content_id) {
    Drop(order.node, now, events);
    found = transfers_.end();
  }
  if (found == transfers_.end()) {
    found = transfers_
                .emplace(order.node,
                         Transfer{order.peer, order.round, order.content_id,
                                  ChunkSink(order.bytes, options_.window_bytes), Frame(), 0, false})
                .first;
    if (!inline_bytes.has_value()) waiting_.push_back(order.node);
  }
  Transfer& transfer = found->second;
  transfer.peer = order.peer;
  if (inline_bytes.has_value()) {
    received_bytes_ += inline_bytes->size();
    transfer.body = *std::move(inline_bytes);
    events.complete.push_back({order.node, order.round, order.content_id});
    return;
  }
  if (is_waiting(transfer)) {
    StartWaiting(now, events);
  } else if (!transfer.sink.is_complete()) {
    SendGrant(order.node, transfer, transfer.sink.Restart(), events);
  }
}

void UploadReceiver::Drop(const NodeId& node, Instant now, Events& events) {
  const auto found = transfers_.find(node);
  if (found == transfers_.end()) return;
  std::erase(waiting_, node);
  UploadBody body = std::move(found->second.body);
  transfers_.erase(found);
  if (auto* buffer = std::get_if<SharedBuffer>(&body)) Release(std::move(*buffer), now, events);
}

void UploadReceiver::DropAll() {
  for (const auto& [node, transfer] : transfers_) {
    if (std::holds_alternative<SharedBuffer>(transfer.body)) --slots_taken_;
  }
  transfers_.clear();
  waiting_.clear();
  // The commit that follows needs the memory.
  free_buffers_.clear();
  rate_check_at_.reset();
}

proto::RejectReason UploadReceiver::HandleChunk(PeerId peer, const proto::UploadChunk& chunk,
                                                const Frame& bytes, Instant now, Events& events) {
  const auto found = transfers_.find(NodeId(chunk.node()));
  if (found == transfers_.end() || found->second.content_id != chunk.content_id()) {
    return proto::REJECT_REASON_OUT_OF_PHASE;
  }
  auto& [node, transfer] = *found;
  if (transfer.peer != peer) return proto::REJECT_REASON_NODE_ELSEWHERE;
  if (is_waiting(transfer) || transfer.sink.is_complete()) return proto::REJECT_REASON_OUT_OF_PHASE;

  absl::Status written;
  if (auto* buffer = std::get_if<SharedBuffer>(&transfer.body)) {
    MemoryStore store(BytesOf(**buffer));
    written = transfer.sink.Write(chunk.offset(), bytes.bytes(), store);
  } else {
    written = transfer.sink.Write(chunk.offset(), bytes.bytes(),
                                  *std::get<std::shared_ptr<SpoolFile>>(transfer.body));
  }
  if (absl::IsFailedPrecondition(written)) {  // a gap: say again where to go on
    SendGrant(node, transfer, transfer.sink.Restart(), events);
    return proto::REJECT_REASON_OUT_OF_PHASE;
  }
  if (absl::IsOutOfRange(written)) return proto::REJECT_REASON_MALFORMED;
  if (!written.ok()) {  // the spool's disk: start over when there may be room again
    events.problems.push_back(
        fmt::format("upload of {} put back: {}", node.value(), std::string(written.message())));
    transfer.body = Frame();
    transfer.sink = ChunkSink(options_.upload_bytes, options_.window_bytes);
    waiting_.push_back(node);
    StartWaiting(now, events);
    return proto::REJECT_REASON_RESOURCES;
  }
  received_bytes_ += bytes.size();
  if (transfer.sink.is_complete()) {
    events.complete.push_back({node, transfer.round, transfer.content_id});
    return proto::REJECT_REASON_UNSPECIFIED;
  }
  events.advanced.push_back({node});
  if (const auto credit = transfer.sink.TakeCredit()) SendGrant(node, transfer, *credit, events);
  return proto::REJECT_REASON_UNSPECIFIED;
}

std::optional<UploadBody> UploadReceiver::Find(const NodeId& node, uint64_t content_id) const {
  const auto found = transfers_.find(node);
  if (found == transfers_.end() || found->second.content_id != content_id) return std::nullopt;
  return found->second.body;
}

std::optional<UploadBody> UploadReceiver::Take(const NodeId& node, uint64_t content_id) {
  const auto found = transfers_.find(node);
  if (found == transfers_.end() || found->second.content_id != content_id) return std::nullopt;
  UploadBody body = std::move(found->second.body);
  transfers_.erase(found);
  return body;
}

void UploadReceiver::Release(SharedBuffer buffer, Instant now, Events& events) {
  SKERRY_ASSERT(slots_taken_ > 0);
  --slots_taken_;
  if (!waiting_.empty()) free_buffers_.push_back(std::move(buffer));
  StartWaiting(now, events);
}

void UploadReceiver::StartWaiting(Instant now, Events& events) {
  while (!waiting_.empty() && slots_taken_ < options_.memory_slots) {
    const NodeId node = waiting_.front();
    waiting_.pop_front();
    Transfer& transfer = transfers_.at(node);
    SharedBuffer buffer;
    if (free_buffers_.empty()) {
      // Used again within a round: a fresh buffer of a large model costs its page faults.
      buffer = std::make_shared<UploadBuffer>(UploadBuffer{
          std::make_unique_for_overwrite<uint8_t[]>(options_.upload_bytes), options_.upload_bytes});
    } else {
      buffer = std::move(free_buffers_.back());
      free_buffers_.pop_back();
    }
    ++slots_taken_;
    transfer.body = std::move(buffer);
    transfer.is_rated = false;
    SendGrant(node, transfer, transfer.sink.Restart(), events);
  }
  if (waiting_.empty()) {
    rate_check_at_.reset();
  } else if (!rate_check_at_.has_value()) {
    for (auto& [node, transfer] : transfers_) {
      transfer.position_checked = transfer.sink.position();
      transfer.is_rated = true;
    }
    rate_checked_at_ = now;
    rate_check_at_ = now + kRateInterval;
  }
}

void UploadReceiver::HandleDeadline(Instant now, Events& events) {
  if (!rate_check_at_.has_value() || now < *rate_check_at_) return;
  const double elapsed = Seconds(now - rate_checked_at_);
  for (auto& [node, transfer] : transfers_) {
    const auto moved = static_cast<double>(transfer.sink.position() - transfer.position_checked);
    transfer.position_checked = transfer.sink.position();
    const bool is_judged = std::exchange(transfer.is_rated, true);
    if (!std::holds_alternative<SharedBuffer>(transfer.body) || transfer.sink.is_complete() ||
        !is_judged) {
      continue;
    }
    if (moved >= elapsed * static_cast<double>(options_.slot_rate_min)) continue;
    if (const absl::Status status = MoveToSpool(node, transfer); !status.ok()) {
      events.problems.push_back(fmt::format("slow upload of {} keeps its memory: {}", node.value(),
                                            std::string(status.message())));
    }
  }
  rate_check_at_.reset();
  StartWaiting(now, events);
}

std::optional<Instant> UploadReceiver::NextDeadline() const { return rate_check_at_; }

absl::Status UploadReceiver::MoveToSpool(const NodeId& node, Transfer& transfer) {
  auto spool = SpoolFile::Create(options_.spool_folder, options_.upload_bytes);
  if (!spool.ok()) return Annotate(spool.status(), node.value());
  auto& buffer = std::get<SharedBuffer>(transfer.body);
  SKERRY_RETURN_IF_ERROR(spool->WriteAt(0, BytesOf(*buffer).first(transfer.sink.position())));
  free_buffers_.push_back(std::move(buffer));
  --slots_taken_;
  transfer.body = std::make_shared<SpoolFile>(*std::move(spool));
  return absl::OkStatus();
}

void UploadReceiver::SendGrant(const NodeId& node, Transfer& transfer, ChunkCredit credit,
                               Events& events) {
  OutgoingMessage message{transfer.peer, {}, false};
  auto* grant = message.envelope.mutable_upload_grant();
  grant->set_node(node.value());
  grant->set_round(transfer.round.value());
  grant->set_content_id(transfer.content_id);
  grant->set_offset(credit.offset);
  grant->set_credit_until(credit.credit_until);
  events.send.push_back(std::move(message));
}

}  // namespace skerry
