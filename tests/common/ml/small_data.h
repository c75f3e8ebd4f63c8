// Made-up data sets and jobs that train in milliseconds.
#pragma once

#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/config/job_config.h"
#include "common/config/model_shapes.h"
#include "common/ml/dataset.h"

namespace skerry {

inline JobConfig LayersJob(std::vector<int64_t> input, std::vector<LayerConfig> layers,
                           LossName loss = LossName::kCrossEntropy) {
  JobConfig job;
  job.model.name = ModelName::kLayers;
  job.model.input = std::move(input);
  job.model.layers = std::move(layers);
  job.training.loss = loss;
  job.training.batch_size = 8;
  return job;
}

// Random rows for the job: normal features (row numbers below 5 for an embedding) and labels of
// the kind of its loss.
inline SharedDataset RandomData(const JobConfig& job, size_t row_count, uint64_t seed = 1) {
  Rng rng(seed);
  const ModelShapes shapes = *InferShapes(job.model);
  const bool is_embedded = LayersOf(job.model)[0].kind == LayerKind::kEmbedding;
  Dataset::Contents contents;
  contents.example_shape = shapes.input;
  size_t value_count = row_count;
  for (const int64_t size : shapes.input) value_count *= static_cast<size_t>(size);
  std::vector<float> values(value_count);
  for (float& value : values) {
    value = static_cast<float>(is_embedded ? static_cast<double>(rng.Below(5)) : rng.Normal());
  }
  contents.features = std::move(values);
  const auto output_size = static_cast<uint64_t>(shapes.output[0]);
  if (job.training.loss == LossName::kCrossEntropy) {
    for (size_t i = 0; i < row_count; ++i) {
      contents.classes.push_back(static_cast<uint32_t>(rng.Below(output_size)));
    }
  } else {
    contents.target_size = output_size;
    for (size_t i = 0; i < row_count * output_size; ++i) {
      contents.targets.push_back(static_cast<float>(
          job.training.loss == LossName::kBce ? static_cast<double>(rng.Below(2)) : rng.Normal()));
    }
  }
  return std::make_shared<const Dataset>(std::move(contents));
}

inline std::vector<uint32_t> AllRows(const Dataset& dataset) {
  std::vector<uint32_t> rows(dataset.row_count());
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

}  // namespace skerry
