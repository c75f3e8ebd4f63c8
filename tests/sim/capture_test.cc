// Everything that a coordinator receives in a run, looked at as an attacker would: is there
// anything of a single node's update in it? The same analysis of a run without masks must find
// plenty, or it would prove nothing.
//
// The runs are seeded, so these statistics are the same in every run of the test.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "tests/sim/cluster.h"
#include "tests/support/quadratic_trainer.h"

namespace skerry {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kDimension = 20'000;

using Words = std::vector<RingElement>;

struct Capture {
  std::string all;                                            // every byte, in the order of arrival
  std::map<std::pair<std::string, uint64_t>, Words> uploads;  // by node and round
};

Scenario CaptureScenario(bool is_masked) {
  Scenario scenario;
  scenario.seed = 11;
  scenario.weather = 12;
  scenario.node_count = 6;
  scenario.process_count = 3;
  scenario.dimension = kDimension;
  scenario.round.count = 2;
  scenario.round.nodes = 6;
  scenario.round.quorum = 6;
  scenario.chunk_bytes = 8192;
  scenario.window_bytes = 1 << 20;
  scenario.upload_memory_bytes = 1 << 24;
  if (is_masked) scenario.secagg = {.enabled = true, .colluders = 1, .dropout_tolerance = 1};
  return scenario;
}

Capture Record(Scenario scenario) {
  Capture capture;
  scenario.observe = [&](const proto::Envelope& envelope, const Message& message) {
    const auto append = [&](std::span<const uint8_t> bytes) {
      capture.all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    append(message.envelope.bytes());
    if (!message.raw) return;
    append(message.raw->bytes());
    if (!envelope.has_upload_offer()) return;
    Words words(message.raw->size() / sizeof(RingElement));
    std::memcpy(words.data(), message.raw->bytes().data(), message.raw->size());
    capture.uploads[{envelope.upload_offer().node(), envelope.upload_offer().round()}] = words;
  };
  const RunResult result = RunCluster(scenario);
  EXPECT_THAT(result.violations, IsEmpty());
  return capture;
}

// How far the bytes at one offset of every word are from uniform, in standard deviations of
// chi-square with 255 degrees of freedom.
double Skew(const Words& words, size_t byte_offset) {
  std::array<double, 256> counts{};
  for (const RingElement word : words) counts[(word >> (8 * byte_offset)) & 0xff] += 1;
  const double expected = static_cast<double>(words.size()) / 256;
  double chi_square = 0;
  for (const double count : counts)
    chi_square += (count - expected) * (count - expected) / expected;
  return std::abs(chi_square - 255) / std::sqrt(2 * 255.0);
}

void CheckUniform(const std::string& what, const Words& words, std::vector<std::string>& leaks) {
  for (size_t offset = 0; offset < sizeof(RingElement); ++offset) {
    if (Skew(words, offset) > 6) leaks.push_back(fmt::format("{}, byte {}", what, offset));
  }
}

Words Difference(const Words& a, const Words& b) {
  Words result(a.size());
  for (size_t i = 0; i < a.size(); ++i) result[i] = a[i] - b[i];
  return result;
}

// What gives a single update away.
std::vector<std::string> Leaks(const Capture& capture, const Scenario& scenario) {
  std::vector<std::string> leaks;
  const QuadraticTrainer trainer(scenario.seed, kDimension, scenario.node_count);
  const std::vector<float> zero(kDimension);
  for (const auto& [key, words] : capture.uploads) {
    const auto& [node, round] = key;
    CheckUniform(fmt::format("upload of {} in round {}", node, round), words, leaks);
    for (const auto& [other_key, other] : capture.uploads) {
      if (other_key <= key) continue;
      const bool is_related = other_key.first == node || other_key.second == round;
      if (!is_related) continue;
      CheckUniform(fmt::format("{} in round {} against {} in round {}", node, round,
                               other_key.first, other_key.second),
                   Difference(words, other), leaks);
    }
  }
  // The very update of the first round, any 16 bytes of it, and the weight at its end.
  for (const NodeId& node : scenario.nodes()) {
    const Words plain = trainer.Train(node, RoundId(1), zero);
    const std::span<const uint8_t> bytes = AsBytes(std::span<const RingElement>(plain));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (size_t at = 0; at + 16 <= text.size(); at += 1600) {
      if (capture.all.find(text.substr(at, 16)) != std::string::npos) {
        leaks.push_back("sentinel row of " + node.value());
        break;
      }
    }
    // Weight and clamped count, as the last two coordinates: together they are told apart from
    // chance.
    if (capture.all.find(text.substr(text.size() - 12)) != std::string::npos) {
      leaks.push_back("sentinel weight of " + node.value());
    }
  }
  return leaks;
}

TEST(CaptureTest, NothingOfASingleUpdateReachesTheCoordinator) {
  const Scenario scenario = CaptureScenario(/*is_masked=*/true);
  const Capture capture = Record(scenario);

  ASSERT_EQ(capture.uploads.size(), 12u);
  EXPECT_THAT(Leaks(capture, scenario), IsEmpty());
}

TEST(CaptureTest, WithoutMasksTheSameAnalysisFindsEverything) {
  const Scenario scenario = CaptureScenario(/*is_masked=*/false);
  const Capture capture = Record(scenario);

  const std::vector<std::string> leaks = Leaks(capture, scenario);

  EXPECT_THAT(leaks, Contains(HasSubstr("upload of n-0000 in round 1")));
  EXPECT_THAT(leaks, Contains(HasSubstr("against")));
  EXPECT_THAT(leaks, Contains(HasSubstr("sentinel row of n-0003")));
  EXPECT_THAT(leaks, Contains(HasSubstr("sentinel weight of n-0005")));
}

}  // namespace
}  // namespace skerry
