#include "common/privacy/random_words.h"

namespace skerry {

RandomWords::RandomWords(RandomBits& random)
    : random_(random), buffer_(kBufferedWords * sizeof(uint64_t)) {}

void RandomWords::Refill() {
  if (position_ == kBytesPerKey) {
    const SecretBytes key = random_.DrawSecret(KeyStream::kKeyBytes);
    stream_.emplace(key.bytes());
    position_ = 0;
  }
  static_assert(kBytesPerKey % (kBufferedWords * sizeof(uint64_t)) == 0);
  stream_->Read(position_, buffer_.mutable_bytes());
  position_ += buffer_.size();
  next_ = 0;
}

}  // namespace skerry
