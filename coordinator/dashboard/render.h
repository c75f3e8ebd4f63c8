// The live view as text: a pure function of what is shown and where.
#pragma once

#include <cstddef>
#include <string>

#include "coordinator/dashboard/run_view.h"

namespace skerry {

struct RenderOptions {
  size_t width = 80;   // columns; lines stay below it, so that none wraps
  size_t height = 24;  // rows of the terminal; the view leaves room above itself
  bool has_colour = true;
  bool has_unicode = true;  // false: plain ASCII
};

// At most min(20, height - 2) lines, each ended by '\n'.
std::string Render(const RunView& view, const RenderOptions& options);

}  // namespace skerry
