// A job's YAML with overrides. It gives a job or errors, never both; a job passes its own rules,
// and its resolved text reads back to a job with the same resolved text.
#include "common/config/job_loader.h"
#include "common/config/job_printer.h"
#include "tests/fuzz/config_checks.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const std::string_view text = fuzz::AsText({data, size});
  const std::vector<std::string> overrides = fuzz::OverridesIn(text);
  const fuzz::AllocationMeter meter;
  const JobReading reading = ReadJob(text, "fuzz.yaml", overrides);
  // A value is two bytes of text and a node of a tree, and its place is remembered by path.
  fuzz::CheckMemory(meter, size, {.factor = 1024, .base = 512 << 10});
  fuzz::CheckErrors(reading.job.has_value(), reading.errors);
  if (!reading.job.has_value()) return 0;

  SKERRY_ASSERT(ValidateJob(*reading.job, "fuzz.yaml").empty());
  const std::string resolved = ResolvedYaml(*reading.job);
  const JobReading again = ReadJob(resolved, "resolved.yaml");
  fuzz::CheckErrors(again.job.has_value(), again.errors);
  SKERRY_ASSERT(again.job.has_value());
  SKERRY_ASSERT(ResolvedYaml(*again.job) == resolved);
  return 0;
}
