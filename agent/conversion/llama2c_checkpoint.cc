#include "agent/conversion/llama2c_checkpoint.h"

#include <array>
#include <cmath>
#include <fstream>
#include <vector>

#include <fmt/format.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace skerry {
namespace {

constexpr uint64_t kHeaderBytes = 7 * sizeof(int32_t);
// "ak42", with which versions 1 and 2 begin.
constexpr int32_t kNewerMagic = 0x616b3432;
// Of any size in the header; larger ones mean that the file is something else.
constexpr int64_t kSizeMax = 1 << 24;

struct Tensor {
  std::string name;
  std::vector<int64_t> sizes;  // rows and columns, or one
  bool is_rotated = false;     // rows come in pairs of one head
};

// A tensor that the file holds for all layers, one after the other.
struct LayerTensor {
  std::string suffix;
  std::vector<int64_t> sizes;
  bool is_rotated = false;
};

std::vector<LayerTensor> LayerTensors(const Llama2cShape& shape) {
  const int64_t kv_dim = shape.kv_heads * shape.head_size();
  return {{"input_layernorm", {shape.dim}},
          {"self_attn.q_proj", {shape.dim, shape.dim}, true},
          {"self_attn.k_proj", {kv_dim, shape.dim}, true},
          {"self_attn.v_proj", {kv_dim, shape.dim}},
          {"self_attn.o_proj", {shape.dim, shape.dim}},
          {"post_attention_layernorm", {shape.dim}},
          {"mlp.gate_proj", {shape.hidden, shape.dim}},
          {"mlp.down_proj", {shape.dim, shape.hidden}},
          {"mlp.up_proj", {shape.hidden, shape.dim}}};
}

// Values of the tables of sines and cosines, which follow the last norm and which nobody needs.
int64_t RotationTableValues(const Llama2cShape& shape) {
  return shape.context * (shape.head_size() / 2) * 2;
}

std::string HeaderText(const std::array<int32_t, 7>& header) {
  return fmt::format("dim {}, hidden {}, layers {}, heads {}, kv_heads {}, vocab {}, seq {}",
                     header[0], header[1], header[2], header[3], header[4], header[5], header[6]);
}

absl::StatusOr<Llama2cShape> ShapeOf(const std::array<int32_t, 7>& header) {
  const auto bad = [&](std::string_view what) {
    return absl::InvalidArgumentError(fmt::format(
        "not a llama2.c checkpoint of version 0: {} (header: {})", what, HeaderText(header)));
  };
  if (header[0] == kNewerMagic) {
    return absl::InvalidArgumentError(
        fmt::format("a llama2.c checkpoint of version {}; only version 0 is read", header[1]));
  }
  Llama2cShape shape;
  shape.dim = header[0];
  shape.hidden = header[1];
  shape.layers = header[2];
  shape.heads = header[3];
  shape.kv_heads = header[4];
  shape.vocab = std::abs(int64_t{header[5]});
  shape.context = header[6];
  shape.has_own_classifier = header[5] < 0;
  for (const int64_t size : {shape.dim, shape.hidden, shape.layers, shape.heads, shape.kv_heads,
                             shape.vocab, shape.context}) {
    if (size < 1 || size > kSizeMax) return bad(fmt::format("sizes must be 1..{}", kSizeMax));
  }
  if (shape.dim % shape.heads != 0 || shape.head_size() % 2 != 0) {
    return bad("dim must be heads times an even number");
  }
  if (shape.heads % shape.kv_heads != 0) return bad("heads must be a multiple of kv_heads");
  return shape;
}

// In the order of the file, with the tables' place as an element without a name.
std::vector<Tensor> TensorsInFile(const Llama2cShape& shape) {
  std::vector<Tensor> tensors = {{"model.embed_tokens.weight", {shape.vocab, shape.dim}}};
  for (const LayerTensor& each : LayerTensors(shape)) {
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      tensors.push_back({fmt::format("model.layers.{}.{}.weight", layer, each.suffix), each.sizes,
                         each.is_rotated});
    }
  }
  tensors.push_back({"model.norm.weight", {shape.dim}});
  tensors.push_back({"", {RotationTableValues(shape)}});
  if (shape.has_own_classifier) tensors.push_back({"lm_head.weight", {shape.vocab, shape.dim}});
  return tensors;
}

// Of all that follows the header, without overflow: sizes are below 2^24, and of one layer no sum
// reaches 2^55, so only the number of layers must be watched.
absl::StatusOr<uint64_t> BytesExpected(const Llama2cShape& shape, uint64_t file_bytes) {
  uint64_t layer_values = 0;
  for (const LayerTensor& each : LayerTensors(shape)) {
    layer_values +=
        static_cast<uint64_t>(each.sizes[0] * (each.sizes.size() > 1 ? each.sizes[1] : 1));
  }
  const auto layers = static_cast<uint64_t>(shape.layers);
  if (layer_values > file_bytes / layers) {
    return absl::InvalidArgumentError(fmt::format("{} layers of {} values do not fit into {} bytes",
                                                  layers, layer_values, file_bytes));
  }
  const uint64_t embedding = static_cast<uint64_t>(shape.vocab * shape.dim);
  const uint64_t values = layers * layer_values + embedding * (shape.has_own_classifier ? 2 : 1) +
                          static_cast<uint64_t>(shape.dim + RotationTableValues(shape));
  return kHeaderBytes + values * sizeof(float);
}

absl::Status ReadValues(std::ifstream& file, std::span<float> values) {
  const auto bytes = static_cast<std::streamsize>(values.size_bytes());
  if (file.read(reinterpret_cast<char*>(values.data()), bytes)) return absl::OkStatus();
  return absl::DataLossError("the file cannot be read to its end");
}

// Row 2 i + r of a head becomes row r head_size / 2 + i, as `permute` in transformers'
// convert_llama_weights_to_hf.py has it.
std::vector<float> WithHalvesApart(std::span<const float> values, int64_t head_size,
                                   int64_t columns) {
  std::vector<float> result;
  result.reserve(values.size());
  const auto row = [&](int64_t index) {
    return values.subspan(static_cast<size_t>(index * columns), static_cast<size_t>(columns));
  };
  const int64_t rows = static_cast<int64_t>(values.size()) / columns;
  for (int64_t head = 0; head < rows; head += head_size) {
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t i = 0; i < head_size / 2; ++i) {
        const std::span<const float> from = row(head + 2 * i + half);
        result.insert(result.end(), from.begin(), from.end());
      }
    }
  }
  return result;
}

absl::StatusOr<Llama2cCheckpoint> Read(std::ifstream& file, uint64_t file_bytes) {
  std::array<int32_t, 7> header = {};
  if (file_bytes < kHeaderBytes || !file.read(reinterpret_cast<char*>(header.data()),
                                              static_cast<std::streamsize>(kHeaderBytes))) {
    return absl::InvalidArgumentError(fmt::format(
        "{} bytes are fewer than the {} of a llama2.c header", file_bytes, kHeaderBytes));
  }
  SKERRY_ASSIGN_OR_RETURN(const Llama2cShape shape, ShapeOf(header));
  SKERRY_ASSIGN_OR_RETURN(const uint64_t expected, BytesExpected(shape, file_bytes));
  if (file_bytes != expected) {
    return absl::InvalidArgumentError(
        fmt::format("the header asks for {} bytes, the file has {} (header: {})", expected,
                    file_bytes, HeaderText(header)));
  }

  const std::vector<Tensor> in_file = TensorsInFile(shape);
  std::vector<TensorShape> shapes;
  for (const Tensor& tensor : in_file) {
    if (!tensor.name.empty()) shapes.push_back({tensor.name, tensor.sizes});
  }
  SKERRY_ASSIGN_OR_RETURN(ParameterLayoutPtr layout, ParameterLayout::Create(std::move(shapes)));
  ParameterVector parameters(layout);
  size_t index = 0;
  for (const Tensor& tensor : in_file) {
    if (tensor.name.empty()) {
      file.seekg(tensor.sizes[0] * static_cast<int64_t>(sizeof(float)), std::ios::cur);
      continue;
    }
    const std::span<float> values = parameters.values().subspan(
        layout->offset(index), layout->tensors()[index].element_count());
    SKERRY_RETURN_IF_ERROR(ReadValues(file, values));
    for (const float value : values) {
      if (!std::isfinite(value)) {
        return absl::InvalidArgumentError(
            fmt::format("{} holds a value that is not finite", tensor.name));
      }
    }
    if (tensor.is_rotated) {
      const std::vector<float> apart = WithHalvesApart(values, shape.head_size(), shape.dim);
      std::copy(apart.begin(), apart.end(), values.begin());
    }
    ++index;
  }
  return Llama2cCheckpoint{shape, std::move(parameters)};
}

}  // namespace

absl::StatusOr<Llama2cCheckpoint> ReadLlama2cCheckpoint(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::NotFoundError(fmt::format("{}: cannot open the file", path));
  const auto file_bytes = static_cast<int64_t>(file.tellg());
  if (file_bytes < 0) return absl::InvalidArgumentError(fmt::format("{}: not a file", path));
  file.seekg(0);
  absl::StatusOr<Llama2cCheckpoint> checkpoint = Read(file, static_cast<uint64_t>(file_bytes));
  if (!checkpoint.ok()) return Annotate(checkpoint.status(), path);
  return checkpoint;
}

}  // namespace skerry
