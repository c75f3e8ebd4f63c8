// A subset of a session's members as it travels: a bitmap over the roster's order. Member i is bit
// i % 8 of byte i / 8, bits past the last member are zero, so that a set has one encoding only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace skerry {

class MemberSet {
 public:
  MemberSet() = default;
  // Nobody, out of `member_count`.
  explicit MemberSet(size_t member_count) : is_member_(member_count) {}
  // Fails with kInvalidArgument unless `bitmap` is the encoding of a set out of `member_count`.
  static absl::StatusOr<MemberSet> Parse(std::string_view bitmap, size_t member_count);

  void Insert(size_t member) { is_member_[member] = true; }
  bool Contains(size_t member) const { return is_member_[member]; }
  bool IsSubsetOf(const MemberSet& other) const;
  size_t member_count() const { return is_member_.size(); }
  // How many are in it.
  size_t size() const;
  // Those in it, ascending.
  std::vector<size_t> members() const;
  std::string bitmap() const;

  bool operator==(const MemberSet&) const = default;

 private:
  std::vector<bool> is_member_;
};

}  // namespace skerry
