// One step's privacy loss on a grid, once never better for the attacker's victim than the truth and
// once never worse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/privacy/loss_pair.h"

namespace skerry {

// Masses at the losses origin + (first + i) * spacing, i = 0..size - 1.
//
// `upper` and `infinite_mass` (at loss +infinity) are connect-the-dots of Doroshenko, Ghazi,
// Kamath, Kumar and Manurangsi, "Connect the Dots: Tighter Discrete Approximations of Privacy Loss
// Distributions" (PETS 2022): the mass between two grid points is divided between them so that the
// masses of P and of Q are both kept. Its delta(epsilon) is exact on the grid and above the truth
// between.
//
// `lower` goes the other way: a polygon over exp(epsilon) with corners on the grid only, below
// tangents of the true delta, one for each interval. Its masses may sum to slightly less than 1.
//
// Where sampling leaves much mass at nearly one loss, `origin` is that loss, since the lower
// polygon could not have its corner there otherwise.
struct LossGrid {
  double spacing = 0.0;
  double origin = 0.0;
  int64_t first = 0;
  std::vector<double> upper;
  std::vector<double> lower;
  double infinite_mass = 0.0;

  double LossAt(size_t index) const {
    return origin + spacing * static_cast<double>(first + static_cast<int64_t>(index));
  }
};

// The pair's loss cut where it lies with a probability of less than `tail_mass` on either side;
// both approximations account for what is cut. spacing > 0.
LossGrid MakeLossGrid(const LossPair& pair, double spacing, double tail_mass);

// How many grid points MakeLossGrid would use.
double GridPoints(const LossPair& pair, double spacing, double tail_mass);

// Every mass is an integral by Gauss and Legendre's rule whose relative error is below this.
inline constexpr double kMassError = 1e-9;

}  // namespace skerry
