// A file that has grown past one purpose shows first by its length.
#include "tests/style/source_tree.h"

namespace skerry {
namespace {

TEST(FileSizeTest, SourcesStayWithinFiveHundredLinesAndHeadersWithinThreeHundred) {
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    const size_t limit = source.path.ends_with(".h") ? 300 : 500;
    EXPECT_LE(source.lines.size(), limit) << source.path;
  }
}

TEST(FileSizeTest, LinesStayWithinOneHundredColumns) {
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator", "tests"})) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      EXPECT_LE(source.lines[i].size(), 100u) << source.path << ":" << i + 1;
    }
  }
}

}  // namespace
}  // namespace skerry
