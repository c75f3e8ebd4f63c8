// Bytes that must not leak: wiped when destroyed, moved but never copied, not printable, compared
// in constant time. Not thread-safe beyond what a plain buffer is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>

namespace skerry {

class SecretBytes {
 public:
  SecretBytes() = default;
  // All zero.
  explicit SecretBytes(size_t size);
  // The caller still has to wipe its own copy (WipeBytes).
  static SecretBytes CopyOf(std::span<const uint8_t> bytes);
  ~SecretBytes();

  // The source is left empty.
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;

  std::span<const uint8_t> bytes() const { return {data_.get(), size_}; }
  std::span<uint8_t> mutable_bytes() { return {data_.get(), size_}; }
  size_t size() const { return size_; }

  // Takes the same time wherever the first difference is; the sizes are not secret.
  friend bool operator==(const SecretBytes& a, const SecretBytes& b);
  friend std::ostream& operator<<(std::ostream&, const SecretBytes&) = delete;

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t size_ = 0;
};

// From now on a crash of this process leaves no core file, and no other process of the same user
// may read its memory. For programs that hold secrets; called once, at their start.
void KeepMemoryPrivate();

// Overwrites with zeros in a way that the compiler does not remove.
void WipeBytes(std::span<uint8_t> bytes);

}  // namespace skerry
