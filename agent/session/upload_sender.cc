#include "agent/session/upload_sender.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace skerry {

absl::Status UploadSender::Add(HostedIndex index, Upload upload, Frame bytes) {
  Drop(index);
  const uint64_t size = bytes.size();
  SKERRY_RETURN_IF_ERROR(store_.Put(index, std::move(bytes)));
  entries_.emplace(index, Entry{.upload = std::move(upload),
                                .bytes = size,
                                .state = State::kHeld,
                                .source = std::nullopt});
  return absl::OkStatus();
}

const UploadSender::Entry* UploadSender::Find(HostedIndex index) const {
  const auto it = entries_.find(index);
  return it == entries_.end() ? nullptr : &it->second;
}

bool UploadSender::is_held(HostedIndex index) const {
  const Entry* entry = Find(index);
  return entry != nullptr && entry->state == State::kHeld;
}

bool UploadSender::is_accepted(HostedIndex index) const {
  const Entry* entry = Find(index);
  return entry != nullptr && entry->state == State::kAccepted;
}

bool UploadSender::is_under_way(HostedIndex index) const {
  const Entry* entry = Find(index);
  return entry != nullptr && entry->state != State::kAccepted && entry->state != State::kRefused;
}

void UploadSender::SetState(Entry& entry, State state) {
  if (is_unanswered(entry.state)) --unanswered_count_;
  if (is_unanswered(state)) ++unanswered_count_;
  if (state != State::kGranted) entry.source.reset();
  entry.state = state;
}

void UploadSender::Offer(HostedIndex index) {
  const auto it = entries_.find(index);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  if (entry.state == State::kOfferDue || is_unanswered(entry.state)) return;
  SetState(entry, State::kOfferDue);
  offers_.push_back(index);
}

absl::Status UploadSender::Grant(HostedIndex index, const proto::UploadGrant& grant, Instant now) {
  const auto it = entries_.find(index);
  const bool is_wanted = it != entries_.end() && is_unanswered(it->second.state) &&
                         it->second.upload.round.value() == grant.round() &&
                         it->second.upload.content_id == grant.content_id();
  if (!is_wanted) return absl::NotFoundError("a grant for an upload that is not being offered");
  Entry& entry = it->second;
  const ChunkCredit credit{.offset = grant.offset(), .credit_until = grant.credit_until()};
  if (entry.source) {
    SKERRY_RETURN_IF_ERROR(entry.source->Extend(credit));
  } else {
    // The first grant after an offer says where the coordinator stands, perhaps further back.
    ChunkSource source(entry.bytes, chunk_bytes_);
    SKERRY_RETURN_IF_ERROR(source.Resume(credit));
    SetState(entry, State::kGranted);
    entry.source = source;
  }
  last_activity_ = now;
  if (!entry.is_in_ring && entry.source->Next()) {
    entry.is_in_ring = true;
    ring_.push_back(index);
  }
  return absl::OkStatus();
}

void UploadSender::Conclude(HostedIndex index, State state, Instant now) {
  const auto it = entries_.find(index);
  if (it == entries_.end()) return;
  SetState(it->second, state);
  last_activity_ = now;
}

void UploadSender::Hold(HostedIndex index) {
  const auto it = entries_.find(index);
  if (it != entries_.end()) SetState(it->second, State::kHeld);
}

void UploadSender::Drop(HostedIndex index) {
  const auto it = entries_.find(index);
  if (it == entries_.end()) return;
  SetState(it->second, State::kHeld);
  entries_.erase(it);
  store_.Drop(index);
}

void UploadSender::Clear() {
  entries_.clear();
  store_.Clear();
  offers_.clear();
  ring_.clear();
  unanswered_count_ = 0;
}

void UploadSender::LinkLost() {
  for (auto& [index, entry] : entries_) {
    if (entry.state == State::kOfferDue || is_unanswered(entry.state)) {
      SetState(entry, State::kHeld);
    }
    entry.is_in_ring = false;
  }
  offers_.clear();
  ring_.clear();
}

BulkMessage UploadSender::MakeOffer(HostedIndex index, Entry& entry) {
  BulkMessage message;
  if (entry.bytes <= options_.inline_bytes_max) {
    absl::StatusOr<Frame> bytes = store_.Read(index, {.offset = 0, .size = entry.bytes});
    if (!bytes.ok()) return MakeFailure(index);
    message.raw = *std::move(bytes);
  }
  proto::UploadOffer& offer = *message.envelope.mutable_upload_offer();
  offer.set_node(entry.upload.node.value());
  offer.set_round(entry.upload.round.value());
  offer.set_attempt(entry.upload.attempt.value());
  offer.set_bytes(entry.bytes);
  offer.set_content_id(entry.upload.content_id);
  SetState(entry, State::kOffered);
  return message;
}

BulkMessage UploadSender::MakeChunk(HostedIndex index, Entry& entry, ByteRange range) {
  absl::StatusOr<Frame> bytes = store_.Read(index, range);
  if (!bytes.ok()) return MakeFailure(index);
  entry.source->Advance();
  BulkMessage message;
  proto::UploadChunk& chunk = *message.envelope.mutable_upload_chunk();
  chunk.set_node(entry.upload.node.value());
  chunk.set_round(entry.upload.round.value());
  chunk.set_content_id(entry.upload.content_id);
  chunk.set_offset(range.offset);
  message.raw = *std::move(bytes);
  return message;
}

BulkMessage UploadSender::MakeFailure(HostedIndex index) {
  const Upload upload = entries_.at(index).upload;
  Drop(index);
  BulkMessage message;
  proto::NodeFailure& failure = *message.envelope.mutable_node_failure();
  failure.set_node(upload.node.value());
  failure.set_round(upload.round.value());
  failure.set_attempt(upload.attempt.value());
  failure.set_reason(proto::REJECT_REASON_RESOURCES);
  return message;
}

std::optional<BulkMessage> UploadSender::Next(Instant now) {
  while (!offers_.empty()) {
    const HostedIndex index = offers_.front();
    offers_.pop_front();
    const auto it = entries_.find(index);
    if (it == entries_.end() || it->second.state != State::kOfferDue) continue;
    last_activity_ = now;
    return MakeOffer(index, it->second);
  }
  while (!ring_.empty()) {
    const HostedIndex index = ring_.front();
    ring_.pop_front();
    const auto it = entries_.find(index);
    if (it == entries_.end()) continue;
    Entry& entry = it->second;
    const std::optional<ByteRange> range = entry.source ? entry.source->Next() : std::nullopt;
    if (!range) {
      entry.is_in_ring = false;
      continue;
    }
    ring_.push_back(index);
    last_activity_ = now;
    return MakeChunk(index, entry, *range);
  }
  return std::nullopt;
}

std::optional<Instant> UploadSender::NextDeadline() const {
  if (unanswered_count_ == 0 || has_bulk()) return std::nullopt;
  return last_activity_ + options_.resend_after;
}

void UploadSender::HandleDeadline(Instant now) {
  const std::optional<Instant> deadline = NextDeadline();
  if (!deadline || now < *deadline) return;
  std::vector<HostedIndex> unanswered;
  for (auto& [index, entry] : entries_) {
    if (is_unanswered(entry.state)) unanswered.push_back(index);
  }
  // The map's order is not the same in every process; the order of messages is.
  std::sort(unanswered.begin(), unanswered.end());
  for (const HostedIndex index : unanswered) {
    SetState(entries_.at(index), State::kHeld);
    Offer(index);
  }
}

}  // namespace skerry
