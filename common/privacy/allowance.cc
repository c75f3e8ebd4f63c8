#include "common/privacy/allowance.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/status.h"
#include "common/privacy/accountant.h"

namespace skerry {
namespace {

// Everything after `count` more releases, at least 1.
std::vector<PrivacyEvent> EventsAfter(const AllowanceQuestion& question, int64_t count) {
  std::vector<SpentEvent> all = question.spent;
  SpentEvent releases = question.release;
  releases.event.steps *= count;
  const auto same = std::find_if(all.begin(), all.end(), [&](const SpentEvent& one) {
    return IsSameMechanism(one, releases);
  });
  if (same == all.end()) {
    all.push_back(releases);
  } else {
    same->event.steps += releases.event.steps;
  }
  return UnderOneRelation(all);
}

// A bound on epsilon in well under a millisecond, a tenth or so above the truth.
double QuickBound(const AllowanceQuestion& question, int64_t count) {
  return EpsilonFor(EventsAfter(question, count), question.delta, Accountant::kRdp)
      .value_or(std::numeric_limits<double>::infinity());
}

// A tight one, in about a second if there is sampling.
absl::StatusOr<double> TightBound(const AllowanceQuestion& question, int64_t count) {
  const std::vector<PrivacyEvent> events = EventsAfter(question, count);
  const bool is_sampled = std::any_of(events.begin(), events.end(), [](const PrivacyEvent& event) {
    return event.sampling.amplifying_rate() != 1.0;
  });
  return EpsilonFor(events, question.delta, is_sampled ? Accountant::kPld : Accountant::kAnalytic);
}

// Of what may come, so much at most has a number of steps that accountants take.
int64_t CountOfSteps(const AllowanceQuestion& question) {
  int64_t left = kStepsMax;
  for (const SpentEvent& spent : question.spent) left -= std::min(spent.event.steps, left);
  return left / question.release.event.steps;
}

// The largest count below `end` whose quick bound is at most `epsilon`; 0 if none is.
int64_t CountByQuickBound(const AllowanceQuestion& question, double epsilon, int64_t end) {
  int64_t fits = 0;
  while (end - fits > 1) {
    const int64_t middle = fits + (end - fits) / 2;
    (QuickBound(question, middle) > epsilon ? end : fits) = middle;
  }
  return fits;
}

// So many guesses are made before the rest is halved.
constexpr int kGuessesMax = 6;

}  // namespace

absl::StatusOr<Allowance> CountReleases(const AllowanceQuestion& question) {
  SKERRY_ASSERT(question.count_max > 0);
  SKERRY_RETURN_IF_ERROR(CheckEvents({&question.release.event, 1}));
  SKERRY_RETURN_IF_ERROR(CheckDelta(question.delta));
  const double epsilon_max = question.epsilon_max;
  // `fits` releases are proved to fit, `end` do not.
  int64_t end = std::min(question.count_max, CountOfSteps(question)) + 1;
  int64_t fits = CountByQuickBound(question, epsilon_max, end);
  double epsilon_beyond = std::numeric_limits<double>::infinity();
  // The two bounds differ by a factor that hardly depends on the count, so after the first tight
  // one the quick one shows the place, and the next two confirm it.
  double ratio = 0.95;
  for (int guess_count = 0; end - fits > 1; ++guess_count) {
    const int64_t guess = guess_count < kGuessesMax
                              ? CountByQuickBound(question, epsilon_max / ratio, end)
                              : fits + (end - fits) / 2;
    const int64_t count = std::clamp(guess, fits + 1, end - 1);
    SKERRY_ASSIGN_OR_RETURN(const double epsilon, TightBound(question, count));
    const double quick = QuickBound(question, count);
    if (epsilon > 0.0 && std::isfinite(quick)) ratio = epsilon / quick;
    if (epsilon > epsilon_max) {
      end = count;
      epsilon_beyond = epsilon;
    } else {
      fits = count;
    }
  }
  if (fits == question.count_max) return Allowance{.count = fits};
  return Allowance{.count = fits, .epsilon_beyond = epsilon_beyond};
}

}  // namespace skerry
