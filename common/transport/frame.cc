#include "common/transport/frame.h"

#include <utility>

namespace skerry {

Frame::Frame(std::span<const uint8_t> bytes, std::shared_ptr<const void> keep_alive)
    : bytes_(bytes), keep_alive_(std::move(keep_alive)) {}

Frame Frame::Own(std::vector<uint8_t> bytes) {
  auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  const std::span<const uint8_t> view(*owner);
  return Frame(view, std::move(owner));
}

Frame Frame::Own(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const std::span<const uint8_t> view(reinterpret_cast<const uint8_t*>(owner->data()),
                                      owner->size());
  return Frame(view, std::move(owner));
}

Frame Frame::Borrow(std::span<const uint8_t> bytes, std::shared_ptr<const void> keep_alive) {
  return Frame(bytes, std::move(keep_alive));
}

}  // namespace skerry
