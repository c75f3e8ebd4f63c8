#include "common/privacy/loss_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

#include "common/base/status.h"

namespace skerry {
namespace {

// Nodes in -1..1 and weights of Gauss and Legendre's rules.
struct Node {
  double at;
  double weight;
};
constexpr std::array<Node, 3> kThreeNodes = {
    {{-0.7745966692414834, 5.0 / 9.0}, {0.0, 8.0 / 9.0}, {0.7745966692414834, 5.0 / 9.0}}};
constexpr std::array<Node, 5> kFiveNodes = {{{-0.9061798459386640, 0.2369268850561891},
                                             {-0.5384693101056831, 0.4786286704993665},
                                             {0.0, 0.5688888888888889},
                                             {0.5384693101056831, 0.4786286704993665},
                                             {0.9061798459386640, 0.2369268850561891}}};

// What the cells around the grid points hold: P's mass, and by how much it exceeds Q's mass times
// exp(loss of the grid point), which is what moving it onto the grid has to correct.
struct Cells {
  std::vector<double> mass;
  std::vector<double> excess;
};

class GridBuilder {
 public:
  GridBuilder(const LossPair& pair, double spacing, double tail_mass)
      : pair_(pair),
        spacing_(spacing),
        low_(pair.LowerPoint(tail_mass)),
        high_(pair.UpperPoint(tail_mass)) {
    grid_.spacing = spacing;
    // A hair below, so that rounding does not put the bound itself below its grid point.
    grid_.origin = pair.LossOfBound(spacing) - 1e-6 * spacing;
    // One point to spare on either side, where corrections of the outermost cells go.
    grid_.first = FloorIndex(pair.Loss(low_)) - 1;
    const auto size = static_cast<size_t>(FloorIndex(pair.Loss(high_)) + 3 - grid_.first);
    grid_.upper.assign(size, 0.0);
    cells_.mass.assign(size, 0.0);
    cells_.excess.assign(size, 0.0);
  }

  LossGrid Build() {
    const double half = spacing_ / 2.0;
    const auto begin = static_cast<int64_t>(std::floor((pair_.Loss(low_) - grid_.origin) / half));
    const auto end = static_cast<int64_t>(std::floor((pair_.Loss(high_) - grid_.origin) / half));
    double left = low_;
    for (int64_t i = begin; i <= end; ++i) {
      const double right =
          std::min(high_, pair_.Position(grid_.origin + static_cast<double>(i + 1) * half));
      if (right > left) {
        AddHalfCell(i, left, right);
        left = right;
      }
    }
    // The mass cut off below may count as if its loss were larger, that above as infinite.
    grid_.upper[Slot(FloorIndex(pair_.Loss(low_)) + 1)] += pair_.LowerTail(low_);
    grid_.infinite_mass = pair_.UpperTail(high_);
    MoveOntoGrid();
    return std::move(grid_);
  }

 private:
  int64_t FloorIndex(double loss) const {
    return static_cast<int64_t>(std::floor((loss - grid_.origin) / spacing_));
  }

  size_t Slot(int64_t index) const { return static_cast<size_t>(index - grid_.first); }

  // Adds what lies between x = left and x = right, all of it in the half cell `half_index`.
  void AddHalfCell(int64_t half_index, double left, double right) {
    const double width = right - left;
    const double sigma = pair_.sigma();
    // The integrands are a normal density times functions of the loss, which is analytic within
    // pi sigma^2 of the real line; on such panels five nodes err by less than 1e-10 out to 14
    // sigma, and three do so on panels an eighth as wide.
    const double panel = std::min(sigma / 8.0, sigma * sigma / 2.0);
    if (width <= panel / 8.0) {
      for (const Node& node : kThreeNodes) AddNode(half_index, left, width, node);
      return;
    }
    const auto panels = static_cast<int>(std::ceil(width / panel));
    for (int i = 0; i < panels; ++i) {
      const double begin = left + width * i / panels;
      for (const Node& node : kFiveNodes) AddNode(half_index, begin, width / panels, node);
    }
  }

  void AddNode(int64_t half_index, double begin, double width, const Node& node) {
    const double x = begin + width * 0.5 * (1.0 + node.at);
    const double mass = std::exp(pair_.LogDensity(x)) * width * 0.5 * node.weight;
    const double loss = pair_.Loss(x) - grid_.origin;

    // Connect-the-dots: shares a, b of the grid points below and above with a + b = mass and
    // a exp(-below) + b exp(-above) = mass exp(-loss).
    const int64_t below = half_index >> 1;
    const double above_below =
        std::clamp(loss - static_cast<double>(below) * spacing_, 0.0, spacing_);
    const double share = std::expm1(-above_below) / std::expm1(-spacing_);
    grid_.upper[Slot(below)] += mass * (1.0 - share);
    grid_.upper[Slot(below + 1)] += mass * share;

    const int64_t nearest = (half_index + 1) >> 1;
    const double offset =
        std::clamp(loss - static_cast<double>(nearest) * spacing_, -spacing_ / 2.0, spacing_ / 2.0);
    cells_.mass[Slot(nearest)] += mass;
    cells_.excess[Slot(nearest)] += -std::expm1(-offset) * mass;
  }

  // Tangents of delta(gamma), gamma = exp(epsilon), at the borders of the cells: T_i, between cells
  // i - 1 and i, is the sum over the cells from i on of (P's mass - gamma * Q's mass). The polygon
  // through min(T_i, T_{i+1})(gamma_i) at the grid points i lies below T_{i+1} between i and i + 1,
  // hence below delta. At gamma_i the two tangents differ by the excess of cell i, and the
  // polygon's changes of slope are the masses of Q.
  void MoveOntoGrid() {
    const size_t top = MergeTop();
    const std::vector<double>& excess = cells_.excess;
    const double up = 1.0 / std::expm1(spacing_);      // 1 / (gamma_{i+1} / gamma_i - 1)
    const double down = -1.0 / std::expm1(-spacing_);  // 1 / (1 - gamma_{i-1} / gamma_i)
    grid_.lower.assign(excess.size(), 0.0);
    for (size_t i = 0; i <= top; ++i) {
      double mass = cells_.mass[i] - excess[i];
      mass += excess[i] > 0.0 ? excess[i] * down : -excess[i] * up;
      if (i < top && excess[i + 1] > 0.0) mass -= excess[i + 1] * up;
      if (i > 0 && excess[i - 1] < 0.0) mass += excess[i - 1] * down;
      grid_.lower[i] = mass;
    }
    MakeConvex(top);
  }

  // The polygon must not end below zero, so the cells from the first i with T_i(gamma_i) < 0 on
  // become one with the cell below. Returns the index of the last cell that is left.
  size_t MergeTop() {
    const size_t size = cells_.mass.size();
    std::vector<double> tangent(size);  // T_i(gamma_i)
    std::vector<double> q_mass(size);   // gamma_i * Q's mass in the cells from i on
    double tangent_above = 0.0;
    double q_above = 0.0;
    for (size_t i = size; i-- > 0;) {
      tangent[i] = cells_.excess[i] + tangent_above - std::expm1(-spacing_) * q_above;
      q_mass[i] = cells_.mass[i] - cells_.excess[i] + std::exp(-spacing_) * q_above;
      tangent_above = tangent[i];
      q_above = q_mass[i];
    }
    const auto negative =
        std::find_if(tangent.begin(), tangent.end(), [](double value) { return value < 0.0; });
    if (negative == tangent.begin()) {
      cells_.mass.assign(size, 0.0);
      cells_.excess.assign(size, 0.0);
      return 0;
    }
    const auto top = static_cast<size_t>(negative - tangent.begin()) - 1;
    cells_.excess[top] = tangent[top];
    cells_.mass[top] = q_mass[top] + tangent[top];
    return top;
  }

  // Replaces the polygon by the convex one below it: a corner of negative mass is cut off by the
  // chord between its neighbours, which divides the mass among them as connect-the-dots does. Left
  // of the first corner the chord goes to gamma = 0, where P has no mass.
  void MakeConvex(size_t top) {
    std::vector<double>& mass = grid_.lower;
    std::vector<size_t> corners;
    for (size_t i = 0; i <= top; ++i) {
      if (mass[i] >= 0.0) {
        corners.push_back(i);
        continue;
      }
      if (i == top) {
        mass[i] = 0.0;  // a rounding error, since the polygon ends at zero from above
        continue;
      }
      CutOff(i, i + 1, corners);
      while (!corners.empty() && mass[corners.back()] < 0.0) {
        const size_t corner = corners.back();
        corners.pop_back();
        CutOff(corner, i + 1, corners);
      }
    }
  }

  void CutOff(size_t corner, size_t right, const std::vector<size_t>& corners) {
    std::vector<double>& mass = grid_.lower;
    double share = 1.0;
    if (!corners.empty()) {
      const size_t left = corners.back();
      share = std::expm1(-spacing_ * static_cast<double>(corner - left)) /
              std::expm1(-spacing_ * static_cast<double>(right - left));
      mass[left] += mass[corner] * (1.0 - share);
    }
    mass[right] += mass[corner] * share;
    mass[corner] = 0.0;
  }

  const LossPair& pair_;
  double spacing_;
  double low_;
  double high_;
  LossGrid grid_;
  Cells cells_;
};

}  // namespace

LossGrid MakeLossGrid(const LossPair& pair, double spacing, double tail_mass) {
  SKERRY_ASSERT(spacing > 0.0);
  return GridBuilder(pair, spacing, tail_mass).Build();
}

double GridPoints(const LossPair& pair, double spacing, double tail_mass) {
  return (pair.Loss(pair.UpperPoint(tail_mass)) - pair.Loss(pair.LowerPoint(tail_mass))) / spacing +
         3.0;
}

}  // namespace skerry
