#include "common/ml/data_loader.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/model_shapes.h"
#include "common/ml/row_source.h"

namespace skerry {
namespace {

using SourcePtr = std::unique_ptr<RowSource>;

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

int64_t ElementCount(std::span<const int64_t> shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// An image of 28 x 28 and a line of 784 numbers are the same to a model that takes either.
absl::Status CheckShape(const RowSource& source, const DataRequest& request) {
  if (ElementCount(source.example_shape()) == ElementCount(request.input)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(fmt::format(
      "{}: a row has shape [{}] but the model takes [{}]: change model.input or the data",
      request.data.path, fmt::join(source.example_shape(), ", "), fmt::join(request.input, ", ")));
}

CsvColumns ColumnsOf(const DataConfig& data, CsvColumns::Need partition_need) {
  return {
      .label = data.label, .partition = data.partition.column, .partition_need = partition_need};
}

NpyPaths NpyIn(const std::string& folder, std::string_view ending) {
  return {.features = fmt::format("{}/x{}.npy", folder, ending),
          .labels = fmt::format("{}/y{}.npy", folder, ending)};
}

absl::StatusOr<SourcePtr> OpenTraining(const DataConfig& data, CsvColumns::Need need) {
  switch (data.dataset) {
    case DatasetKind::kFashionMnist:
    case DatasetKind::kMnist:
    case DatasetKind::kIdx: {
      SKERRY_ASSIGN_OR_RETURN(const IdxPaths paths, FindIdx(data.path, "train"));
      return OpenIdx(paths);
    }
    case DatasetKind::kCsv:
      return OpenCsv(data.path, ColumnsOf(data, need));
    case DatasetKind::kNpy:
      return OpenNpy(NpyIn(data.path, ""));
  }
  return absl::InternalError("unknown kind of data set");
}

// The test files in `folder`; with `or_training` its training files if it has none of those.
absl::StatusOr<SourcePtr> OpenTestIn(const DataConfig& data, const std::string& folder,
                                     bool or_training) {
  if (data.dataset == DatasetKind::kNpy) {
    const NpyPaths paths = NpyIn(folder, "_test");
    return OpenNpy(or_training && !Exists(paths.features) ? NpyIn(folder, "") : paths);
  }
  absl::StatusOr<IdxPaths> paths = FindIdx(folder, "t10k");
  if (!paths.ok() && or_training) paths = FindIdx(folder, "train");
  if (!paths.ok()) return paths.status();
  return OpenIdx(*paths);
}

// Null if the configuration names no test set and there is none beside the training files.
absl::StatusOr<SourcePtr> OpenTest(const DataConfig& data) {
  const bool is_csv = data.dataset == DatasetKind::kCsv;
  const CsvColumns columns = ColumnsOf(data, CsvColumns::Need::kOptional);
  if (data.test_path.has_value()) {
    if (is_csv) return OpenCsv(*data.test_path, columns);
    return OpenTestIn(data, *data.test_path, /*or_training=*/true);
  }
  if (is_csv) {
    const std::filesystem::path training(data.path);
    const std::string beside = (training.parent_path() / "test.csv").string();
    if (training.filename() == "test.csv" || !Exists(beside)) return SourcePtr();
    return OpenCsv(beside, columns);
  }
  const bool has_test = data.dataset == DatasetKind::kNpy
                            ? Exists(NpyIn(data.path, "_test").features)
                            : FindIdx(data.path, "t10k").ok();
  if (!has_test) return SourcePtr();
  return OpenTestIn(data, data.path, /*or_training=*/false);
}

absl::StatusOr<SharedDataset> ReadDataset(const DataRequest& request, RowSource& source,
                                          const LabelColumn& labels,
                                          std::span<const uint32_t> rows) {
  Dataset::Contents contents;
  contents.normalization = request.data.normalization;
  contents.example_shape = source.example_shape();
  contents.target_size = labels.value_count();
  if (labels.has_classes()) {
    contents.classes.reserve(rows.size());
    for (const uint32_t row : rows) contents.classes.push_back(labels.classes()[row]);
  } else {
    contents.targets.reserve(rows.size() * contents.target_size);
    for (const uint32_t row : rows) {
      const float* from = labels.targets().data() + row * contents.target_size;
      contents.targets.insert(contents.targets.end(), from, from + contents.target_size);
    }
  }
  SKERRY_ASSIGN_OR_RETURN(contents.features, source.ReadRows(rows));
  return std::make_shared<const Dataset>(std::move(contents));
}

}  // namespace

absl::StatusOr<DataRequest> DataRequestFor(const JobConfig& job, const DataConfig& data) {
  SKERRY_ASSIGN_OR_RETURN(const ModelShapes shapes, InferShapes(job.model));
  DataConfig of_job = data;
  of_job.normalization = job.data.normalization;
  return DataRequest{
      .data = std::move(of_job),
      .labels = {.loss = job.training.loss, .output_count = ElementCount(shapes.output)},
      .input = shapes.input,
      .seed = job.seed};
}

absl::StatusOr<HostedData> LoadHostedNodes(const DataRequest& request, size_t node_count,
                                           std::span<const uint32_t> hosted) {
  const PartitionConfig& config = request.data.partition;
  const bool is_by_column = config.scheme == PartitionScheme::kColumn;
  if (is_by_column && request.data.dataset != DatasetKind::kCsv) {
    return absl::InvalidArgumentError("data.partition.scheme column needs a csv data set");
  }
  if (config.scheme == PartitionScheme::kDirichlet && request.labels.loss == LossName::kMse) {
    return absl::InvalidArgumentError(
        "data.partition.scheme dirichlet needs classes; with loss mse use iid, shards or column");
  }
  SKERRY_ASSIGN_OR_RETURN(SourcePtr source,
                          OpenTraining(request.data, is_by_column ? CsvColumns::Need::kRequired
                                                                  : CsvColumns::Need::kOptional));
  SKERRY_RETURN_IF_ERROR(CheckShape(*source, request));
  SKERRY_ASSIGN_OR_RETURN(const LabelledRows labelled, source->ReadLabels(request.labels));
  const std::vector<uint32_t> keys = is_by_column ? labelled.group_of_row : labelled.labels.Keys();
  const std::vector<uint32_t> chosen =
      ChooseRows(keys.size(), request.data.examples_max, request.seed);
  auto partition = MakePartition({.keys = keys,
                                  .rows = chosen,
                                  .node_count = node_count,
                                  .config = config,
                                  .seed = request.seed});
  if (!partition.ok()) return Annotate(partition.status(), request.data.path);

  std::vector<uint32_t> kept;
  for (const uint32_t node : hosted) {
    SKERRY_ASSERT(node < node_count);
    const auto rows = partition->rows(node);
    kept.insert(kept.end(), rows.begin(), rows.end());
  }
  std::sort(kept.begin(), kept.end());
  std::vector<uint32_t> rows;
  std::vector<uint32_t> ends;
  for (const uint32_t node : hosted) {
    for (const uint32_t row : partition->rows(node)) {
      const auto found = std::lower_bound(kept.begin(), kept.end(), row);
      rows.push_back(static_cast<uint32_t>(found - kept.begin()));
    }
    ends.push_back(static_cast<uint32_t>(rows.size()));
  }
  SKERRY_ASSIGN_OR_RETURN(SharedDataset dataset,
                          ReadDataset(request, *source, labelled.labels, kept));
  return HostedData{std::move(dataset), Partition(std::move(rows), std::move(ends))};
}

absl::StatusOr<SharedDataset> LoadTrainingSet(const DataRequest& request) {
  SKERRY_ASSIGN_OR_RETURN(SourcePtr source,
                          OpenTraining(request.data, CsvColumns::Need::kOptional));
  SKERRY_RETURN_IF_ERROR(CheckShape(*source, request));
  SKERRY_ASSIGN_OR_RETURN(const LabelledRows labelled, source->ReadLabels(request.labels));
  return ReadDataset(
      request, *source, labelled.labels,
      ChooseRows(labelled.labels.row_count(), request.data.examples_max, request.seed));
}

absl::StatusOr<SharedDataset> LoadTestSet(const DataRequest& request) {
  SKERRY_ASSIGN_OR_RETURN(SourcePtr source, OpenTest(request.data));
  if (source == nullptr) return SharedDataset();
  SKERRY_RETURN_IF_ERROR(CheckShape(*source, request));
  SKERRY_ASSIGN_OR_RETURN(const LabelledRows labelled, source->ReadLabels(request.labels));
  return ReadDataset(request, *source, labelled.labels,
                     ChooseRows(labelled.labels.row_count(), 0, 0));
}

}  // namespace skerry
