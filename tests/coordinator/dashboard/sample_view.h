// A run in the middle of its third round, for the tests of this folder.
#pragma once

#include "coordinator/dashboard/run_view.h"

namespace skerry {

inline void AddNode(RunView& view, const std::string& name, Participation participation,
                    uint32_t permille = 0, const std::string& note = "") {
  view.nodes.push_back({name, participation, permille, note});
  ++view.participation_counts[static_cast<size_t>(participation)];
}

inline RunView SampleView() {
  RunView view;
  view.job_name = "fashion_cnn";
  view.run_id = "00ff";
  view.run_dir = "runs/fashion";
  view.round = 3;
  view.round_count = 10;
  view.phase = "training";
  view.node_count = 4;
  view.node_connected_count = 3;
  view.quorum = 3;
  AddNode(view, "node-1", Participation::kAccepted, 1000);
  AddNode(view, "node-2", Participation::kTraining, 500);
  AddNode(view, "node-10", Participation::kUploading, 1000);
  AddNode(view, "node-3", Participation::kInvited, 0, "left 12 s ago");
  view.rounds = {{1, 4, 4, 10.0, 1'000'000, 2'000'000, {{"accuracy", 0.5}, {"loss", 1.5}}},
                 {2, 4, 3, 14.0, 1'000'000, 1'500'000, {{"accuracy", 0.75}, {"loss", 0.75}}}};
  view.events = {{2, "node cut", "node-3", "no progress for 30 s"}};
  view.refusals = {{"malformed message", 2}, {"not in the roster", 1000}};
  view.bytes_sent = 3'000'000;
  view.bytes_received = 4'500'000;
  view.bytes_sent_per_s = 120'000;
  view.elapsed = std::chrono::seconds(30);
  view.round_elapsed = std::chrono::seconds(6);
  view.model_sha256 = "abcd";
  return view;
}

}  // namespace skerry
