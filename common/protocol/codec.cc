#include "common/protocol/codec.h"

#include <algorithm>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/common.h>

#include "common/base/status.h"
#include "common/protocol/limits.h"

namespace skerry::protocol {
namespace {

using proto::Envelope;

absl::Status Malformed(std::string_view message, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", message, what));
}

// Node ids are names of files, log words and roster words alike.
bool IsNodeId(const std::string& id) {
  if (id.empty() || id.size() > kNodeIdBytesMax) return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

absl::Status CheckNode(std::string_view message, const std::string& id) {
  if (IsNodeId(id)) return absl::OkStatus();
  return Malformed(message, "a node id must be 1 to 64 characters of [A-Za-z0-9._-]");
}

template <typename Nodes, typename IdOf>
absl::Status CheckNodes(std::string_view message, const Nodes& nodes, IdOf id_of) {
  if (nodes.size() > kJoinNodesMax) {
    return Malformed(
        message, fmt::format("at most {} nodes a message, got {}", kJoinNodesMax, nodes.size()));
  }
  for (const auto& node : nodes) SKERRY_RETURN_IF_ERROR(CheckNode(message, id_of(node)));
  return absl::OkStatus();
}

absl::Status CheckSize(std::string_view message, std::string_view field, size_t got,
                       size_t expected) {
  if (got == expected) return absl::OkStatus();
  return Malformed(message, fmt::format("{} must have {} bytes, got {}", field, expected, got));
}

absl::Status CheckText(std::string_view message, std::string_view field, const std::string& text,
                       size_t bytes_max) {
  if (text.size() <= bytes_max) return absl::OkStatus();
  return Malformed(
      message, fmt::format("{} may have {} bytes at most, got {}", field, bytes_max, text.size()));
}

absl::Status Check(const proto::Hello& in) {
  if (in.version_min() == 0 || in.version_min() > in.version_max()) {
    return Malformed(
        "Hello", fmt::format("version range {}..{} is empty", in.version_min(), in.version_max()));
  }
  SKERRY_RETURN_IF_ERROR(CheckText("Hello", "software", in.software(), kSoftwareBytesMax));
  return CheckNode("Hello", in.process());
}

absl::Status Check(const proto::Join& in) {
  SKERRY_RETURN_IF_ERROR(CheckNodes(
      "Join", in.nodes(), [](const auto& node) -> const auto& { return node.node(); }));
  for (const proto::NodeProof& proof : in.nodes()) {
    SKERRY_RETURN_IF_ERROR(
        CheckSize("Join", "signature", proof.signature().size(), kSignatureBytes));
  }
  return absl::OkStatus();
}

absl::Status Check(const proto::Welcome& in) {
  SKERRY_RETURN_IF_ERROR(CheckSize("Welcome", "nonce", in.nonce().size(), kNonceBytes));
  SKERRY_RETURN_IF_ERROR(CheckSize("Welcome", "run_id", in.run_id().size(), 32));
  return CheckSize("Welcome", "roster_hash", in.roster_hash().size(), kSha256Bytes);
}

absl::Status Check(const proto::RoundTask& in) {
  SKERRY_RETURN_IF_ERROR(CheckNodes(
      "RoundTask", in.nodes(), [](const auto& id) -> const auto& { return id; }));
  if (in.scale_bits() > 30) return Malformed("RoundTask", "scale_bits must be 0..30");
  return CheckSize("RoundTask", "model_sha256", in.model_sha256().size(), kSha256Bytes);
}

absl::Status Check(const proto::Progress& in) {
  return CheckNodes(
      "Progress", in.nodes(), [](const auto& node) -> const auto& { return node.node(); });
}

absl::Status Check(const proto::JoinResult& in) {
  return CheckNodes(
      "JoinResult", in.nodes(), [](const auto& node) -> const auto& { return node.node(); });
}

absl::Status Check(const proto::UploadResult& in) {
  return CheckNodes(
      "UploadResult", in.nodes(), [](const auto& node) -> const auto& { return node.node(); });
}

absl::Status Check(const proto::Leave& in) {
  return CheckNodes(
      "Leave", in.nodes(), [](const auto& id) -> const auto& { return id; });
}

absl::Status Check(const proto::UploadOffer& in) { return CheckNode("UploadOffer", in.node()); }
absl::Status Check(const proto::UploadChunk& in) { return CheckNode("UploadChunk", in.node()); }
absl::Status Check(const proto::UploadGrant& in) { return CheckNode("UploadGrant", in.node()); }
absl::Status Check(const proto::NodeFailure& in) { return CheckNode("NodeFailure", in.node()); }

absl::Status Check(const proto::Refused& in) {
  return CheckText("Refused", "detail", in.detail(), kDetailBytesMax);
}

absl::Status Check(const proto::JobEnd& in) {
  return CheckText("JobEnd", "detail", in.detail(), kDetailBytesMax);
}

absl::Status CheckCount(std::string_view message, std::string_view field, int got, int max) {
  if (got <= max) return absl::OkStatus();
  return Malformed(message, fmt::format("{} may have {} entries at most, got {}", field, max, got));
}

// Whole records of `record_bytes`, for kSessionMembersMax members at most.
absl::Status CheckRecords(std::string_view message, std::string_view field,
                          const std::string& bytes, size_t record_bytes) {
  if (bytes.size() % record_bytes != 0) {
    return Malformed(message, fmt::format("{} must be a multiple of {} bytes, got {}", field,
                                          record_bytes, bytes.size()));
  }
  return CheckCount(message, field, static_cast<int>(bytes.size() / record_bytes),
                    kSessionMembersMax);
}

absl::Status Check(const proto::KeyAdvert& in) {
  SKERRY_RETURN_IF_ERROR(CheckNode("KeyAdvert", in.node()));
  SKERRY_RETURN_IF_ERROR(
      CheckSize("KeyAdvert", "cipher_key", in.cipher_key().size(), kAgreementKeyBytes));
  SKERRY_RETURN_IF_ERROR(
      CheckSize("KeyAdvert", "mask_key", in.mask_key().size(), kAgreementKeyBytes));
  SKERRY_RETURN_IF_ERROR(
      CheckSize("KeyAdvert", "seed_commitment", in.seed_commitment().size(), kSha256Bytes));
  SKERRY_RETURN_IF_ERROR(
      CheckSize("KeyAdvert", "ring_commitment", in.ring_commitment().size(), kSha256Bytes));
  return CheckSize("KeyAdvert", "signature", in.signature().size(), kSignatureBytes);
}

absl::Status Check(const proto::KeyRoster& in) {
  SKERRY_RETURN_IF_ERROR(CheckCount("KeyRoster", "adverts", in.adverts_size(), kSessionMembersMax));
  for (const proto::KeyAdvert& advert : in.adverts()) SKERRY_RETURN_IF_ERROR(Check(advert));
  return absl::OkStatus();
}

absl::Status Check(const proto::RingReveal& in) {
  SKERRY_RETURN_IF_ERROR(CheckNode("RingReveal", in.node()));
  return CheckSize("RingReveal", "nonce", in.nonce().size(), kRingNonceBytes);
}

absl::Status Check(const proto::RingNonces& in) {
  return CheckRecords("RingNonces", "nonces", in.nonces(), kRingNonceBytes);
}

absl::Status Check(const proto::KeyShares& in) {
  SKERRY_RETURN_IF_ERROR(CheckNode("KeyShares", in.node()));
  return CheckRecords("KeyShares", "sealed", in.sealed(), kSealedShareBytes);
}

absl::Status Check(const proto::ShareDelivery& in) {
  SKERRY_RETURN_IF_ERROR(CheckText("ShareDelivery", "members", in.members(), kMemberSetBytesMax));
  SKERRY_RETURN_IF_ERROR(CheckNodes(
      "ShareDelivery", in.nodes(), [](const auto& node) -> const auto& { return node.node(); }));
  for (const proto::SealedForNode& node : in.nodes()) {
    SKERRY_RETURN_IF_ERROR(
        CheckRecords("ShareDelivery", "sealed", node.sealed(), kSealedShareBytes));
  }
  return absl::OkStatus();
}

absl::Status Check(const proto::SurvivorSet& in) {
  SKERRY_RETURN_IF_ERROR(CheckNodes(
      "SurvivorSet", in.nodes(), [](const auto& id) -> const auto& { return id; }));
  return CheckText("SurvivorSet", "survivors", in.survivors(), kMemberSetBytesMax);
}

absl::Status Check(const proto::SurvivorSignature& in) {
  SKERRY_RETURN_IF_ERROR(CheckNode("SurvivorSignature", in.node()));
  return CheckSize("SurvivorSignature", "signature", in.signature().size(), kSignatureBytes);
}

absl::Status Check(const proto::UnmaskRequest& in) {
  SKERRY_RETURN_IF_ERROR(CheckNodes(
      "UnmaskRequest", in.nodes(), [](const auto& id) -> const auto& { return id; }));
  SKERRY_RETURN_IF_ERROR(
      CheckText("UnmaskRequest", "survivors", in.survivors(), kMemberSetBytesMax));
  SKERRY_RETURN_IF_ERROR(
      CheckCount("UnmaskRequest", "proofs", in.proofs_size(), kSessionMembersMax));
  for (const proto::SurvivorProof& proof : in.proofs()) {
    SKERRY_RETURN_IF_ERROR(
        CheckSize("UnmaskRequest", "signature", proof.signature().size(), kSignatureBytes));
  }
  return absl::OkStatus();
}

absl::Status Check(const proto::UnmaskShares& in) {
  SKERRY_RETURN_IF_ERROR(CheckNode("UnmaskShares", in.node()));
  return CheckRecords("UnmaskShares", "shares", in.shares(), kShareBytes);
}

absl::Status CheckBody(const Envelope& envelope) {
  switch (envelope.body_case()) {
    case Envelope::kHello:
      return Check(envelope.hello());
    case Envelope::kJoin:
      return Check(envelope.join());
    case Envelope::kProgress:
      return Check(envelope.progress());
    case Envelope::kUploadOffer:
      return Check(envelope.upload_offer());
    case Envelope::kUploadChunk:
      return Check(envelope.upload_chunk());
    case Envelope::kNodeFailure:
      return Check(envelope.node_failure());
    case Envelope::kLeave:
      return Check(envelope.leave());
    case Envelope::kWelcome:
      return Check(envelope.welcome());
    case Envelope::kJoinResult:
      return Check(envelope.join_result());
    case Envelope::kRoundTask:
      return Check(envelope.round_task());
    case Envelope::kUploadGrant:
      return Check(envelope.upload_grant());
    case Envelope::kUploadResult:
      return Check(envelope.upload_result());
    case Envelope::kJobEnd:
      return Check(envelope.job_end());
    case Envelope::kRefused:
      return Check(envelope.refused());
    case Envelope::kKeyAdvert:
      return Check(envelope.key_advert());
    case Envelope::kKeyShares:
      return Check(envelope.key_shares());
    case Envelope::kSurvivorSignature:
      return Check(envelope.survivor_signature());
    case Envelope::kUnmaskShares:
      return Check(envelope.unmask_shares());
    case Envelope::kKeyRoster:
      return Check(envelope.key_roster());
    case Envelope::kRingReveal:
      return Check(envelope.ring_reveal());
    case Envelope::kRingNonces:
      return Check(envelope.ring_nonces());
    case Envelope::kShareDelivery:
      return Check(envelope.share_delivery());
    case Envelope::kSurvivorSet:
      return Check(envelope.survivor_set());
    case Envelope::kUnmaskRequest:
      return Check(envelope.unmask_request());
    case Envelope::kModelRequest:
    case Envelope::kModelChunk:
    case Envelope::kRoundClosed:
    case Envelope::kPing:
      return absl::OkStatus();  // integers only: every value is well-formed
    case Envelope::BODY_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("Envelope: no body, or one this version does not know");
}

// Whether each length lies within what encloses it. The parser finds that out at the end only: it
// takes a submessage's false length for room, and reserves up to 50 MB for a string in it.
bool HasSoundLengths(std::span<const uint8_t> bytes, const google::protobuf::Descriptor& type) {
  google::protobuf::io::CodedInputStream input(bytes.data(), static_cast<int>(bytes.size()));
  const auto position = [&] { return static_cast<size_t>(input.CurrentPosition()); };
  while (const uint32_t tag = input.ReadTag()) {
    uint64_t number = 0;
    uint32_t length = 0;
    switch (tag & 7) {  // the wire type
      case 0:
        if (!input.ReadVarint64(&number)) return false;
        continue;
      case 1:
        length = 8;
        break;
      case 2:
        if (!input.ReadVarint32(&length)) return false;
        break;
      case 5:
        length = 4;
        break;
      default:  // groups, which the schema does not have
        return false;
    }
    if (length > bytes.size() - position()) return false;
    const auto* field = type.FindFieldByNumber(static_cast<int>(tag >> 3));
    if ((tag & 7) == 2 && field != nullptr && field->message_type() != nullptr &&
        !HasSoundLengths(bytes.subspan(position(), length), *field->message_type())) {
      return false;
    }
    if (!input.Skip(static_cast<int>(length))) return false;
  }
  return position() == bytes.size();
}

// A peer's malformed bytes must not write to our stderr; the returned status says it all. From
// version 22 on protobuf logs through abseil and says nothing about parse errors of this kind.
void SilenceParser() {
#if GOOGLE_PROTOBUF_VERSION < 4022000
  [[maybe_unused]] static const bool is_silent = [] {
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
#endif
}

}  // namespace

std::string Encode(const Envelope& envelope) { return envelope.SerializeAsString(); }

absl::StatusOr<Envelope> Decode(std::span<const uint8_t> bytes) {
  SilenceParser();
  if (bytes.size() > kEnvelopeBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("Envelope: at most {} bytes, got {}", kEnvelopeBytesMax, bytes.size()));
  }
  Envelope envelope;
  if (!HasSoundLengths(bytes, *Envelope::descriptor()) ||
      !envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("Envelope: the bytes are not a skerry.proto.Envelope");
  }
  SKERRY_RETURN_IF_ERROR(CheckBody(envelope));
  return envelope;
}

std::string Describe(proto::RejectReason reason) {
  switch (reason) {
    case proto::REJECT_REASON_VERSION:
      return "no protocol version in common";
    case proto::REJECT_REASON_MALFORMED:
      return "malformed message";
    case proto::REJECT_REASON_UNKNOWN_MESSAGE:
      return "unknown message";
    case proto::REJECT_REASON_OUT_OF_PHASE:
      return "message out of phase";
    case proto::REJECT_REASON_NOT_IN_ROSTER:
      return "not in the roster";
    case proto::REJECT_REASON_WRONG_PROCESS:
      return "the roster gives the node to another process";
    case proto::REJECT_REASON_BAD_SIGNATURE:
      return "bad signature";
    case proto::REJECT_REASON_REVOKED:
      return "revoked";
    case proto::REJECT_REASON_NODE_ELSEWHERE:
      return "joined by a newer connection";
    case proto::REJECT_REASON_NOT_INVITED:
      return "not in this round's cohort";
    case proto::REJECT_REASON_ROUND_CLOSED:
      return "late: the round is closed";
    case proto::REJECT_REASON_COHORT_FULL:
      return "enough updates had arrived";
    case proto::REJECT_REASON_WRONG_ROUND:
      return "another round, attempt or run";
    case proto::REJECT_REASON_WRONG_LENGTH:
      return "wrong update length";
    case proto::REJECT_REASON_DUPLICATE:
      return "a second, different update";
    case proto::REJECT_REASON_STALLED:
      return "no progress for too long";
    case proto::REJECT_REASON_KEYS_CLOSED:
      return "the key exchange went on without its keys";
    case proto::REJECT_REASON_POLICY:
      return "not allowed by the site's policy";
    case proto::REJECT_REASON_DATA:
      return "the node's data cannot be used";
    case proto::REJECT_REASON_NOT_FINITE:
      return "training gave NaN or infinity";
    case proto::REJECT_REASON_RESOURCES:
      return "not enough memory or disk";
    case proto::REJECT_REASON_MODEL_MISMATCH:
      return "the model's bytes do not match their hash";
    case proto::REJECT_REASON_INTERNAL:
      return "internal error; see the agent's log";
    case proto::REJECT_REASON_SECAGG:
      return "secure aggregation does not add up; see the agent's log";
    default:
      return "no reason given";
  }
}

}  // namespace skerry::protocol
