// Writes the seeds of the corpus: skerry_seed_corpus FOLDER, where FOLDER is tests/fuzz/corpus. Run
// from the repository's root after the wire format, a file format or the jobs' keys have changed.
// Files of other names, such as those that a fuzzer found, stay.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <zlib.h>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "common/crypto/sha256.h"
#include "common/identity/key_files.h"
#include "common/privacy/ledger.h"
#include "common/protocol/codec.h"
#include "common/tensor/safetensors.h"
#include "tests/fuzz/fuzz_support.h"

namespace skerry {
namespace {

class Corpus {
 public:
  explicit Corpus(std::string folder) : folder_(std::move(folder)) {}

  void Add(const std::string& target, const std::string& name, const std::string& bytes) const {
    SKERRY_ASSERT(MakeDirectories(folder_ + "/" + target).ok());
    const std::string path = folder_ + "/" + target + "/" + name;
    SKERRY_ASSERT(WriteFileAtomically(path, bytes).ok());
  }

 private:
  std::string folder_;
};

std::string Number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string Repeat(char c, size_t count) { return std::string(count, c); }

// A file that a reader of data sets takes together with another.
std::string Pair(uint8_t flags, const std::string& first, const std::string& second) {
  return Number(flags, 1) + Number(first.size(), 2) + first + second;
}

void AddEnvelopes(const Corpus& corpus) {
  using proto::Envelope;
  std::vector<std::pair<std::string, Envelope>> messages;
  const auto add = [&](const std::string& name) -> Envelope& {
    return messages.emplace_back(name, Envelope()).second;
  };
  auto* hello = add("hello").mutable_hello();
  hello->set_version_min(1);
  hello->set_version_max(3);
  hello->set_software("skerry 0.1.0");
  hello->set_process("site-7");
  auto* welcome = add("welcome").mutable_welcome();
  welcome->set_version(1);
  welcome->set_run_id(Repeat('a', 32));
  welcome->set_nonce(Repeat('n', 32));
  welcome->set_job_yaml("version: 1\nmodel: {name: mlp}\n");
  welcome->set_roster_size(8);
  welcome->set_roster_hash(Repeat('h', 32));
  for (const int64_t size : {10, 784}) {
    auto* tensor = welcome->add_layout();
    tensor->set_name(fmt::format("layer.{}", size));
    tensor->add_sizes(size);
    tensor->add_sizes(3);
  }
  auto* proof = add("join").mutable_join()->add_nodes();
  proof->set_node("n-0");
  proof->set_signature(Repeat('s', 64));
  auto* verdict = add("join_result").mutable_join_result()->add_nodes();
  verdict->set_node("n-0");
  verdict->set_reason(proto::REJECT_REASON_REVOKED);
  auto* refused = add("refused").mutable_refused();
  refused->set_reason(proto::REJECT_REASON_VERSION);
  refused->set_detail("expected version 1");
  add("leave").mutable_leave()->add_nodes("n-0");
  add("ping").mutable_ping();
  auto* task = add("round_task").mutable_round_task();
  task->set_round(3);
  task->set_attempt(1);
  task->set_model_version(2);
  task->set_model_bytes(104040);
  task->set_model_sha256(Repeat('m', 32));
  task->add_nodes("n-0");
  task->add_nodes("n-1");
  task->set_scale_bits(20);
  auto* request = add("model_request").mutable_model_request();
  request->set_model_version(2);
  request->set_offset(1 << 18);
  request->set_credit_until(uint64_t{1} << 62);
  add("model_chunk").mutable_model_chunk()->set_offset(~uint64_t{0});
  auto* progress = add("progress").mutable_progress();
  progress->set_round(3);
  progress->add_nodes()->set_node("n-0");
  progress->mutable_nodes(0)->set_phase(proto::NodeProgress::PHASE_TRAINING);
  progress->mutable_nodes(0)->set_permille(500);
  auto* offer = add("upload_offer").mutable_upload_offer();
  offer->set_node("n-0");
  offer->set_round(3);
  offer->set_attempt(1);
  offer->set_bytes(uint64_t{1} << 62);
  offer->set_content_id(0x0123456789abcdef);
  auto* grant = add("upload_grant").mutable_upload_grant();
  grant->set_node("n-0");
  grant->set_credit_until(1 << 20);
  auto* chunk = add("upload_chunk").mutable_upload_chunk();
  chunk->set_node("n-0");
  chunk->set_offset(uint64_t{1} << 62);
  auto* result = add("upload_result").mutable_upload_result();
  result->set_round(3);
  result->add_nodes()->set_node("n-1");
  auto* failure = add("node_failure").mutable_node_failure();
  failure->set_node("n-0");
  failure->set_reason(proto::REJECT_REASON_NOT_FINITE);
  add("round_closed").mutable_round_closed()->set_committed(true);
  add("job_end").mutable_job_end()->set_detail("done");
  auto* advert = add("key_advert").mutable_key_advert();
  advert->set_node("n-0");
  advert->set_cipher_key(Repeat('c', 32));
  advert->set_mask_key(Repeat('k', 32));
  advert->set_seed_commitment(Repeat('d', 32));
  advert->set_ring_commitment(Repeat('r', 32));
  advert->set_signature(Repeat('s', 64));
  auto* roster = add("key_roster").mutable_key_roster();
  for (int i = 0; i < 3; ++i) {
    *roster->add_adverts() = *advert;
    roster->mutable_adverts(i)->set_node(fmt::format("n-{}", i));
  }
  auto* reveal = add("ring_reveal").mutable_ring_reveal();
  reveal->set_node("n-0");
  reveal->set_nonce(Repeat('r', 32));
  add("ring_nonces").mutable_ring_nonces()->set_nonces(Repeat('r', 96));
  auto* shares = add("key_shares").mutable_key_shares();
  shares->set_node("n-0");
  shares->set_sealed(Repeat('x', 192));
  auto* delivery = add("share_delivery").mutable_share_delivery();
  delivery->set_members("\x07");
  delivery->add_nodes()->set_node("n-0");
  delivery->mutable_nodes(0)->set_sealed(Repeat('x', 192));
  auto* set = add("survivor_set").mutable_survivor_set();
  set->set_survivors("\x07");
  set->add_nodes("n-0");
  auto* signature = add("survivor_signature").mutable_survivor_signature();
  signature->set_node("n-0");
  signature->set_signature(Repeat('s', 64));
  auto* unmask = add("unmask_request").mutable_unmask_request();
  unmask->set_survivors("\x07");
  unmask->add_proofs()->set_member(1);
  unmask->mutable_proofs(0)->set_signature(Repeat('s', 64));
  unmask->add_nodes("n-0");
  auto* opened = add("unmask_shares").mutable_unmask_shares();
  opened->set_node("n-0");
  opened->set_shares(Repeat('y', 120));
  for (const auto& [name, envelope] : messages) {
    corpus.Add("envelope", name, protocol::Encode(envelope));
  }
  // 2,000 empty proofs: two bytes each on the wire, an object each in memory.
  std::string empty_proofs = "\x12";
  empty_proofs += Number(0xa0 | 0x80, 1) + Number(4000 >> 7, 1);
  for (int i = 0; i < 2000; ++i) empty_proofs += std::string("\x0a\x00", 2);
  corpus.Add("envelope", "join_of_empty_proofs", empty_proofs);
}

void AddChunks(const Corpus& corpus) {
  const std::string start = Number(5000, 2) + Number(99, 1) + Number(1000, 2);
  std::string honest = start;
  for (int i = 0; i < 20; ++i) honest += std::string("\x00\x01\x02\x03", 4);
  corpus.Add("chunk", "honest", honest);
  corpus.Add("chunk", "reconnect", honest + "\x04" + honest.substr(start.size()) + "\x01\x04\x02");
  const std::string huge = Number(uint64_t{1} << 62, 8);
  corpus.Add("chunk", "hostile_chunk",
             honest + "\x05" + huge + Number(600, 2) + "\x05" + Number(0, 8) + Number(65535, 2));
  corpus.Add("chunk", "hostile_credit",
             honest + "\x06" + huge + huge + Number(0, 1) + "\x06" + Number(4000, 8) +
                 Number(~uint64_t{0}, 8) + Number(1, 1) + "\x06" + Number(10, 8) + Number(4999, 8) +
                 Number(1, 1) + "\x01\x02\x01\x02");
  corpus.Add("chunk", "empty_transfer", Number(0, 5) + std::string("\x00\x01\x03\x04", 4));
}

std::string TextOf(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  SKERRY_ASSERT(text.ok());
  return *std::move(text);
}

void AddSafetensors(const Corpus& corpus) {
  const auto layout =
      ParameterLayout::Create({{"conv.weight", {2, 1, 2, 2}}, {"conv.bias", {2}}, {"scale", {}}});
  SKERRY_ASSERT(layout.ok());
  ParameterVector parameters(*layout);
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters.values()[i] = static_cast<float>(i) / 8;
  }
  const std::string path = fuzz::ScratchFolder() + "/seed";
  SKERRY_ASSERT(WriteSafetensors(path, parameters, {{"round", "3"}, {"job", "fashion"}}).ok());
  corpus.Add("safetensors", "three_tensors", TextOf(path));
  const auto file = [](const std::string& header, size_t data_bytes) {
    return Number(header.size(), 8) + header + Repeat('\x3f', data_bytes);
  };
  corpus.Add("safetensors", "no_tensors", file("{}", 0));
  corpus.Add("safetensors", "gap_and_other_order",
             file(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
                  R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}})",
                  16));
  corpus.Add("safetensors", "overlap",
             file(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                  R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                  8));
  corpus.Add("safetensors", "huge_shape",
             file(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],)"
                  R"("data_offsets":[0,18446744073709551615]}})",
                  8));
  corpus.Add("safetensors", "deep_header", file(Repeat('[', 5000), 0));
  corpus.Add("safetensors", "many_empty_lists", [&] {
    std::string header = R"({"a":{"dtype":"F32","data_offsets":[0,0],"shape":[)";
    for (int i = 0; i < 1500; ++i) header += "[],";
    return file(header + "[]]}}", 0);
  }());
  corpus.Add("safetensors", "header_longer_than_file", Number(~uint64_t{0}, 8) + "{}");
}

std::string Idx(const std::vector<uint32_t>& dimensions, const std::string& elements) {
  std::string bytes = {0, 0, 8, static_cast<char>(dimensions.size())};
  for (const uint32_t size : dimensions) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(size >> shift);
  }
  return bytes + elements;
}

std::string Gzip(const std::string& bytes) {
  const std::string path = fuzz::ScratchFolder() + "/seed.gz";
  const gzFile file = ::gzopen(path.c_str(), "wb9");
  SKERRY_ASSERT(file != nullptr);
  SKERRY_ASSERT(::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
                static_cast<int>(bytes.size()));
  SKERRY_ASSERT(::gzclose(file) == Z_OK);
  return TextOf(path);
}

void AddIdx(const Corpus& corpus) {
  const std::string labels = Idx({5}, std::string("\x00\x01\x00\x09\x01", 5));
  const std::string images = Idx({5, 2, 2}, "abcdefghijklmnopqrst");
  corpus.Add("idx", "plain", Pair(0, labels, images));
  corpus.Add("idx", "colour", Pair(8, labels, Idx({5, 3, 1, 1}, "abcdefghijklmno")));
  corpus.Add("idx", "flat", Pair(8, labels, Idx({5, 2}, "abcdefghij")));
  corpus.Add("idx", "to_compress", Pair(3, labels, images));
  corpus.Add("idx", "compressed", Pair(0, Gzip(labels), Gzip(images)));
  corpus.Add("idx", "compressed_and_cut", Pair(0, labels, Gzip(images).substr(0, 20)));
  corpus.Add("idx", "damaged_checksum", [&] {
    std::string damaged = Gzip(images);
    damaged[damaged.size() - 6] ^= 1;
    return Pair(0, labels, damaged);
  }());
  corpus.Add("idx", "promises_a_billion",
             Pair(0, Idx({1'000'000'000}, ""), Idx({1'000'000'000, 4096, 4096}, "")));
  corpus.Add("idx", "zeros_that_compress_well",
             Pair(0, Gzip(Idx({50'000}, Repeat('\0', 50'000))),
                  Gzip(Idx({50'000, 1}, Repeat('\0', 50'000)))));
  corpus.Add("idx", "longer_than_it_says", Pair(0, labels, images + "more"));
}

std::string Npy(const std::string& descr, const std::string& shape, const std::string& elements,
                int version = 1) {
  const std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n", descr, shape);
  return "\x93NUMPY" + Number(static_cast<uint64_t>(version), 2) +
         Number(header.size(), version == 1 ? 2 : 4) + header + elements;
}

void AddNpy(const Corpus& corpus) {
  const std::string labels = Npy("|u1", "(3,)", std::string("\x00\x01\x01", 3));
  corpus.Add("npy", "bytes", Pair(0, labels, Npy("|u1", "(3, 2)", "abcdef")));
  corpus.Add("npy", "floats", Pair(0, labels, Npy("<f4", "(3, 2)", Repeat('\x40', 24))));
  corpus.Add("npy", "doubles", Pair(1, labels, Npy("<f8", "(3, 1, 2)", Repeat('\x40', 48), 2)));
  corpus.Add("npy", "long_labels",
             Pair(2, Npy("<i8", "(3, 1)", Number(5, 8) + Number(~uint64_t{0}, 8) + Number(0, 8)),
                  Npy("<i4", "(3,)", Repeat('\x01', 12), 3)));
  corpus.Add("npy", "not_finite", Pair(0, labels, Npy("<f4", "(3, 2)", Repeat('\xff', 24))));
  corpus.Add("npy", "promises_a_billion",
             Pair(0, Npy("<f8", "(1000000000,)", ""), Npy("<f8", "(1000000000, 4096, 4096)", "")));
  corpus.Add("npy", "compressed", Pair(0, Gzip(labels), Gzip(Npy("|u1", "(3, 2)", "abcdef"))));
}

void AddCsv(const Corpus& corpus) {
  const std::string classes(1, '\0');
  corpus.Add("csv", "plain", classes + "a,b,y\n1,2.5,0\n-3,4e-3,9\n");
  corpus.Add("csv", "partition", "\x80 x ,p,y\n1,north,0\n2,\"so\"\"uth\",1\n3,north,1\r\n");
  corpus.Add("csv", "numbered_groups", "\x82p,y,x\n10,0.5,1\n9,-1e30,2\n10.0,3,4\n");
  corpus.Add("csv", "byte_order_mark", classes + "\xef\xbb\xbfy,x\n1,1\n\n\n2,2\n");
  corpus.Add("csv", "quotes_and_breaks", "\x01\"y\",\"a\nb\"\n0,\"1\"\n1,\"2\"");
  corpus.Add("csv", "open_quote", classes + "y,x\n1,\"2\n3,4\n");
  corpus.Add("csv", "overflow", "\x02y,x\n1e39,1\n");
  corpus.Add("csv", "two_columns_of_one_name", classes + "y,a, a\n1,2,3\n");
  corpus.Add("csv", "many_columns", [&] {
    std::string header = classes + "y";
    for (int i = 0; i < 1000; ++i) header += fmt::format(",{}", i);
    return header + "\n";
  }());
}

void AddKeys(const Corpus& corpus) {
  const auto secret = [](int number) {
    const Sha256Digest digest = Sha256Of(fmt::format("a secret of the corpus {}", number));
    SecretBytes bytes(digest.size());
    std::copy(digest.begin(), digest.end(), bytes.mutable_bytes().begin());
    return bytes;
  };
  const std::string folder = fuzz::ScratchFolder() + "/keys";
  ProcessKeys keys{CurveKeyPair::FromSecret(secret(0)), {}};
  for (int i = 1; i <= 3; ++i) {
    keys.nodes.push_back({NodeId(fmt::format("n-{}", i)), Ed25519SecretKey::FromSeed(secret(i))});
  }
  SKERRY_ASSERT(WriteProcessKeys(folder, ProcessName("site-1"), keys).ok());
  SKERRY_ASSERT(WriteCoordinatorKeys(folder, keys.curve).ok());
  const std::string pair = TextOf(folder + "/curve.key");
  const std::string nodes = TextOf(folder + "/nodes.keys");
  const std::string roster = TextOf(RosterPartPath(folder));
  corpus.Add("key_files", "curve_pair", Number(0, 1) + pair);
  corpus.Add("key_files", "curve_pair_of_two",
             Number(0, 1) + pair.substr(0, 48) + "secret " + Repeat('0', 40) + "\n");
  corpus.Add("key_files", "public_key", Number(1, 1) + TextOf(CoordinatorPublicPath(folder)));
  corpus.Add("key_files", "node_keys", Number(2, 1) + nodes);
  corpus.Add("key_files", "node_twice", Number(2, 1) + nodes + nodes);
  corpus.Add("key_files", "bad_digit", Number(2, 1) + nodes.substr(0, 40) + "g" + nodes.substr(41));
  corpus.Add("roster", "one_process", "# nodes of one site\n\n" + roster);
  corpus.Add("roster", "twice", roster + roster);
  corpus.Add("roster", "unknown_process", roster.substr(roster.find("node")));
  corpus.Add("roster", "crlf_and_blanks", [&] {
    std::string text;
    for (const char c : roster) text += c == '\n' ? "\t \r\n" : std::string(1, c);
    return text;
  }());
  std::string errors;
  for (int i = 0; i < 2000; ++i) errors += "x\n";
  corpus.Add("roster", "two_thousand_errors", errors);
}

void AddLedger(const Corpus& corpus) {
  const std::string path = fuzz::ScratchFolder() + "/ledger";
  {
    absl::StatusOr<Ledger> ledger = Ledger::Open(path);
    SKERRY_ASSERT(ledger.ok());
    for (uint64_t round = 1; round <= 3; ++round) {
      const Charge charge = {
          .data_id = "fashion",
          .node = NodeId("n-0"),
          .run = RunId(Repeat('a', 32)),
          .release = {.round = RoundId(round), .attempt = AttemptId(1)},
          .unit = PrivacyUnit::kRecord,
          .event = {.noise_multiplier = 2.5, .sampling = Sampling::Poisson(0.01), .steps = 3}};
      SKERRY_ASSERT(ledger->Append(std::vector{charge}, 1'795'000'000'000).ok());
    }
  }
  const std::string text = TextOf(path);
  corpus.Add("ledger", "three_charges", Number(0, 1) + text);
  corpus.Add("ledger", "unfinished_line", Number(0, 1) + text.substr(0, text.size() - 30));
  corpus.Add("ledger", "changed_digit", [&] {
    std::string changed = text;
    changed[text.find("2.5")] = '9';
    return Number(0, 1) + changed;
  }());
  // The same without the hashes, which the target fills in.
  std::string bodies;
  for (int round = 1; round <= 2; ++round) {
    bodies += fmt::format(
        R"({{"data_id":"fashion","node":"n-0","run":"{}","round":{},"attempt":1,"unit":"record",)"
        R"("noise_multiplier":2.5,"sampling_rate":0.01,"steps":1,"adjacency":"add_remove",)"
        R"("unix_ms":1795000000000,"prev":"PREV")",
        Repeat('a', 32), round);
    bodies += '\n';
  }
  corpus.Add("ledger", "bodies", Number(1, 1) + bodies);
  corpus.Add("ledger", "body_twice", Number(1, 1) + bodies + bodies);
  corpus.Add("ledger", "attempt_past_32_bits", [&] {
    std::string large = bodies.substr(0, bodies.find('\n') + 1);
    const std::string wanted = "\"attempt\":1";
    large.replace(large.find(wanted), wanted.size(), "\"attempt\":4294967297");
    return Number(1, 1) + large;
  }());
}

void AddJobs(const Corpus& corpus) {
  for (const auto& entry : std::filesystem::directory_iterator("configs")) {
    const absl::StatusOr<JobConfig> job = LoadJob(entry.path());
    if (job.ok())
      corpus.Add("job_yaml", "resolved_" + entry.path().filename().string(), ResolvedYaml(*job));
  }
}

}  // namespace
}  // namespace skerry

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: skerry_seed_corpus FOLDER\n", stderr);
    return 2;
  }
  const skerry::Corpus corpus(argv[1]);
  skerry::AddEnvelopes(corpus);
  skerry::AddChunks(corpus);
  skerry::AddSafetensors(corpus);
  skerry::AddIdx(corpus);
  skerry::AddNpy(corpus);
  skerry::AddCsv(corpus);
  skerry::AddKeys(corpus);
  skerry::AddLedger(corpus);
  skerry::AddJobs(corpus);
  return 0;
}
