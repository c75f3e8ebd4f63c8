// A full disk and a link that breaks in the middle of an upload, between real processes.
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <sys/mount.h>

#include <fmt/format.h>

#include "common/base/file.h"
#include "tests/e2e/deployment.h"
#include "tests/support/chaos_proxy.h"
#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::milliseconds;

// A file system of its own for a folder, of `megabytes`, as long as this lives.
class SmallDisk {
 public:
  SmallDisk(std::string folder, int megabytes) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
    is_mounted_ = ::mount("none", folder_.c_str(), "tmpfs", 0,
                          fmt::format("size={}m", megabytes).c_str()) == 0;
  }
  ~SmallDisk() {
    if (is_mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_mounted() const { return is_mounted_; }
  void Fill() {
    std::ofstream ballast(ballast_path(), std::ios::binary);
    const std::string block(64 << 10, '\x5a');
    while (ballast.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void Empty() { std::filesystem::remove(ballast_path()); }

 private:
  std::string ballast_path() const { return folder_ + "/ballast"; }

  std::string folder_;
  bool is_mounted_ = false;
};

TEST(FullDiskTest, StopsTheRunWithAWordAndCostsItNothing) {
  const std::vector<std::string> rounds = {"--set", "round.count=15"};
  Deployment deployment({.nodes = 8, .processes = 2});
  SmallDisk disk(deployment.run_dir(), 40);
  if (!disk.is_mounted()) GTEST_SKIP() << "mounting a tmpfs needs root";
  deployment.StartCoordinator(SmallJob(), rounds);
  deployment.StartAllAgents();
  ASSERT_TRUE(deployment.coordinator().WaitForText("round 2 of 15 done"));

  disk.Fill();

  EXPECT_EQ(deployment.coordinator().WaitForExit(), 1);
  EXPECT_THAT(deployment.coordinator().standard_error(),
              testing::AnyOf(testing::HasSubstr("make room"), testing::HasSubstr("full")));
  disk.Empty();
  std::vector<std::string> resuming = rounds;
  resuming.push_back("--resume");
  deployment.StartCoordinator(SmallJob(), resuming);
  // Those that were told of the failure before the coordinator ended have ended too (--once).
  deployment.StartAllAgents();
  const nlohmann::json result = deployment.Result();
  ASSERT_EQ(result.value("status", ""), "completed") << deployment.coordinator().standard_error();

  Deployment undisturbed({.nodes = 8, .processes = 2});
  undisturbed.StartCoordinator(SmallJob(), rounds);
  undisturbed.StartAllAgents();
  EXPECT_EQ(undisturbed.Result().value("model_sha256", "none"), result.value("model_sha256", ""));
}

TEST(CutUploadTest, GoesOnWhereItWas) {
  constexpr uint64_t kUploadBytes = 199'210 * 4;
  Deployment deployment({.nodes = 8, .processes = 8, .link = Deployment::Link::kTcp});
  deployment.StartCoordinator(SmallJob(), {"--set", "round.count=1", "--set", "round.quorum=8"});
  ChaosProxy network(deployment.endpoint(), 3, 1);
  network.SetWeather({.bytes_per_s = 400'000});
  deployment.DialInstead(3, network.address());
  deployment.StartAllAgents();
  Subprocess& agent = deployment.agent(3);
  ASSERT_TRUE(agent.WaitForText(" trained")) << agent.standard_error();

  // Half of it has left.
  while (network.bytes_up() < kUploadBytes / 2) ASSERT_TRUE(agent.ReadFor(milliseconds(5)));
  network.SetWeather({.is_cut = true});
  ASSERT_TRUE(agent.WaitForText("no link to the coordinator")) << agent.standard_error();
  network.SetWeather({.bytes_per_s = 400'000});

  EXPECT_EQ(deployment.Result().value("status", ""), "completed");
  EXPECT_GE(network.connection_count(), 2u);
  EXPECT_GT(network.bytes_up(), kUploadBytes);
  EXPECT_LT(network.bytes_up(), kUploadBytes * 3 / 2);
}

}  // namespace
}  // namespace skerry
