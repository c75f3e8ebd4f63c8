#include "common/config/data_section.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/config/config_words.h"

namespace skerry {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr int64_t kExamplesMax = 1'000'000'000;

PartitionConfig ReadPartition(SectionReader section) {
  PartitionConfig partition;
  partition.scheme = section.Word("scheme", partition.scheme, kPartitionWords);
  section.OnlyIf(partition.scheme == PartitionScheme::kDirichlet, "scheme dirichlet", {"alpha"});
  section.OnlyIf(partition.scheme == PartitionScheme::kShards, "scheme shards", {"per_node"});
  section.OnlyIf(partition.scheme == PartitionScheme::kColumn, "scheme column", {"name"});
  if (partition.scheme == PartitionScheme::kColumn) section.Require({"name"});
  partition.alpha = section.Number("alpha", partition.alpha, {1e-4, 1e6});
  partition.shards_per_node = section.Integer("per_node", partition.shards_per_node, {1, 10'000});
  partition.column = section.Text("name", partition.column);
  section.Finish();
  return partition;
}

Normalization ReadNormalization(SectionReader section) {
  Normalization normalization;
  normalization.mean = section.Number("mean", normalization.mean, {-1e3, 1e3});
  normalization.std = section.Number("std", normalization.std, {1e-3, 1e3});
  section.Finish();
  return normalization;
}

// The keys that a job's and a node's data share.
DataConfig ReadSource(SectionReader& section) {
  DataConfig data;
  data.id = ReadName(section, "id");
  data.dataset = section.Word("dataset", data.dataset, kDatasetWords);
  data.path = section.Text(
      "path", data.dataset == DatasetKind::kFashionMnist ? kFashionMnistPath : std::string());
  data.label = section.Text("label", "");
  data.examples_max = section.Integer("examples_max", data.examples_max, {0, kExamplesMax});
  return data;
}

}  // namespace

DataConfig ReadJobData(SectionReader section) {
  DataConfig data = ReadSource(section);
  data.test_path = section.OptionalText("test_path");
  section.OnlyIf(HasPixels(data), "datasets of images: fashion_mnist, mnist, idx", {"normalize"});
  data.normalization = ReadNormalization(section.Section("normalize"));
  data.partition = ReadPartition(section.Section("partition"));
  section.Finish();
  return data;
}

DataConfig ReadNodeData(SectionReader section) {
  DataConfig data = ReadSource(section);
  section.Finish();
  return data;
}

void CheckData(const DataConfig& data, const std::string& path, ConfigDiagnostics& diagnostics) {
  const std::string dataset_key = path + ".dataset";
  const std::string path_key = path + ".path";
  const std::string label_key = path + ".label";
  const std::string scheme_key = path + ".partition.scheme";
  if (!diagnostics.IsSound({dataset_key})) return;
  const std::string_view dataset = WordFor(data.dataset, kDatasetWords);
  const bool is_csv = data.dataset == DatasetKind::kCsv;
  if (data.path.empty() && diagnostics.IsSound({path_key})) {
    diagnostics.Add(path_key, fmt::format("is missing: dataset {} needs {}", dataset,
                                          is_csv ? "the file's path" : "the folder's path"));
  }
  if (diagnostics.IsSound({label_key}) && is_csv == data.label.empty()) {
    diagnostics.Add(
        label_key, is_csv ? std::string("is missing: dataset csv needs the label column's name")
                          : fmt::format("only applies to dataset csv, the dataset is {}", dataset));
  }
  if (data.partition.scheme == PartitionScheme::kColumn && !is_csv &&
      diagnostics.IsSound({scheme_key})) {
    diagnostics.Add(scheme_key,
                    fmt::format("column only applies to dataset csv, the dataset is {}", dataset));
  }
}

bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::string ReadName(SectionReader& section, std::string_view key) {
  section.Require({key});
  std::string name = section.Text(key, "");
  if (name.empty() || IsName(name)) return name;
  section.Refuse(key, fmt::format("{}, got {}", kNameRule, name.substr(0, 100)));
  return "";
}

}  // namespace skerry
