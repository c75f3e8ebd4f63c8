// Entropy for tests: bytes that the test wrote down, or a repeatable row of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/base/status.h"
#include "common/crypto/random_bits.h"

namespace skerry {

// Gives the script's bytes in order. Asking for more than there are aborts: the test is wrong.
class ScriptedRandom final : public RandomBits {
 public:
  explicit ScriptedRandom(std::vector<uint8_t> script) : script_(std::move(script)) {}

  void Fill(std::span<uint8_t> out) override {
    SKERRY_ASSERT(out.size() <= script_.size() - used_);
    std::copy_n(script_.begin() + static_cast<ptrdiff_t>(used_), out.size(), out.begin());
    used_ += out.size();
  }

  size_t bytes_left() const { return script_.size() - used_; }

 private:
  std::vector<uint8_t> script_;
  size_t used_ = 0;
};

// An endless row that depends on the seed only.
class SeededRandom final : public RandomBits {
 public:
  explicit SeededRandom(uint64_t seed) : rng_(seed) {}

  void Fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(rng_.NextU64());
  }

 private:
  Rng rng_;
};

}  // namespace skerry
