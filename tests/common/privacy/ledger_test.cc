// What is written down survives, what is damaged is noticed, and nothing is spent twice at once.
#include "common/privacy/ledger.h"

#include <bit>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/rng.h"
#include "common/crypto/hex.h"
#include "common/crypto/sha256.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Charge ChargeOf(uint64_t round, const std::string& node = "n-0") {
  return {.data_id = "heart",
          .node = NodeId(node),
          .run = RunId(std::string(32, 'a')),
          .release = {.round = RoundId(round), .attempt = AttemptId(1)},
          .unit = PrivacyUnit::kRecord,
          .event = {.noise_multiplier = 2.5,
                    .sampling = Sampling::Poisson(0.01),
                    .steps = 3,
                    .adjacency = Adjacency::kAddRemove}};
}

class LedgerTest : public testing::Test {
 protected:
  std::string Text() const { return *ReadFile(path_, 1 << 20); }
  void Rewrite(const std::string& text) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file << text;
    ASSERT_TRUE(file.flush().good());
  }
  // A ledger of `rounds` rounds of one node, closed.
  void Fill(uint64_t rounds) const {
    absl::StatusOr<Ledger> ledger = Ledger::Open(path_);
    ASSERT_OK(ledger);
    for (uint64_t round = 1; round <= rounds; ++round) {
      ASSERT_OK(ledger->Append(std::vector{ChargeOf(round)}, 1'795'000'000'000));
    }
  }
  int64_t StepsIn(const Spending& spending, const std::string& node = "n-0") const {
    const std::vector<SpentEvent> events = spending.EventsOf("heart", NodeId(node));
    return events.empty() ? 0 : events[0].event.steps;
  }

  TemporaryDirectory folder_;
  const std::string path_ = folder_ / "ledger.jsonl";
};

TEST_F(LedgerTest, ChargesAreThereAgainAfterClosing) {
  {
    ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_));
    EXPECT_EQ(ledger.spending().charge_count(), 0u);
    Charge other = ChargeOf(1, "n-1");
    other.unit = PrivacyUnit::kClient;
    other.event.sampling = Sampling::Everyone();
    other.event.adjacency = Adjacency::kReplaceOne;
    ASSERT_OK(ledger.Append(std::vector{ChargeOf(1), other}, 1));
    ASSERT_OK(ledger.Append(std::vector{ChargeOf(2)}, 2));
  }

  ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(path_));

  EXPECT_THAT(ledger.warning(), IsEmpty());
  EXPECT_EQ(ledger.spending().charge_count(), 3u);
  EXPECT_TRUE(ledger.spending().Has(ChargeOf(2)));
  EXPECT_FALSE(ledger.spending().Has(ChargeOf(3)));
  EXPECT_EQ(StepsIn(ledger.spending()), 6);
  const std::vector<SpentEvent> other = ledger.spending().EventsOf("heart", NodeId("n-1"));
  ASSERT_THAT(other, SizeIs(1));
  EXPECT_EQ(other[0].unit, PrivacyUnit::kClient);
  EXPECT_EQ(other[0].event.adjacency, Adjacency::kReplaceOne);
  EXPECT_EQ(other[0].event.sampling.amplifying_rate(), 1.0);
}

// The header's description, byte by byte.
TEST_F(LedgerTest, ALineIsWhatTheHeaderSays) {
  Fill(2);
  const std::string text = Text();
  const auto line = [](int round, const std::string& prev) {
    std::string body = "{\"data_id\":\"heart\",\"node\":\"n-0\",\"run\":\"";
    body += std::string(32, 'a') + "\",\"round\":" + std::to_string(round);
    body +=
        ",\"attempt\":1,\"unit\":\"record\",\"noise_multiplier\":2.5,\"sampling_rate\":0.01,"
        "\"steps\":3,\"adjacency\":\"add_remove\",\"unix_ms\":1795000000000,\"prev\":\"";
    body += prev + "\"";
    const std::string hash = HexOf(Sha256Of(body));
    return std::pair(body + ",\"sha256\":\"" + hash + "\"}\n", hash);
  };
  const auto [first, first_hash] = line(1, std::string(64, '0'));

  EXPECT_EQ(text, first + line(2, first_hash).first);
  struct stat info = {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(LedgerTest, NumbersComeBackBitByBit) {
  Rng rng(5);
  std::vector<Charge> charges;
  for (uint64_t round = 1; round <= 200; ++round) {
    Charge charge = ChargeOf(round);
    charge.event.noise_multiplier = 0.01 + 20.0 * rng.Uniform() * rng.Uniform();
    charge.event.sampling = Sampling::Poisson(1e-9 + rng.Uniform() * (1.0 - 1e-9));
    charge.run = RunId("run-" + std::to_string(round));  // so that no two are merged
    charges.push_back(charge);
  }
  {
    ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_));
    ASSERT_OK(ledger.Append(charges, 1));
  }

  ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(path_));

  for (const Charge& charge : charges) {
    const auto events = ledger.spending().EventsOf("heart", charge.node, charge.run);
    ASSERT_THAT(events, SizeIs(1));
    EXPECT_EQ(std::bit_cast<uint64_t>(events[0].event.noise_multiplier),
              std::bit_cast<uint64_t>(charge.event.noise_multiplier));
    EXPECT_EQ(std::bit_cast<uint64_t>(events[0].event.sampling.amplifying_rate()),
              std::bit_cast<uint64_t>(charge.event.sampling.amplifying_rate()));
  }
}

TEST_F(LedgerTest, ABatchIsMadeDurableOnceAndARepeatNotAtAll) {
  int sync_count = 0;
  ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_, [&](int) {
                         ++sync_count;
                         return 0;
                       }));
  const std::vector<Charge> batch = {ChargeOf(1), ChargeOf(1, "n-1"), ChargeOf(1, "n-2"),
                                     ChargeOf(1)};

  ASSERT_OK(ledger.Append(batch, 1));
  EXPECT_EQ(sync_count, 1);
  EXPECT_EQ(ledger.spending().charge_count(), 3u);
  const std::string text = Text();
  ASSERT_OK(ledger.Append(batch, 2));

  EXPECT_EQ(sync_count, 1);
  EXPECT_EQ(Text(), text);
  EXPECT_EQ(StepsIn(ledger.spending()), 3);
}

TEST_F(LedgerTest, AnotherAttemptIsAnotherCharge) {
  ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_));
  Charge retry = ChargeOf(1);
  retry.release.attempt = AttemptId(2);

  ASSERT_OK(ledger.Append(std::vector{ChargeOf(1), retry}, 1));

  EXPECT_EQ(StepsIn(ledger.spending()), 6);
  EXPECT_EQ(ledger.spending().NewestOf("heart", NodeId("n-0"), retry.run), retry.release);
}

TEST_F(LedgerTest, TwoProcessesCannotHaveItAtOnce) {
  {
    ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(path_));
    EXPECT_THAT(Ledger::Open(path_),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(path_), HasSubstr("in use by another process"))));
  }
  EXPECT_OK(Ledger::Open(path_));
}

TEST_F(LedgerTest, AFolderThatIsNotThereIsNamed) {
  EXPECT_THAT(Ledger::Open(folder_ / "missing/ledger"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("missing/ledger")));
}

TEST_F(LedgerTest, EveryChangedByteIsNoticed) {
  Fill(3);
  const std::string text = Text();
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    Rewrite(damaged);
    EXPECT_THAT(Ledger::Open(path_), StatusIs(absl::StatusCode::kDataLoss)) << "byte " << i;
  }
}

TEST_F(LedgerTest, LinesThatAreMissingSwappedOrRepeatedAreNoticed) {
  Fill(3);
  const std::string text = Text();
  const size_t size = text.size() / 3;
  const std::string a = text.substr(0, size);
  const std::string b = text.substr(size, size);
  const std::string c = text.substr(2 * size);
  for (const std::string& damaged : {b + c, a + c, a + c + b, a + b + b + c, a + "\n" + b + c}) {
    Rewrite(damaged);
    EXPECT_THAT(Ledger::Open(path_),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(path_), HasSubstr("Put back an intact copy"))));
  }
  EXPECT_THAT(Ledger::Open(path_).status().message().find(":2: "), testing::Ne(std::string::npos));
}

// What a crash in the middle of an append leaves, cut at every byte.
// Attempts have 32 bits; 2^32 + 1 must not be taken for the first.
TEST_F(LedgerTest, AnAttemptThatIsNoneIsDamage) {
  Fill(1);
  std::string body = Text();
  body.resize(body.find(",\"sha256\""));
  const std::string attempt = "\"attempt\":1";
  body.replace(body.find(attempt), attempt.size(), "\"attempt\":4294967297");
  Rewrite(body + ",\"sha256\":\"" + HexOf(Sha256Of(body)) + "\"}\n");

  const absl::Status status = Ledger::Open(path_).status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no charge")));
}

TEST_F(LedgerTest, AnUnfinishedLastLineIsCutOffWithAWarning) {
  Fill(3);
  const std::string text = Text();
  const size_t size = text.size() / 3;
  for (size_t torn = 1; torn < size; torn += 23) {
    Rewrite(text.substr(0, 2 * size + torn));
    {
      ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_));
      EXPECT_THAT(ledger.warning(), HasSubstr(":3: an unfinished line was cut off"));
      EXPECT_EQ(ledger.spending().charge_count(), 2u);
      EXPECT_EQ(Text(), text.substr(0, 2 * size));
      ASSERT_OK(ledger.Append(std::vector{ChargeOf(3)}, 1'795'000'000'000));
    }
    EXPECT_EQ(Text(), text);
  }
}

TEST_F(LedgerTest, AnEndThatIsNoBeginningOfAChargeIsNotCutOff) {
  Fill(1);
  const std::string text = Text();
  for (const std::string& tail :
       {std::string("somebody's notes"), std::string(5000, '{'), std::string(3, '\0')}) {
    Rewrite(text + tail);
    EXPECT_THAT(Ledger::Open(path_), StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_EQ(Text(), text + tail);
  }
}

TEST_F(LedgerTest, AChargeThatIsNotDurableIsNotTakenAndNoneAfterIt) {
  bool fails = true;
  ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_, [&](int) {
                         errno = EIO;
                         return fails ? -1 : 0;
                       }));

  EXPECT_THAT(ledger.Append(std::vector{ChargeOf(1)}, 1),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("cannot make")));
  fails = false;

  EXPECT_THAT(ledger.Append(std::vector{ChargeOf(2)}, 1),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(ledger.spending().charge_count(), 0u);
}

// Half a batch reaches the disk: what is whole counts as spent, the rest is cut off.
TEST_F(LedgerTest, AFullDiskFailsTheBatchAndWhatReachedItCounts) {
  ::signal(SIGXFSZ, SIG_IGN);
  Fill(1);
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = Text().size() * 5 / 2;
  {
    ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const absl::Status full = ledger.Append(std::vector{ChargeOf(2), ChargeOf(3)}, 1);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_THAT(full, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("cannot write")));
  }

  ASSERT_OK_AND_ASSIGN(const Ledger ledger, Ledger::Open(path_));

  EXPECT_THAT(ledger.warning(), HasSubstr("cut off"));
  EXPECT_TRUE(ledger.spending().Has(ChargeOf(2)));
  EXPECT_FALSE(ledger.spending().Has(ChargeOf(3)));
}

TEST_F(LedgerTest, WhatCouldNotBeReadBackIsNotWritten) {
  ASSERT_OK_AND_ASSIGN(Ledger ledger, Ledger::Open(path_));
  Charge charge = ChargeOf(1);
  charge.event.noise_multiplier = 0.0;
  EXPECT_THAT(ledger.Append(std::vector{charge}, 1), StatusIs(absl::StatusCode::kInvalidArgument));
  charge = ChargeOf(1);
  charge.run = RunId(std::string(5000, 'r'));
  EXPECT_THAT(ledger.Append(std::vector{charge}, 1), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Text(), IsEmpty());
  EXPECT_OK(ledger.Append(std::vector{ChargeOf(1)}, 1));
}

}  // namespace
}  // namespace skerry
