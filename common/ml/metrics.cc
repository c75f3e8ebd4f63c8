#include "common/ml/metrics.h"

#include <algorithm>
#include <numeric>

#include "common/base/status.h"

namespace skerry {

ClassCounts::ClassCounts(size_t class_count) : counts_(class_count) {}

void ClassCounts::Add(size_t predicted, size_t actual) {
  SKERRY_ASSERT(predicted < counts_.size() && actual < counts_.size());
  ++example_count_;
  ++counts_[predicted].predicted;
  ++counts_[actual].actual;
  if (predicted == actual) {
    ++correct_count_;
    ++counts_[actual].true_positive;
  }
}

double ClassCounts::Accuracy() const {
  if (example_count_ == 0) return 0.0;
  return static_cast<double>(correct_count_) / static_cast<double>(example_count_);
}

double ClassCounts::F1(size_t class_index) const {
  const Counts& counts = counts_[class_index];
  const uint64_t sum = counts.predicted + counts.actual;  // = 2 TP + FP + FN
  if (sum == 0) return 0.0;
  return 2.0 * static_cast<double>(counts.true_positive) / static_cast<double>(sum);
}

double ClassCounts::MacroF1() const {
  double sum = 0.0;
  size_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i].predicted + counts_[i].actual == 0) continue;
    sum += F1(i);
    ++seen;
  }
  return seen == 0 ? 0.0 : sum / static_cast<double>(seen);
}

double AreaUnderRoc(std::span<const float> scores, const std::vector<bool>& is_positive) {
  SKERRY_ASSERT(scores.size() == is_positive.size());
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  // Walks the scores upwards; every positive beats the negatives below it and half of those beside
  // it. Counted in halves, so that the sum is exact.
  uint64_t half_wins = 0;
  uint64_t negatives_below = 0;
  uint64_t positives = 0;
  for (size_t begin = 0; begin < order.size();) {
    uint64_t tied_positives = 0;
    uint64_t tied_negatives = 0;
    size_t end = begin;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) {
      ++(is_positive[order[end]] ? tied_positives : tied_negatives);
    }
    half_wins += tied_positives * (2 * negatives_below + tied_negatives);
    negatives_below += tied_negatives;
    positives += tied_positives;
    begin = end;
  }
  if (positives == 0 || negatives_below == 0) return 0.5;
  return static_cast<double>(half_wins) / 2.0 /
         (static_cast<double>(positives) * static_cast<double>(negatives_below));
}

size_t ArgMax(std::span<const float> values) {
  SKERRY_ASSERT(!values.empty());
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace skerry
