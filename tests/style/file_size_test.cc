// A file that has grown past one purpose shows first by its length.
#include <algorithm>
#include <string>

#include "tests/style/source_tree.h"

namespace skerry {
namespace {

// Characters of UTF-8 text: bytes that do not continue one.
ptrdiff_t ColumnsOf(const std::string& line) {
  return std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

TEST(FileSizeTest, SourcesStayWithinFiveHundredLinesAndHeadersWithinThreeHundred) {
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator"})) {
    const size_t limit = source.path.ends_with(".h") ? 300 : 500;
    EXPECT_LE(source.lines.size(), limit) << source.path;
  }
}

TEST(FileSizeTest, LinesStayWithinOneHundredColumns) {
  for (const SourceFile& source : ReadSources({"common", "agent", "coordinator", "tests"})) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      EXPECT_LE(ColumnsOf(source.lines[i]), 100) << source.path << ":" << i + 1;
    }
  }
}

}  // namespace
}  // namespace skerry
