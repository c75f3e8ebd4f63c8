#include "agent/shell/tokenize_command.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/tokenizer/tokenizer.h"
#include "common/base/log.h"
#include "common/base/status.h"

namespace skerry {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr size_t kInputBytesMax = size_t{256} << 20;

absl::StatusOr<std::string> ReadAll(std::istream& in) {
  std::string text;
  std::vector<char> block(size_t{1} << 16);
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0) {
    text.append(block.data(), static_cast<size_t>(in.gcount()));
    if (text.size() > kInputBytesMax) {
      return absl::ResourceExhaustedError(
          fmt::format("the input has more than {} bytes", kInputBytesMax));
    }
  }
  return text;
}

absl::StatusOr<std::vector<int32_t>> IdsOfJson(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json* array = &json;
  if (json.is_object() && json.contains("ids")) array = &json["ids"];
  if (!array->is_array()) {
    return absl::InvalidArgumentError("expected ids: {\"ids\": [1, 2]}, [1, 2] or 1 2");
  }
  std::vector<int32_t> ids;
  for (const nlohmann::json& id : *array) {
    if (!id.is_number_unsigned() ||
        id.get<uint64_t>() > uint64_t{std::numeric_limits<int32_t>::max()}) {
      return absl::InvalidArgumentError(fmt::format("id number {} must be a whole number 0..{}",
                                                    ids.size() + 1,
                                                    std::numeric_limits<int32_t>::max()));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

absl::StatusOr<std::vector<int32_t>> IdsOf(const std::string& text) {
  constexpr std::string_view kSeparators = " \t\r\n,";
  const size_t begin = text.find_first_not_of(kSeparators);
  std::vector<int32_t> ids;
  if (begin == std::string::npos) return ids;
  if (text[begin] == '[' || text[begin] == '{') return IdsOfJson(text);
  for (size_t at = begin; at != std::string::npos; at = text.find_first_not_of(kSeparators, at)) {
    const size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
    int32_t id = 0;
    const auto [rest, error] = std::from_chars(&text[at], &text[at] + (end - at), id);
    if (error != std::errc() || rest != &text[at] + (end - at) || id < 0) {
      return absl::InvalidArgumentError(fmt::format("id number {} must be a whole number 0..{}",
                                                    ids.size() + 1,
                                                    std::numeric_limits<int32_t>::max()));
    }
    ids.push_back(id);
    at = end;
  }
  return ids;
}

absl::Status Convert(const TokenizeOptions& options, const Tokenizer& tokenizer, std::istream& in,
                     std::ostream& out) {
  SKERRY_ASSIGN_OR_RETURN(const std::string input, ReadAll(in));
  if (!options.is_decode) {
    SKERRY_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                            tokenizer.Encode(input, {.add_special = options.add_special}));
    out << fmt::format("{{\"ids\": [{}]}}\n", fmt::join(ids, ", "));
  } else {
    SKERRY_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, IdsOf(input));
    DecodeOptions decode;
    decode.skip_special = options.skip_special;
    SKERRY_ASSIGN_OR_RETURN(const std::string text, tokenizer.Decode(ids, decode));
    out << (options.is_json ? nlohmann::json{{"text", text}}.dump() + "\n" : text);
  }
  out.flush();
  return out ? absl::OkStatus() : absl::DataLossError("cannot write the result");
}

}  // namespace

int TokenizeCommand(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Load(options.path);
  if (!tokenizer.ok()) {
    LogError(std::string(tokenizer.status().message()));
    return kExitUsage;
  }
  const absl::Status converted = Convert(options, *tokenizer, in, out);
  if (converted.ok()) return 0;
  LogError(std::string(converted.message()));
  return kExitFailed;
}

}  // namespace skerry
