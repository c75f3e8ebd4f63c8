#include "common/secagg/member_set.h"

#include <algorithm>

#include <fmt/format.h>

namespace skerry {

absl::StatusOr<MemberSet> MemberSet::Parse(std::string_view bitmap, size_t member_count) {
  if (bitmap.size() != (member_count + 7) / 8) {
    return absl::InvalidArgumentError(fmt::format("a set of {} members has {} bytes, got {}",
                                                  member_count, (member_count + 7) / 8,
                                                  bitmap.size()));
  }
  MemberSet set(member_count);
  for (size_t i = 0; i < bitmap.size() * 8; ++i) {
    const bool is_set = ((static_cast<uint8_t>(bitmap[i / 8]) >> (i % 8)) & 1) != 0;
    if (!is_set) continue;
    if (i >= member_count) {
      return absl::InvalidArgumentError(
          fmt::format("a set of {} members names member {}", member_count, i));
    }
    set.Insert(i);
  }
  return set;
}

bool MemberSet::IsSubsetOf(const MemberSet& other) const {
  if (member_count() != other.member_count()) return false;
  for (size_t i = 0; i < member_count(); ++i) {
    if (is_member_[i] && !other.is_member_[i]) return false;
  }
  return true;
}

size_t MemberSet::size() const {
  return static_cast<size_t>(std::count(is_member_.begin(), is_member_.end(), true));
}

std::vector<size_t> MemberSet::members() const {
  std::vector<size_t> members;
  for (size_t i = 0; i < member_count(); ++i) {
    if (is_member_[i]) members.push_back(i);
  }
  return members;
}

std::string MemberSet::bitmap() const {
  std::string bytes((member_count() + 7) / 8, '\0');
  for (size_t i = 0; i < member_count(); ++i) {
    if (is_member_[i]) bytes[i / 8] = static_cast<char>(bytes[i / 8] | (1 << (i % 8)));
  }
  return bytes;
}

}  // namespace skerry
