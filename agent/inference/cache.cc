#include "agent/inference/cache.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "agent/inference/number_formats.h"
#include "common/base/bytes.h"
#include "common/base/status.h"

namespace skerry {
namespace {

constexpr size_t kQ8Block = 16;
constexpr size_t kQ8ScaleBytes = sizeof(uint16_t);

size_t BlockCount(size_t row_size) { return (row_size + kQ8Block - 1) / kQ8Block; }

// A row in kQ8: the scales of all blocks, then the numbers.
void WriteQ8(std::span<const float> row, uint8_t* to) {
  uint8_t* numbers = to + BlockCount(row.size()) * kQ8ScaleBytes;
  for (size_t begin = 0; begin < row.size(); begin += kQ8Block, to += kQ8ScaleBytes) {
    const std::span<const float> block = row.subspan(begin, std::min(kQ8Block, row.size() - begin));
    float most = 0;
    for (const float value : block) most = std::max(most, std::abs(value));
    const uint16_t bits = ToHalf(most / 127);
    const float scale = FromHalf(bits);
    StoreLittleEndian(bits, to);
    for (const float value : block) {
      const float rounded = scale > 0 ? std::nearbyint(value / scale) : 0;
      *numbers++ = static_cast<uint8_t>(static_cast<int8_t>(std::clamp(rounded, -127.0f, 127.0f)));
    }
  }
}

void ReadQ8(const uint8_t* from, std::span<float> row) {
  const uint8_t* numbers = from + BlockCount(row.size()) * kQ8ScaleBytes;
  for (size_t i = 0; i < row.size(); ++i) {
    const float scale = FromHalf(LoadLittleEndian<uint16_t>(from + i / kQ8Block * kQ8ScaleBytes));
    row[i] = scale * static_cast<float>(static_cast<int8_t>(numbers[i]));
  }
}

}  // namespace

std::optional<CacheFormat> FindCacheFormat(std::string_view name) {
  if (name == "f32") return CacheFormat::kF32;
  if (name == "f16") return CacheFormat::kF16;
  if (name == "q8") return CacheFormat::kQ8;
  return std::nullopt;
}

KeyValueCache::KeyValueCache(Shape shape, CacheFormat format)
    : shape_(shape), format_(format), rows_(shape.layers) {}

uint64_t KeyValueCache::RowBytes(size_t row_size, CacheFormat format) {
  switch (format) {
    case CacheFormat::kF32:
      return row_size * sizeof(float);
    case CacheFormat::kF16:
      return row_size * sizeof(uint16_t);
    case CacheFormat::kQ8:
      return row_size + BlockCount(row_size) * kQ8ScaleBytes;
  }
  return 0;
}

uint64_t KeyValueCache::bytes() const {
  return RowBytes(shape_.row_size, format_) * shape_.layers * length();
}

void KeyValueCache::Append(std::span<const int64_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  const size_t bytes = RowBytes(shape_.row_size, format_) * tokens_.size();
  for (const std::vector<uint8_t>& rows : rows_) SKERRY_ASSERT(rows.size() == bytes);
}

void KeyValueCache::Truncate(size_t length) {
  SKERRY_ASSERT(length <= tokens_.size());
  tokens_.resize(length);
  for (std::vector<uint8_t>& rows : rows_) {
    rows.resize(std::min<size_t>(rows.size(), RowBytes(shape_.row_size, format_) * length));
  }
}

void KeyValueCache::Write(size_t layer, size_t position, std::span<const float> row) {
  SKERRY_ASSERT(row.size() == shape_.row_size);
  std::vector<uint8_t>& rows = rows_.at(layer);
  const size_t row_bytes = RowBytes(shape_.row_size, format_);
  SKERRY_ASSERT(position * row_bytes <= rows.size());
  if (rows.size() < (position + 1) * row_bytes) rows.resize((position + 1) * row_bytes);
  uint8_t* const to = rows.data() + position * row_bytes;
  switch (format_) {
    case CacheFormat::kF32:
      std::memcpy(to, row.data(), row_bytes);
      return;
    case CacheFormat::kF16:
      for (size_t i = 0; i < row.size(); ++i) {
        StoreLittleEndian(ToHalf(row[i]), to + i * sizeof(uint16_t));
      }
      return;
    case CacheFormat::kQ8:
      WriteQ8(row, to);
      return;
  }
}

const float* KeyValueCache::Read(size_t layer, size_t count, std::vector<float>& scratch) const {
  const std::vector<uint8_t>& rows = rows_.at(layer);
  const size_t row_bytes = RowBytes(shape_.row_size, format_);
  SKERRY_ASSERT(count * row_bytes <= rows.size());
  if (format_ == CacheFormat::kF32) return reinterpret_cast<const float*>(rows.data());
  if (scratch.size() < count * shape_.row_size) scratch.resize(count * shape_.row_size);
  if (format_ == CacheFormat::kF16) {
    ReadNumbers(NumberFormat::kF16, rows.data(), 0, {scratch.data(), count * shape_.row_size});
    return scratch.data();
  }
  for (size_t i = 0; i < count; ++i) {
    ReadQ8(rows.data() + i * row_bytes, {scratch.data() + i * shape_.row_size, shape_.row_size});
  }
  return scratch.data();
}

}  // namespace skerry
