// What a rehearsal found out about each node, and what that says about a real round. Pure
// functions: the times are gathered by coordinator/shell/rehearsal_log.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/dashboard/render.h"
#include "coordinator/round/records.h"

namespace skerry {

struct RehearsedNode {
  std::string node;
  std::string process;
  bool is_in_cohort = true;  // a job with round.cohort_fraction below 1 invites a part of the nodes
  bool has_joined = false;
  bool has_lost_session = false;  // could not help to open the masked sum
  Participation participation = Participation::kInvited;
  std::string reason{};  // of a node that failed or was cut
  // Seconds of each part of its round, as far as it came.
  std::optional<double>
      ready_s{};                   // from its task to the first sign of work: model and data loaded
  std::optional<double> work_s{};  // from there to its upload: made-up training, encoding, masks
  std::optional<double> upload_s{};  // until the upload was complete
};

struct Rehearsal {
  std::string job_name;
  std::string address;          // where agents dial
  double upload_megabytes = 0;  // of one node
  bool is_masked = false;
  std::string failure;  // why the round was not completed; empty: it was
  std::vector<RehearsedNode> nodes;
};

// What is wrong with this node and how to mend it; empty if nothing is. `median_upload_s` is that
// of all nodes.
std::string FindingOn(const RehearsedNode& node, const Rehearsal& rehearsal,
                      std::optional<double> median_upload_s);

// Whether a real round would have every node's update.
bool IsSound(const Rehearsal& rehearsal);

// One row a node, then the findings, then a verdict.
std::string RehearsalTable(const Rehearsal& rehearsal, const RenderOptions& options);
// The same as one object: {job, sound, failure, upload_mb, nodes: [{node, process, joined, outcome,
// ready_s, work_s, upload_s, finding}]}.
std::string RehearsalJson(const Rehearsal& rehearsal);

}  // namespace skerry
