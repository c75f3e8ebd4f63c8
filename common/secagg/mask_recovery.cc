#include "common/secagg/mask_recovery.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/secagg/shamir.h"

namespace skerry {
namespace {

// Choices of answers that are tried before a secret is given up. Leaving out one answer after the
// other, then every pair, stays below it for 64 nodes and more.
constexpr int kChoicesMax = 5'000;

struct Answer {
  uint32_t x = 0;
  std::vector<ShamirShare> shares;  // by position among the members
};

// Chooses `threshold` answers whose shares fit together. The choice that worked last is tried
// first, so honest answers cost one set of coefficients for all secrets.
class ShareCombiner {
 public:
  ShareCombiner(std::vector<Answer> answers, size_t threshold)
      : answers_(std::move(answers)), threshold_(threshold) {
    Choose({});
  }

  // The secret at `position` that passes `is_right`; none if no choice gives one.
  template <typename IsRight>
  std::optional<SecretBytes> Recover(size_t position, IsRight is_right) {
    if (std::optional<SecretBytes> secret = Try(position, is_right)) return secret;
    // Few lie, so few are left out: one, then two, ... of the answers, as long as enough remain.
    int choices = 0;
    for (size_t count = 1; count <= answers_.size() - threshold_; ++count) {
      std::vector<size_t> left_out(count);
      std::iota(left_out.begin(), left_out.end(), size_t{0});
      do {
        if (++choices > kChoicesMax) return std::nullopt;
        Choose(left_out);
        if (std::optional<SecretBytes> secret = Try(position, is_right)) return secret;
      } while (NextCombination(left_out, answers_.size()));
    }
    return std::nullopt;
  }

 private:
  template <typename IsRight>
  std::optional<SecretBytes> Try(size_t position, IsRight is_right) const {
    std::vector<ShamirShare> shares;
    shares.reserve(chosen_.size());
    for (const size_t index : chosen_) shares.push_back(answers_[index].shares[position]);
    absl::StatusOr<SecretBytes> secret = recovery_->Recover(shares);
    if (!secret.ok() || !is_right(*secret)) return std::nullopt;
    return *std::move(secret);
  }

  // The first `threshold_` answers that are not left out (ascending).
  void Choose(const std::vector<size_t>& left_out) {
    chosen_.clear();
    std::vector<uint32_t> xs;
    for (size_t i = 0; chosen_.size() < threshold_; ++i) {
      if (std::binary_search(left_out.begin(), left_out.end(), i)) continue;
      chosen_.push_back(i);
      xs.push_back(answers_[i].x);
    }
    recovery_.emplace(std::move(xs));
  }

  // The next ascending choice out of `total` in lexicographic order; false after the last.
  static bool NextCombination(std::vector<size_t>& choice, size_t total) {
    const size_t count = choice.size();
    for (size_t i = count; i-- > 0;) {
      if (choice[i] == total - count + i) continue;
      ++choice[i];
      for (size_t j = i + 1; j < count; ++j) choice[j] = choice[j - 1] + 1;
      return true;
    }
    return false;
  }

  std::vector<Answer> answers_;
  size_t threshold_;
  std::vector<size_t> chosen_;
  std::optional<ShamirRecovery> recovery_;
};

// Nothing if the answer is not a list of shares: its sender is then passed over.
std::optional<Answer> ParseAnswer(const UnmaskAnswer& answer, size_t member_count) {
  if (answer.shares.size() != member_count * kShareBytes) return std::nullopt;
  Answer parsed{.x = static_cast<uint32_t>(answer.member + 1), .shares = {}};
  parsed.shares.reserve(member_count);
  for (size_t i = 0; i < member_count; ++i) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(answer.shares.data() + i * kShareBytes);
    const absl::StatusOr<ShamirShare> share = ReadShare({bytes, kShareBytes});
    if (!share.ok()) return std::nullopt;
    parsed.shares.push_back(*share);
  }
  return parsed;
}

absl::Status CannotRecover(const SessionMember& member, std::string_view what) {
  return absl::FailedPreconditionError(
      fmt::format("the shares of the {} of {} do not fit together: some node sent wrong ones", what,
                  member.node.value()));
}

}  // namespace

absl::StatusOr<std::vector<MaskKey>> RecoverMasks(const MaskRecoveryInput& input) {
  const SessionRoster& roster = *input.roster;
  const std::vector<size_t> members = input.members.members();
  std::vector<Answer> answers;
  for (const UnmaskAnswer& answer : input.answers) {
    if (std::optional<Answer> parsed = ParseAnswer(answer, members.size())) {
      answers.push_back(*std::move(parsed));
    }
  }
  if (answers.size() < roster.threshold()) {
    return absl::FailedPreconditionError(fmt::format("{} nodes sent usable shares, {} are needed",
                                                     answers.size(), roster.threshold()));
  }
  ShareCombiner combiner(std::move(answers), roster.threshold());
  std::vector<MaskKey> masks;
  for (size_t position = 0; position < members.size(); ++position) {
    const size_t index = members[position];
    const SessionMember& member = roster.members()[index];
    if (input.survivors.Contains(index)) {
      const std::optional<SecretBytes> seed =
          combiner.Recover(position, [&](const SecretBytes& candidate) {
            return SeedCommitment(candidate) == member.seed_commitment;
          });
      if (!seed) return CannotRecover(member, "seed");
      MaskKey mask = SelfMask(roster, *seed, index);
      mask.is_subtracted = true;
      masks.push_back(std::move(mask));
      continue;
    }
    const std::optional<SecretBytes> secret =
        combiner.Recover(position, [&](const SecretBytes& candidate) {
          return input.crypto->PublicKeyOf(candidate) == member.mask_key;
        });
    if (!secret) return CannotRecover(member, "mask key");
    const SecAggCrypto::AgreeFunction agree = input.crypto->AgreementOf(*secret);
    // Every survivor put on the mask it shares with this one; the other half never came.
    for (const size_t survivor : input.survivors.members()) {
      SKERRY_ASSIGN_OR_RETURN(const SecretBytes agreed, agree(roster.members()[survivor].mask_key));
      masks.push_back(PairMask(roster, agreed, index, survivor));
    }
  }
  return masks;
}

}  // namespace skerry
