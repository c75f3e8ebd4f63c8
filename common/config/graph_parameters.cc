#include "common/config/graph_parameters.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "common/base/status.h"
#include "common/config/secagg_rules.h"

namespace skerry {
namespace {

// Fractions are written in decimal: 0.29 of 100 is 28.999999999999996 in binary and means 29. The
// same value as in Google's rule.
constexpr double kFractionSlack = 1e-14;
// The sum of a fraction and twice another is a few units in the last place off.
constexpr double kSumSlack = 1e-12;
// Fractions of corrupt and lost nodes that together leave too few others.
constexpr double kBadFractionMax = 0.9;
// std::lgamma at a million is 1e7, exact to a few units in the last place (2e-9). Probabilities are
// taken to be larger by more than that, so an error never weakens a graph.
constexpr double kLogError = 1e-8;
// Terms of a tail below its bound by this factor (e^-60) do not change whether it is met.
constexpr double kNegligible = 60.0;

int64_t CountOf(double fraction, int64_t nodes) {
  return static_cast<int64_t>(std::floor((fraction + kFractionSlack) * static_cast<double>(nodes)));
}

double LogFactorial(int64_t n) { return std::lgamma(static_cast<double>(n) + 1.0); }

double LogChoose(int64_t n, int64_t k) {
  return LogFactorial(n) - LogFactorial(k) - LogFactorial(n - k);
}

// How many of `draws` nodes, drawn without putting back, are among the `marked` of all.
struct Hypergeometric {
  int64_t nodes = 0;
  int64_t marked = 0;
  int64_t draws = 0;

  int64_t min() const { return std::max<int64_t>(0, draws - (nodes - marked)); }
  int64_t max() const { return std::min(draws, marked); }

  double LogMass(int64_t x) const {
    return LogChoose(marked, x) + LogChoose(nodes - marked, draws - x) - LogChoose(nodes, draws);
  }

  // The smallest x with P[X > x] <= exp(log_bound).
  int64_t UpperQuantile(double log_bound) const {
    const double bound = log_bound - kLogError;
    // Masses fall beyond the mode, so where they begin to matter can be bisected.
    int64_t x = std::clamp((draws + 1) * (marked + 1) / (nodes + 2), min(), max());
    for (int64_t negligible = max() + 1; x + 1 < negligible;) {
      const int64_t middle = x + (negligible - x) / 2;
      (LogMass(middle) < bound - kNegligible ? negligible : x) = middle;
    }
    // In units of the bound, each mass from the one above it.
    double mass = std::exp(LogMass(x) - bound);
    double tail = 0.0;  // P[X > x]
    for (; x > min(); --x) {
      tail += mass;
      if (tail > 1.0) break;
      mass *= static_cast<double>(x) / static_cast<double>(marked - x + 1) *
              static_cast<double>(nodes - marked - draws + x) / static_cast<double>(draws - x + 1);
    }
    return x;
  }

  // The largest x with P[X < x] <= exp(log_bound): the others are those not marked.
  int64_t LowerQuantile(double log_bound) const {
    return draws - Hypergeometric{nodes, nodes - marked, draws}.UpperQuantile(log_bound);
  }
};

absl::Status CheckNumbers(const GraphRequirements& wanted) {
  if (wanted.nodes < kSessionNodesMin || wanted.nodes > kGraphNodesMax) {
    return absl::InvalidArgumentError(fmt::format("nodes must be {}..{}, got {}", kSessionNodesMin,
                                                  kGraphNodesMax, wanted.nodes));
  }
  const auto is_fraction = [](double value) { return value >= 0.0 && value < 1.0; };
  if (!is_fraction(wanted.corrupt) || !is_fraction(wanted.dropout)) {
    return absl::InvalidArgumentError(
        fmt::format("the fractions of corrupt and of lost nodes must each be 0 or more and below "
                    "1, got {} and {}",
                    wanted.corrupt, wanted.dropout));
  }
  const bool is_malicious = wanted.adversary == Adversary::kSemiMalicious;
  const double bad = wanted.corrupt + wanted.dropout * (is_malicious ? 2.0 : 1.0);
  if (bad > kBadFractionMax + kSumSlack) {
    return absl::FailedPreconditionError(
        fmt::format("too few nodes would be honest and stay: corrupt + {}dropout must be at most "
                    "{}, got {:.4g}",
                    is_malicious ? "2 x " : "", kBadFractionMax, bad));
  }
  return absl::OkStatus();
}

// The thresholds that one degree allows: from `lowest` to `highest`, none if that is lower.
struct Thresholds {
  int64_t lowest = 0;
  int64_t highest = 0;
};

class GraphFinder {
 public:
  explicit GraphFinder(const GraphRequirements& wanted)
      : wanted_(wanted),
        corrupt_(CountOf(wanted.corrupt, wanted.nodes)),
        lost_(CountOf(wanted.dropout, wanted.nodes)),
        // Either of two events may leak: the honest nodes fall apart, or a node has too many
        // corrupt neighbours. Each gets half of the probability.
        log_leak_(-(wanted.security_bits + 1) * std::log(2.0)),
        log_failure_(-wanted.failure_bits * std::log(2.0)),
        log_nodes_(std::log(static_cast<double>(wanted.nodes))) {}

  bool StaysConnected(int64_t degree) const {
    // A Harary graph falls apart only if degree/2 successive nodes are gone in each of two places
    // of the ring; there are n (n - degree - 1) / 2 such pairs of places.
    const int64_t bad = corrupt_ + lost_;
    const int64_t gaps = wanted_.nodes - degree - 1;
    if (degree > bad || gaps <= 0) return true;
    const double log_pairs = log_nodes_ + std::log(static_cast<double>(gaps)) - std::log(2.0);
    const double log_gone =
        LogChoose(wanted_.nodes - degree, bad - degree) - LogChoose(wanted_.nodes, bad);
    return log_pairs + log_gone < log_leak_ - kLogError;
  }

  Thresholds ThresholdsFor(int64_t degree) const {
    const int64_t corrupt_neighbours =
        Hypergeometric{wanted_.nodes, corrupt_, degree}.UpperQuantile(log_leak_ - log_nodes_);
    const int64_t staying_neighbours =
        Hypergeometric{wanted_.nodes, wanted_.nodes - lost_, degree}.LowerQuantile(log_failure_ -
                                                                                   log_nodes_);
    const int64_t lowest = wanted_.adversary == Adversary::kSemiMalicious
                               ? SessionThreshold(degree, corrupt_neighbours)
                               : corrupt_neighbours + 1;
    return {lowest, staying_neighbours};
  }

  std::optional<GraphParameters> Try(int64_t degree) const {
    if (!StaysConnected(degree)) return std::nullopt;
    const Thresholds thresholds = ThresholdsFor(degree);
    if (thresholds.lowest > thresholds.highest) return std::nullopt;
    // One share that opens a secret is no sharing. Google's rule raises it only here, so that with
    // some ten nodes, none corrupt, a second neighbour may be missing more often than asked.
    return GraphParameters{degree, std::max<int64_t>(thresholds.lowest, 2)};
  }

 private:
  GraphRequirements wanted_;
  int64_t corrupt_;
  int64_t lost_;
  double log_leak_;
  double log_failure_;
  double log_nodes_;
};

}  // namespace

absl::StatusOr<GraphParameters> FindGraphParameters(const GraphRequirements& wanted) {
  SKERRY_RETURN_IF_ERROR(CheckNumbers(wanted));
  const GraphFinder finder(wanted);
  const int64_t complete = wanted.nodes - 1;
  for (int64_t degree = 2; degree < complete; degree += 2) {
    if (const auto graph = finder.Try(degree)) return *graph;
  }
  if (const auto graph = finder.Try(complete)) return *graph;
  const Thresholds thresholds = finder.ThresholdsFor(complete);
  return absl::FailedPreconditionError(
      fmt::format("not even the complete graph of {} nodes is enough: {} shares must be needed to "
                  "open a secret and only {} can be counted on; more nodes, or fewer corrupt or "
                  "lost ones, would do",
                  wanted.nodes, thresholds.lowest, thresholds.highest));
}

}  // namespace skerry
