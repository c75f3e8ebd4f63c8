// Takes the tensors that a model's layers ask for out of its files, checks their shapes, formats
// and numbers, and keeps every problem, so that a folder is mended in one go. In the end it knows
// which tensors nobody asked for.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "agent/inference/matrix.h"
#include "agent/inference/model_config.h"
#include "agent/inference/weight_files.h"

namespace skerry {

class WeightReader {
 public:
  // Both must outlive it and the matrices.
  WeightReader(const WeightFiles& files, const LanguageModelConfig& config)
      : files_(files), config_(config) {}

  // A weight of a linear layer. An F8_E4M3 one takes its scales with it.
  Matrix Weight(const std::string& name, int64_t rows, int64_t columns);
  // Norms and biases, as float32.
  std::vector<float> Vector(const std::string& name, int64_t size);

  // Tensors under these prefixes need not be asked for.
  void Ignore(const std::string& prefix) { ignored_.push_back(prefix); }
  // kInvalidArgument with the first problems: tensors that are missing, misshapen, of another
  // format or not finite, and those that do not belong to the model.
  absl::Status Finish() const;

  // The float32 scales of F8_E4M3 weights, to which matrices refer.
  std::deque<std::vector<float>> TakeScales() { return std::move(scales_); }

 private:
  const StoredTensor* Find(const std::string& name, const std::vector<int64_t>& sizes);
  void Report(const std::string& problem);
  BlockScales Scales(const std::string& name, int64_t rows, int64_t columns);

  const WeightFiles& files_;
  const LanguageModelConfig& config_;
  std::set<std::string> used_;
  std::vector<std::string> ignored_;
  std::vector<std::string> problems_;
  size_t problem_count_ = 0;
  std::deque<std::vector<float>> scales_;
};

}  // namespace skerry
