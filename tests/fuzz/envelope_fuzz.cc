// Control messages. What decodes encodes to bytes that decode to the same message; nothing takes
// more memory than a small multiple of its bytes before its counts are looked at.
#include "common/base/status.h"
#include "common/protocol/codec.h"
#include "common/protocol/limits.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const fuzz::AllocationMeter meter;
  const absl::StatusOr<proto::Envelope> envelope = protocol::Decode({data, size});
  // An empty submessage has two bytes on the wire and some fifty as an object.
  // The schema's description, made once, takes 100 kB.
  fuzz::CheckMemory(meter, size, {.factor = 64, .base = 256 << 10});
  if (!envelope.ok()) {
    fuzz::CheckRefusal(envelope.status());
    return 0;
  }
  SKERRY_ASSERT(envelope->body_case() != proto::Envelope::BODY_NOT_SET);

  const std::string bytes = protocol::Encode(*envelope);
  if (bytes.size() > protocol::kEnvelopeBytesMax) return 0;  // packed numbers may need more
  const absl::StatusOr<proto::Envelope> again =
      protocol::Decode(fuzz::Bytes(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  SKERRY_ASSERT(again.ok());
  SKERRY_ASSERT(again->body_case() == envelope->body_case());
  SKERRY_ASSERT(protocol::Encode(*again) == bytes);
  return 0;
}
