#include "coordinator/round/records.h"

#include <array>

namespace skerry {

std::string_view ParticipationName(Participation participation) {
  static constexpr std::array<std::string_view, kParticipationCount> kNames = {
      "invited", "tasked", "training", "uploading", "accepted", "failed", "cut", "surplus"};
  return kNames[static_cast<size_t>(participation)];
}

}  // namespace skerry
