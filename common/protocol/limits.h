// Limits of the wire format. Checked before anything is allocated, on both sides. Numbers are part
// of the protocol: README.md repeats them for other languages.
#pragma once

#include <cstddef>
#include <cstdint>

namespace skerry::protocol {

// Versions this build speaks. A peer announces its own range; the highest in common is used.
inline constexpr uint32_t kVersionMin = 1;
inline constexpr uint32_t kVersionMax = 1;

// One Envelope frame. A Join of kJoinNodesMax nodes and a Welcome with a long job fit.
inline constexpr size_t kEnvelopeBytesMax = 1 << 20;
// One raw frame: the largest chunk a job may configure, or an inline model or upload.
inline constexpr size_t kRawFrameBytesMax = 4 << 20;
// Models and uploads up to so many bytes travel beside their announcement, without credit.
inline constexpr size_t kInlineModelBytesMax = 256 << 10;
inline constexpr size_t kInlineUploadBytesMax = 256 << 10;
// Nodes in one Join, Progress or UploadResult.
inline constexpr int kJoinNodesMax = 4096;
inline constexpr size_t kNodeIdBytesMax = 64;
inline constexpr size_t kSoftwareBytesMax = 64;
inline constexpr size_t kDetailBytesMax = 4096;
inline constexpr size_t kNonceBytes = 32;
inline constexpr size_t kSha256Bytes = 32;
inline constexpr size_t kSignatureBytes = 64;
inline constexpr size_t kAgreementKeyBytes = 32;
// Attempts at one masked round. Each may open a sum, so agents refuse more.
inline constexpr uint32_t kRoundAttemptsMax = 3;
// Of one secure aggregation session. Its messages stay below kEnvelopeBytesMax with it.
inline constexpr int kSessionMembersMax = 1024;
inline constexpr size_t kMemberSetBytesMax = kSessionMembersMax / 8;
// A member's part in drawing the ring of a sparse graph.
inline constexpr size_t kRingNonceBytes = 32;
// Two shares and the tag of AES-256-GCM; one share.
inline constexpr size_t kSealedShareBytes = 96;
inline constexpr size_t kShareBytes = 40;

}  // namespace skerry::protocol
