// A run directory and records as a round machine makes them, for the tests of this folder.
#pragma once

#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "coordinator/store/checkpoint.h"
#include "coordinator/store/run_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {

class StoreFixture : public testing::Test {
 protected:
  static constexpr int64_t kStart = 1'790'000'000'000;

  RunInfo Info() const {
    RunInfo info;
    info.run_id = RunId("00112233445566778899aabbccddeeff");
    info.job_name = "fashion_cnn";
    info.job_yaml = "version: 1\nseed: 42\n";
    info.guarantee = "no secure aggregation, no differential privacy in this run";
    info.seed = 18'000'000'000'000'000'000u;  // does not fit a signed integer
    info.roster_sha256 = std::string(64, 'a');
    info.initial_sha256 = std::string(64, '0');
    info.software_version = "0.1.0";
    info.rounds_planned = 10;
    info.keep_models = 2;
    info.started_unix_ms = kStart;
    return info;
  }

  ParameterVector Model(float first) const {
    ParameterVector model(layout_);
    std::iota(model.values().begin(), model.values().end(), first);
    return model;
  }

  static std::vector<float> Values(const ParameterVector& vector) {
    return {vector.values().begin(), vector.values().end()};
  }

  absl::StatusOr<RunStore> Create() { return RunStore::Create(dir(), Info(), Model(0)); }
  absl::StatusOr<RunStore> Open() { return RunStore::Open(dir(), "0.1.1", kStart + 1000); }
  std::string dir() const { return folder_ / "run"; }
  std::string Path(const std::string& name) const { return dir() + "/" + name; }
  bool Exists(const std::string& name) const { return std::filesystem::exists(Path(name)); }

  static RoundStarted Started(uint64_t round, uint32_t attempt = 1) {
    return {RoundId(round), AttemptId(attempt), {NodeId("a"), NodeId("b"), NodeId("c")}};
  }

  // A strategy's state with one moment.
  ParameterVector State(float value) const {
    ParameterVector state(state_layout_);
    std::fill(state.values().begin(), state.values().end(), value);
    return state;
  }

  static std::string Sha(uint64_t round) { return fmt::format("{:064x}", round); }

  static RoundCommitted Committed(uint64_t round) {
    RoundCommitted record;
    record.round = RoundId(round);
    record.attempt = AttemptId(1);
    record.participants = {
        {NodeId("a"), Participation::kAccepted, "", std::chrono::microseconds(1'204'311)},
        {NodeId("b"), Participation::kCut, "no progress for 30 s", std::nullopt},
        {NodeId("c"), Participation::kAccepted, "", std::chrono::microseconds(7)}};
    record.model_sha256 = Sha(round);
    record.weight_sum = 120;
    record.clamped_sum = 3;
    record.update_norm = 0.25;
    record.timings = {std::chrono::milliseconds(900), std::chrono::milliseconds(30),
                      std::chrono::microseconds(450)};
    return record;
  }

  // A commit whose checkpoint files are written first, as the worker does.
  RoundCommitted WithCheckpoint(uint64_t round, bool has_state = true) const {
    RoundCommitted record = Committed(round);
    const ParameterVector model = Model(static_cast<float>(round));
    const ParameterVector moment = State(-1.0f);
    auto files =
        WriteCheckpoint(dir(), {RoundId(round), &model, has_state ? &moment : nullptr, {}});
    EXPECT_OK(files);
    record.checkpoint = *files;
    return record;
  }

  RoundCommitted WithAggregate(uint64_t round) const {
    RoundCommitted record = Committed(round);
    record.aggregate =
        std::make_shared<const ParameterVector>(Model(static_cast<float>(round) + 0.5f));
    return record;
  }

  template <typename... Records>
  static absl::Status AppendAll(RunStore& store, Records... records) {
    const std::vector<Record> list = {std::move(records)...};
    return store.Append(list, kStart + 5000);
  }

  TemporaryDirectory folder_;
  ParameterLayoutPtr layout_ = *ParameterLayout::Create({{"w", {3, 4}}, {"b", {4}}});
  ParameterLayoutPtr state_layout_ = *ParameterLayout::Create({{"m/w", {3, 4}}, {"m/b", {4}}});
};

}  // namespace skerry
