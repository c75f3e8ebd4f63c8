// Bytes on their way between a coordinator and an agent, without knowledge of what they say.
//
// A Frame never changes and shares its bytes: copying one copies a pointer. It can be destroyed on
// any thread, and a sent one is: ZeroMQ lets go of it on its own I/O thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace skerry {

class Frame {
 public:
  Frame() = default;

  static Frame Own(std::vector<uint8_t> bytes);
  static Frame Own(std::string bytes);
  // `bytes` stay valid and unchanged for as long as `keep_alive` lives: a chunk of a shared model
  // is sent without being copied.
  static Frame Borrow(std::span<const uint8_t> bytes, std::shared_ptr<const void> keep_alive);

  // The address has no particular alignment; read numbers with common/base/bytes.h.
  std::span<const uint8_t> bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  const std::shared_ptr<const void>& keep_alive() const { return keep_alive_; }

 private:
  Frame(std::span<const uint8_t> bytes, std::shared_ptr<const void> keep_alive);

  std::span<const uint8_t> bytes_;
  std::shared_ptr<const void> keep_alive_;
};

// What travels as one unit: an encoded control message and, for some of them, raw tensor bytes.
struct Message {
  Frame envelope;
  std::optional<Frame> raw;

  size_t size() const { return envelope.size() + (raw ? raw->size() : 0); }
};

}  // namespace skerry
