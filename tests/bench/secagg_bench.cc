// What secure aggregation costs: the coordinator's opening of a sum on one core, the masking of one
// update, and the bytes of one node by stage. The median of three runs; the opened sum is compared
// with the masks as the survivors computed them.
//
// Only what is measured is played: secrets are shared out directly, because the clients of a
// thousand nodes would spend minutes on agreements among themselves.
//
//   skerry_secagg_bench
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/config/secagg_rules.h"
#include "common/crypto/random_bits.h"
#include "common/protocol/limits.h"
#include "common/secagg/mask.h"
#include "common/secagg/mask_recovery.h"
#include "common/secagg/shamir.h"
#include "tests/bench/median.h"

namespace skerry {
namespace {

constexpr size_t kRuns = 3;

struct Case {
  size_t nodes = 0;
  size_t parameters = 0;
  size_t dropped = 0;
  double goal_seconds = 0;     // of the opening
  const char* published = "";  // Bonawitz et al. 2017, one thread of Java
};

constexpr std::array kCases{
    Case{.nodes = 100, .parameters = 1'000'000, .dropped = 0, .goal_seconds = 0.2},
    Case{.nodes = 100, .parameters = 1'000'000, .dropped = 10, .goal_seconds = 1.2},
    Case{.nodes = 500,
         .parameters = 100'000,
         .dropped = 150,
         .goal_seconds = 6,
         .published = "143 s"},
    Case{.nodes = 1000,
         .parameters = 100'000,
         .dropped = 100,
         .goal_seconds = 10,
         .published = "181 s"},
};

struct Node {
  Ed25519SecretKey identity = Ed25519SecretKey::Generate(SystemRandom());
  AgreementSecret cipher = StandardSecAggCrypto().Generate(SystemRandom());
  AgreementSecret mask = StandardSecAggCrypto().Generate(SystemRandom());
  SecretBytes seed = SystemRandom().DrawSecret(kSharedSecretBytes);
  SecretBytes nonce = SystemRandom().DrawSecret(protocol::kRingNonceBytes);
};

struct Session {
  std::vector<Node> nodes;
  proto::KeyRoster key_roster;
  MaskRecoveryInput input;
};

template <typename T>
T Need(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "skerry_secagg_bench: %s\n", std::string(value.status().message()).c_str());
  std::exit(1);
}

template <typename Bytes>
std::string Text(const Bytes& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

std::string NameOf(size_t node) { return fmt::format("node-{:04}", node); }

SessionParams ParamsOf(const Case& what) {
  return {.run = RunId("00112233445566778899aabbccddeeff"),
          .round = RoundId(1),
          .attempt = AttemptId(1),
          .model_sha256 = {},
          .job_sha256 = {},
          .vector_length = what.parameters + 2,
          .scale_bits = 16,
          .colluders = DefaultColluders(static_cast<int64_t>(what.nodes)),
          .dropout_tolerance = static_cast<int64_t>(what.dropped),
          .min_survivors = 1};
}

proto::KeyAdvert AdvertOf(const SessionParams& params, const Node& node, const std::string& name) {
  proto::KeyAdvert advert;
  advert.set_node(name);
  advert.set_round(params.round.value());
  advert.set_attempt(params.attempt.value());
  advert.set_cipher_key(Text(node.cipher.public_key));
  advert.set_mask_key(Text(node.mask.public_key));
  advert.set_seed_commitment(Text(SeedCommitment(node.seed)));
  advert.set_ring_commitment(Text(RingCommitment(Text(node.nonce.bytes()))));
  advert.set_signature(Text(node.identity.Sign(AdvertTranscript(params, advert).bytes())));
  return advert;
}

// The last nodes drop out; every survivor answers.
void ShareSecrets(const Case& what, Session& session) {
  const size_t survivor_count = what.nodes - what.dropped;
  const SessionRoster& roster = *session.input.roster;
  for (size_t node = 0; node < survivor_count; ++node) {
    session.input.answers.push_back({.member = node, .shares = {}});
  }
  for (size_t node = 0; node < what.nodes; ++node) {
    const Node& owner = session.nodes[node];
    const SecretBytes& secret = node < survivor_count ? owner.seed : owner.mask.secret;
    const std::span<const size_t> holders = roster.graph().HoldersOf(node);
    std::vector<uint32_t> xs;
    for (const size_t holder : holders) xs.push_back(static_cast<uint32_t>(holder + 1));
    const auto shares = SplitSecret(secret, roster.threshold(), xs, SystemRandom());
    for (size_t i = 0; i < holders.size(); ++i) {
      if (holders[i] >= survivor_count) continue;
      std::array<uint8_t, kShareBytes> bytes{};
      WriteShare(shares[i], bytes);
      session.input.answers[holders[i]].shares.append(bytes.begin(), bytes.end());
    }
  }
}

// Adverts, and where the graph is sparse the nonces of all.
std::shared_ptr<const SessionRoster> RosterOf(const SessionParams& params, const Session& session) {
  const auto identity_of = [&](const NodeId& id) -> std::optional<Ed25519PublicKey> {
    const auto node = static_cast<size_t>(std::stoul(id.value().substr(5)));
    return session.nodes[node].identity.public_key();
  };
  auto roster = std::make_shared<const SessionRoster>(
      Need(SessionRoster::Create(params, session.key_roster, identity_of, StandardSecAggCrypto())));
  if (!roster->needs_ring()) return roster;
  proto::RingNonces ring;
  for (const Node& node : session.nodes) ring.mutable_nonces()->append(Text(node.nonce.bytes()));
  return std::make_shared<const SessionRoster>(
      Need(roster->WithRing(ring, /*own=*/{}, StandardSecAggCrypto())));
}

Session SessionOf(const Case& what) {
  const SessionParams params = ParamsOf(what);
  Session session{.nodes = std::vector<Node>(what.nodes), .key_roster = {}, .input = {}};
  for (size_t node = 0; node < what.nodes; ++node) {
    *session.key_roster.add_adverts() = AdvertOf(params, session.nodes[node], NameOf(node));
  }
  session.input.roster = RosterOf(params, session);
  session.input.members = MemberSet(what.nodes);
  session.input.survivors = MemberSet(what.nodes);
  for (size_t node = 0; node < what.nodes; ++node) {
    session.input.members.Insert(node);
    if (node < what.nodes - what.dropped) session.input.survivors.Insert(node);
  }
  session.input.crypto = &StandardSecAggCrypto();
  ShareSecrets(what, session);
  return session;
}

// What lies on the sum of the survivors' updates, from their own keys. Masks that two survivors
// share have cancelled.
std::vector<RingElement> MasksOnSum(const Case& what, const Session& session) {
  const SessionRoster& roster = *session.input.roster;
  std::vector<MaskKey> masks;
  for (const size_t survivor : session.input.survivors.members()) {
    masks.push_back(SelfMask(roster, session.nodes[survivor].seed, survivor));
    const Agreement agree(session.nodes[survivor].mask.secret);
    for (const size_t dropped : roster.graph().PartnersOf(survivor)) {
      if (dropped < what.nodes - what.dropped) continue;
      const SecretBytes agreed = Need(agree(roster.members()[dropped].mask_key));
      masks.push_back(PairMask(roster, agreed, survivor, dropped));
    }
  }
  std::vector<RingElement> sum(what.parameters + 2);
  ApplyMasks(sum, masks);
  return sum;
}

struct Opening {
  double recover_seconds = 0;
  double apply_seconds = 0;
  size_t mask_count = 0;
};

Opening MeasureOpening(const Case& what, const Session& session) {
  const std::vector<RingElement> masked = MasksOnSum(what, session);
  std::vector<MaskKey> masks;
  Opening opening;
  opening.recover_seconds =
      MedianSeconds(kRuns, [&] { masks = Need(RecoverMasks(session.input)); });
  std::vector<RingElement> sum;
  std::vector<double> times(kRuns);
  for (double& seconds : times) {
    sum = masked;
    const Instant begin = SystemClock().Now();
    ApplyMasks(sum, masks);
    seconds = Seconds(SystemClock().Now() - begin);
  }
  opening.apply_seconds = Median(std::move(times));
  opening.mask_count = masks.size();
  const bool is_open =
      std::all_of(sum.begin(), sum.end(), [](RingElement element) { return element == 0; });
  if (!is_open) {
    std::fprintf(stderr, "skerry_secagg_bench: the sum was not opened\n");
    std::exit(1);
  }
  return opening;
}

void PrintOpenings(std::span<const Session> sessions) {
  std::printf(
      "Opening a sum, coordinator, one core; a third of the nodes conspires, as many drop out as "
      "may.\n\n"
      "| nodes | parameters | dropped | partners | threshold | masks | recover s | apply s | total "
      "s | goal s "
      "| "
      "published |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (size_t i = 0; i < kCases.size(); ++i) {
    const Case& what = kCases[i];
    const Opening opening = MeasureOpening(what, sessions[i]);
    const SessionRoster& roster = *sessions[i].input.roster;
    std::printf("| %zu | %zu | %zu | %zu | %zu | %zu | %.3f | %.3f | %.3f | %.1f | %s |\n",
                what.nodes, what.parameters, what.dropped, roster.graph().PartnersOf(0).size(),
                roster.threshold(), opening.mask_count, opening.recover_seconds,
                opening.apply_seconds, opening.recover_seconds + opening.apply_seconds,
                what.goal_seconds, what.published);
  }
}

void PrintMasking() {
  std::printf(
      "\nMasking one update, agent, one core (goal: 5 GB/s of keystream)\n\n"
      "| nodes | parameters | ms | GB/s |\n|---:|---:|---:|---:|\n");
  for (const Case& what : kCases) {
    if (&what != &kCases[0] && what.nodes == (&what - 1)->nodes) continue;  // dropout is no matter
    std::vector<MaskKey> masks(what.nodes);  // one of its own, one for each other node
    for (MaskKey& mask : masks) mask = {.key = SystemRandom().DrawSecret(16)};
    std::vector<RingElement> update(what.parameters + 2);
    const double seconds = MedianSeconds(kRuns, [&] { ApplyMasks(update, masks); });
    const auto bytes = static_cast<double>(what.nodes * update.size() * sizeof(RingElement));
    std::printf("| %zu | %zu | %.1f | %.1f |\n", what.nodes, what.parameters, seconds * 1e3,
                bytes / seconds / 1e9);
  }
}

template <typename Message>
Message ForRound() {
  Message message;
  message.set_round(1);
  message.set_attempt(1);
  return message;
}

void PrintBytes(const Case& what, const Session& session) {
  const size_t nodes = what.nodes;
  const std::string bitmap = session.input.survivors.bitmap();
  const SessionGraph& graph = session.input.roster->graph();
  const std::string sealed(graph.PartnersOf(0).size() * protocol::kSealedShareBytes, 'x');
  std::array<proto::Envelope, 10> envelopes;
  auto [advert, roster, reveal, nonces, shares, delivery, set, signature, request, answer] =
      std::tie(envelopes[0], envelopes[1], envelopes[2], envelopes[3], envelopes[4], envelopes[5],
               envelopes[6], envelopes[7], envelopes[8], envelopes[9]);
  *advert.mutable_key_advert() = session.key_roster.adverts(0);
  *roster.mutable_key_roster() = session.key_roster;
  if (graph.PartnersOf(0).size() + 1 < nodes) {
    *reveal.mutable_ring_reveal() = ForRound<proto::RingReveal>();
    reveal.mutable_ring_reveal()->set_node(NameOf(0));
    reveal.mutable_ring_reveal()->set_nonce(std::string(protocol::kRingNonceBytes, 'x'));
    *nonces.mutable_ring_nonces() = ForRound<proto::RingNonces>();
    nonces.mutable_ring_nonces()->set_nonces(std::string(nodes * protocol::kRingNonceBytes, 'x'));
  }
  *shares.mutable_key_shares() = ForRound<proto::KeyShares>();
  shares.mutable_key_shares()->set_node(NameOf(0));
  shares.mutable_key_shares()->set_sealed(sealed);
  *delivery.mutable_share_delivery() = ForRound<proto::ShareDelivery>();
  delivery.mutable_share_delivery()->set_members(session.input.members.bitmap());
  delivery.mutable_share_delivery()->add_nodes()->set_node(NameOf(0));
  delivery.mutable_share_delivery()->mutable_nodes(0)->set_sealed(sealed);
  *set.mutable_survivor_set() = ForRound<proto::SurvivorSet>();
  set.mutable_survivor_set()->set_survivors(bitmap);
  set.mutable_survivor_set()->add_nodes(NameOf(0));
  *signature.mutable_survivor_signature() = ForRound<proto::SurvivorSignature>();
  signature.mutable_survivor_signature()->set_node(NameOf(0));
  signature.mutable_survivor_signature()->set_signature(std::string(64, 'x'));
  *request.mutable_unmask_request() = ForRound<proto::UnmaskRequest>();
  request.mutable_unmask_request()->set_survivors(bitmap);
  request.mutable_unmask_request()->add_nodes(NameOf(0));
  for (const size_t survivor : session.input.survivors.members()) {
    proto::SurvivorProof& proof = *request.mutable_unmask_request()->add_proofs();
    proof.set_member(static_cast<uint32_t>(survivor));
    proof.set_signature(std::string(64, 'x'));
  }
  *answer.mutable_unmask_shares() = ForRound<proto::UnmaskShares>();
  answer.mutable_unmask_shares()->set_node(NameOf(0));
  answer.mutable_unmask_shares()->set_shares(
      std::string(graph.HoldersOf(0).size() * protocol::kShareBytes, 'x'));

  std::printf("| %zu | %zu | %zu ", nodes, what.parameters, what.dropped);
  for (size_t i = 0; i < envelopes.size(); ++i) {
    if (i == 6) std::printf("| %zu ", (what.parameters + 2) * sizeof(RingElement));
    std::printf("| %zu ", envelopes[i].ByteSizeLong());
  }
  std::printf("|\n");
}

}  // namespace
}  // namespace skerry

int main() {
  using namespace skerry;
  std::vector<Session> sessions;
  for (const Case& what : kCases) sessions.push_back(SessionOf(what));
  PrintOpenings(sessions);
  PrintMasking();
  std::printf(
      "\nBytes of one node that is alone in its process, by stage (> to, < from the coordinator);\n"
      "nodes that share a process share KeyRoster, RingNonces, SurvivorSet and UnmaskRequest.\n\n"
      "| nodes | parameters | dropped | > KeyAdvert | < KeyRoster | > RingReveal | < RingNonces "
      "| > KeyShares | < ShareDelivery | "
      "> upload | < SurvivorSet | > SurvivorSignature | < UnmaskRequest | > UnmaskShares |\n"
      "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (size_t i = 0; i < kCases.size(); ++i) PrintBytes(kCases[i], sessions[i]);
}
