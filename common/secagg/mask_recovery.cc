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

// One member's shares of one kind, by who answered.
struct Gathered {
  std::vector<uint32_t> xs;
  std::vector<ShamirShare> shares;
};

// Chooses `threshold` shares of one holder set that fit together. The choice that worked last is
// tried first, so where members have the same holders, honest answers cost one set of coefficients
// for all of them.
class ShareCombiner {
 public:
  ShareCombiner(std::vector<uint32_t> xs, size_t threshold)
      : xs_(std::move(xs)), threshold_(threshold) {
    Choose({});
  }

  const std::vector<uint32_t>& xs() const { return xs_; }

  // The secret that passes `is_right`, from the holders' shares in the order of xs(); none if no
  // choice gives one.
  template <typename IsRight>
  std::optional<SecretBytes> Recover(const std::vector<ShamirShare>& shares, IsRight is_right) {
    if (std::optional<SecretBytes> secret = Try(shares, is_right)) return secret;
    // Few lie, so few are left out: one, then two, ... of the answers, as long as enough remain.
    int choices = 0;
    for (size_t count = 1; count <= xs_.size() - threshold_; ++count) {
      std::vector<size_t> left_out(count);
      std::iota(left_out.begin(), left_out.end(), size_t{0});
      do {
        if (++choices > kChoicesMax) return std::nullopt;
        Choose(left_out);
        if (std::optional<SecretBytes> secret = Try(shares, is_right)) return secret;
      } while (NextCombination(left_out, xs_.size()));
    }
    return std::nullopt;
  }

 private:
  template <typename IsRight>
  std::optional<SecretBytes> Try(const std::vector<ShamirShare>& all, IsRight is_right) const {
    std::vector<ShamirShare> shares;
    shares.reserve(chosen_.size());
    for (const size_t index : chosen_) shares.push_back(all[index]);
    absl::StatusOr<SecretBytes> secret = recovery_->Recover(shares);
    if (!secret.ok() || !is_right(*secret)) return std::nullopt;
    return *std::move(secret);
  }

  // The first `threshold_` holders that are not left out (ascending).
  void Choose(const std::vector<size_t>& left_out) {
    chosen_.clear();
    std::vector<uint32_t> xs;
    for (size_t i = 0; chosen_.size() < threshold_; ++i) {
      if (std::binary_search(left_out.begin(), left_out.end(), i)) continue;
      chosen_.push_back(i);
      xs.push_back(xs_[i]);
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

  std::vector<uint32_t> xs_;
  size_t threshold_;
  std::vector<size_t> chosen_;
  std::optional<ShamirRecovery> recovery_;
};

// Puts the shares of an answer to those whose they are. Nothing if the answer is not a list of
// shares: its sender is then passed over.
void Distribute(const UnmaskAnswer& answer, const MaskRecoveryInput& input,
                std::vector<Gathered>& gathered) {
  std::vector<size_t> owners;
  for (const size_t owner : input.roster->graph().HoldersOf(answer.member)) {
    if (input.members.Contains(owner)) owners.push_back(owner);
  }
  if (answer.shares.size() != owners.size() * kShareBytes) return;
  std::vector<ShamirShare> shares;
  shares.reserve(owners.size());
  for (size_t i = 0; i < owners.size(); ++i) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(answer.shares.data() + i * kShareBytes);
    const absl::StatusOr<ShamirShare> share = ReadShare({bytes, kShareBytes});
    if (!share.ok()) return;
    shares.push_back(*share);
  }
  for (size_t i = 0; i < owners.size(); ++i) {
    gathered[owners[i]].xs.push_back(static_cast<uint32_t>(answer.member + 1));
    gathered[owners[i]].shares.push_back(shares[i]);
  }
}

absl::Status CannotRecover(const SessionMember& member, std::string_view what) {
  return absl::FailedPreconditionError(
      fmt::format("the shares of the {} of {} do not fit together: some node sent wrong ones", what,
                  member.node.value()));
}

}  // namespace

absl::StatusOr<std::vector<MaskKey>> RecoverMasks(const MaskRecoveryInput& input) {
  const SessionRoster& roster = *input.roster;
  std::vector<Gathered> gathered(roster.size());
  for (const UnmaskAnswer& answer : input.answers) Distribute(answer, input, gathered);
  std::optional<ShareCombiner> combiner;
  std::vector<MaskKey> masks;
  for (const size_t index : input.members.members()) {
    const SessionMember& member = roster.members()[index];
    Gathered& own = gathered[index];
    if (own.xs.size() < roster.threshold()) {
      return absl::FailedPreconditionError(
          fmt::format("{} nodes sent usable shares for {}, {} are needed", own.xs.size(),
                      member.node.value(), roster.threshold()));
    }
    if (!combiner || combiner->xs() != own.xs) {
      combiner.emplace(std::move(own.xs), roster.threshold());
    }
    if (input.survivors.Contains(index)) {
      const std::optional<SecretBytes> seed =
          combiner->Recover(own.shares, [&](const SecretBytes& candidate) {
            return SeedCommitment(candidate) == member.seed_commitment;
          });
      if (!seed) return CannotRecover(member, "seed");
      MaskKey mask = SelfMask(roster, *seed, index);
      mask.is_subtracted = true;
      masks.push_back(std::move(mask));
      continue;
    }
    const std::optional<SecretBytes> secret =
        combiner->Recover(own.shares, [&](const SecretBytes& candidate) {
          return input.crypto->PublicKeyOf(candidate) == member.mask_key;
        });
    if (!secret) return CannotRecover(member, "mask key");
    const SecAggCrypto::AgreeFunction agree = input.crypto->AgreementOf(*secret);
    // Every surviving partner put on the mask it shares with this one; the other half never came.
    for (const size_t partner : roster.graph().PartnersOf(index)) {
      if (!input.survivors.Contains(partner)) continue;
      SKERRY_ASSIGN_OR_RETURN(const SecretBytes agreed, agree(roster.members()[partner].mask_key));
      masks.push_back(PairMask(roster, agreed, index, partner));
    }
  }
  return masks;
}

}  // namespace skerry
