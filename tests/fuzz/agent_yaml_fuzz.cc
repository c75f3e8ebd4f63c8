// An agent's YAML with overrides. It gives a configuration or errors, never both, and the same text
// gives the same answer again.
#include "common/config/agent_loader.h"
#include "tests/fuzz/config_checks.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const std::string_view text = fuzz::AsText({data, size});
  const std::vector<std::string> overrides = fuzz::OverridesIn(text);
  const fuzz::AllocationMeter meter;
  const AgentReading reading = ReadAgent(text, "fuzz.yaml", overrides);
  // A value is two bytes of text and a node of a tree, and its place is remembered by path.
  fuzz::CheckMemory(meter, size, {.factor = 1024, .base = 512 << 10});
  fuzz::CheckErrors(reading.agent.has_value(), reading.errors);

  const absl::StatusOr<AgentConfig> parsed = ParseAgent(text, "fuzz.yaml", overrides);
  SKERRY_ASSERT(parsed.ok() == reading.agent.has_value());
  if (!parsed.ok()) fuzz::CheckRefusal(parsed.status(), 128 << 10);
  return 0;
}
