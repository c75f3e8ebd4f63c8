// Quality measures of predictions, computed exactly and without LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace skerry {

// Counts of a classifier with a fixed number of classes. Memory is linear in the classes.
class ClassCounts {
 public:
  explicit ClassCounts(size_t class_count);

  // Both below class_count.
  void Add(size_t predicted, size_t actual);

  uint64_t example_count() const { return example_count_; }
  uint64_t correct_count() const { return correct_count_; }
  // 0 without examples.
  double Accuracy() const;
  // 2 TP / (2 TP + FP + FN) of one class; 0 if it was neither predicted nor present.
  double F1(size_t class_index) const;
  // The mean of F1 over the classes that were predicted or present.
  double MacroF1() const;

 private:
  struct Counts {
    uint64_t true_positive = 0;
    uint64_t predicted = 0;
    uint64_t actual = 0;
  };
  std::vector<Counts> counts_;
  uint64_t example_count_ = 0;
  uint64_t correct_count_ = 0;
};

// Area under the ROC curve: the chance that a random positive scores higher than a random negative,
// ties counting one half (Mann and Whitney; Fawcett 2006, section 7). 0.5 if either is missing.
// `is_positive` has one entry a score; scores must not be NaN.
double AreaUnderRoc(std::span<const float> scores, const std::vector<bool>& is_positive);

// Position of the largest value, the first of several; `values` is not empty.
size_t ArgMax(std::span<const float> values);

}  // namespace skerry
