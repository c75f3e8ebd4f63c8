// `skerry-coordinator secagg`: how sparse may the graph be along which a large group shares masks?
#pragma once

#include "common/config/graph_parameters.h"

namespace skerry {

struct SecAggCommandOptions {
  GraphRequirements wanted;
  bool is_json = false;
};

// Prints degree and threshold on stdout and returns 0, or why there are none on stderr and returns
// 2: numbers out of range, or more bad nodes than any graph bears.
int SecAggCommand(const SecAggCommandOptions& options);

}  // namespace skerry
