#include "common/tensor/safetensors.h"

#include <cstring>
#include <numeric>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ParameterVector SmallModel() {
  ParameterVector model(*ParameterLayout::Create({{"w", {2, 3}}, {"b", {2}}}));
  std::iota(model.values().begin(), model.values().end(), 0.5f);
  return model;
}

// A file made by hand from the format's description, independent of the writer.
std::string FileOf(const std::string& header, const std::vector<float>& data) {
  std::string bytes(8, '\0');
  StoreLittleEndian<uint64_t>(header.size(), bytes.data());
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(data.data()), data.size() * sizeof(float));
  return bytes;
}

class SafetensorsTest : public testing::Test {
 protected:
  absl::StatusOr<SafetensorsFile> ReadBytes(const std::string& bytes) {
    EXPECT_OK(WriteFileAtomically(folder_ / "x.safetensors", bytes));
    return ReadSafetensors(folder_ / "x.safetensors");
  }
  TemporaryDirectory folder_;
};

TEST_F(SafetensorsTest, ModelAndMetadataAreReadBackBitByBit) {
  const ParameterVector model = SmallModel();
  const std::string path = folder_ / "model.safetensors";

  ASSERT_OK(WriteSafetensors(path, model, {{"round", "7"}}));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file, ReadSafetensors(path, model.layout()));
  EXPECT_EQ(0, std::memcmp(file.parameters.values().data(), model.values().data(),
                           model.values().size_bytes()));
  EXPECT_EQ(file.metadata.at("round"), "7");
}

TEST_F(SafetensorsTest, DataSectionIsExactlyTheFlatBuffer) {
  const ParameterVector model = SmallModel();
  ASSERT_OK(WriteSafetensors(folder_ / "m", model));

  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(folder_ / "m", 1 << 20));

  const auto header_bytes = LoadLittleEndian<uint64_t>(bytes.data());
  ASSERT_EQ(bytes.size(), 8 + header_bytes + model.values().size_bytes());
  EXPECT_EQ(header_bytes % 8, 0u);
  EXPECT_EQ(0, std::memcmp(bytes.data() + 8 + header_bytes, model.values().data(),
                           model.values().size_bytes()));
}

TEST_F(SafetensorsTest, TensorsOfAHandMadeFileComeInTheOrderOfTheirData) {
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                             R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file, ReadBytes(FileOf(header, {1, 2, 3})));

  EXPECT_EQ(file.parameters.layout()->tensors()[0].name, "a");
  EXPECT_THAT(file.parameters.tensor(1), ElementsAre(3.0f));
}

TEST_F(SafetensorsTest, LayoutIsFilledByNameWhateverTheFilesOrder) {
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  ASSERT_OK(WriteFileAtomically(folder_ / "m", FileOf(header, {3, 1, 2})));
  ASSERT_OK_AND_ASSIGN(const auto layout, ParameterLayout::Create({{"a", {2}}, {"b", {1}}}));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file, ReadSafetensors(folder_ / "m", layout));

  EXPECT_THAT(file.parameters.values(), ElementsAre(1.0f, 2.0f, 3.0f));
}

TEST_F(SafetensorsTest, EveryDifferenceFromTheLayoutIsNamed) {
  ASSERT_OK(WriteSafetensors(folder_ / "m", SmallModel()));
  ASSERT_OK_AND_ASSIGN(const auto layout, ParameterLayout::Create({{"w", {3, 2}}, {"c", {2}}}));

  EXPECT_THAT(ReadSafetensors(folder_ / "m", layout),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("w must have shape [3, 2], got [2, 3]"),
                                      HasSubstr("c is missing"), HasSubstr("b is not a parameter"),
                                      HasSubstr(folder_ / "m"))));
}

TEST_F(SafetensorsTest, EveryTruncationIsAnError) {
  ASSERT_OK(WriteSafetensors(folder_ / "m", SmallModel()));
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(folder_ / "m", 1 << 20));

  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ReadBytes(bytes.substr(0, size)).ok()) << size;
  }
}

TEST_F(SafetensorsTest, HostileHeadersAreRefused) {
  const auto entry = [](const std::string& text) { return FileOf(text, {1, 2, 3}); };
  const std::vector<std::string> headers = {
      "[]",
      "{",
      "",
      R"({"a":1})",
      R"({"a":{"dtype":"F32","shape":[2]}})",
      R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
      R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
      R"({"__metadata__":{"x":1}})",
  };
  for (const std::string& header : headers) {
    EXPECT_THAT(ReadBytes(entry(header)), StatusIs(absl::StatusCode::kInvalidArgument)) << header;
  }
}

TEST_F(SafetensorsTest, HeaderLengthBeyondTheFileIsRefusedBeforeAllocating) {
  std::string bytes(8, '\0');
  StoreLittleEndian<uint64_t>(uint64_t{1} << 62, bytes.data());

  EXPECT_THAT(ReadBytes(bytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("exceeds the file")));
}

TEST_F(SafetensorsTest, MissingFileIsNamed) {
  EXPECT_THAT(ReadSafetensors(folder_ / "none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder_ / "none")));
}

}  // namespace
}  // namespace skerry
