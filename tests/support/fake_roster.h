// A roster whose proofs cost nothing: a node's signature is 64 bytes made of its name, its process
// and the connection's nonce. For tests of membership and clusters without cryptography.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/protocol/limits.h"
#include "coordinator/membership/roster_authority.h"

namespace skerry {

class FakeRoster final : public RosterAuthority {
 public:
  struct Node {
    ProcessName process;
    std::string key = "key";
  };

  FakeRoster(std::map<ProcessName, std::string> processes, std::map<NodeId, Node> nodes)
      : processes_(std::move(processes)), by_name_(std::move(nodes)) {
    for (const auto& [node, entry] : by_name_) nodes_.push_back(node);
  }

  // What a node sends as its proof.
  static std::string Sign(const NodeId& node, const ProcessName& process, std::string_view nonce) {
    std::string text = fmt::format("{}|{}|", node.value(), process.value());
    text.append(nonce);
    std::string signature(protocol::kSignatureBytes, '\0');
    for (size_t i = 0; i < text.size(); ++i) {
      char& byte = signature[i % signature.size()];
      byte = static_cast<char>(byte * 31 + text[i]);
    }
    return signature;
  }

  const std::vector<NodeId>& nodes() const override { return nodes_; }
  std::string hash() const override { return std::string(protocol::kSha256Bytes, 'h'); }
  std::optional<std::string> ProcessEntry(const ProcessName& process) const override {
    const auto it = processes_.find(process);
    return it == processes_.end() ? std::nullopt : std::optional(it->second);
  }
  std::optional<std::string> NodeEntry(const NodeId& node) const override {
    const auto it = by_name_.find(node);
    if (it == by_name_.end()) return std::nullopt;
    return it->second.key + " " + it->second.process.value();
  }
  proto::RejectReason Judge(const JoinClaim& claim, std::string_view signature) const override {
    const auto it = by_name_.find(claim.node);
    if (it == by_name_.end()) return proto::REJECT_REASON_NOT_IN_ROSTER;
    if (it->second.process != claim.process) return proto::REJECT_REASON_WRONG_PROCESS;
    const std::string nonce(claim.nonce.begin(), claim.nonce.end());
    return signature == Sign(claim.node, claim.process, nonce)
               ? proto::REJECT_REASON_UNSPECIFIED
               : proto::REJECT_REASON_BAD_SIGNATURE;
  }

 private:
  std::map<ProcessName, std::string> processes_;  // and their keys
  std::map<NodeId, Node> by_name_;
  std::vector<NodeId> nodes_;
};

}  // namespace skerry
