// From a `data` section of a configuration to rows in memory. A simulation's processes each read
// the labels of all rows, compute the same partition and keep only the rows of their own nodes.
//
// Loading blocks on files and may take seconds: call it from a worker, not from a thread that
// serves sockets. Errors name file and row and say what to do; they concern this data only, so the
// caller gives up one node, not the run.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/job_config.h"
#include "common/ml/dataset.h"
#include "common/ml/label_column.h"
#include "common/ml/partition.h"

namespace skerry {

struct DataRequest {
  DataConfig data;
  LabelSpec labels;
  std::vector<int64_t> input;  // shape of one example as the model takes it
  uint64_t seed = 0;           // of the job: decides examples_max and the partition
};

// The request for data that is to train `job.model`, with `data` in place of job.data.
absl::StatusOr<DataRequest> DataRequestFor(const JobConfig& job, const DataConfig& data);

// The rows of some nodes of a partitioned data set.
struct HostedData {
  SharedDataset dataset;
  Partition rows;  // by position in the list of hosted nodes; rows of `dataset`
};
// `hosted` are positions in the partition, below `node_count`, each once.
absl::StatusOr<HostedData> LoadHostedNodes(const DataRequest& request, size_t node_count,
                                           std::span<const uint32_t> hosted);

// All training rows (at most examples_max): a node that owns its data.
absl::StatusOr<SharedDataset> LoadTrainingSet(const DataRequest& request);

// The test set: data.test_path, or the t10k-, x_test.npy/y_test.npy or test.csv files beside the
// training files. Null if test_path is absent and there are none.
absl::StatusOr<SharedDataset> LoadTestSet(const DataRequest& request);

}  // namespace skerry
