// Status shorthand used by every library. Functions that can fail return absl::Status or
// absl::StatusOr<T>; SKERRY_ASSERT is for our own mistakes and stays on in release builds.
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace skerry {

// Prints `expression` with its place and aborts. Never reached by input from outside.
[[noreturn]] void AssertionFailed(const char* expression, const char* file, int line);

// The same status with `context` and ": " put before its message; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace skerry

#define SKERRY_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::skerry::AssertionFailed(#condition, __FILE__, __LINE__))

#define SKERRY_RETURN_IF_ERROR(expression)                                \
  do {                                                                    \
    if (absl::Status skerry_status = (expression); !skerry_status.ok()) { \
      return skerry_status;                                               \
    }                                                                     \
  } while (false)

#define SKERRY_CONCAT_INNER(a, b) a##b
#define SKERRY_CONCAT(a, b) SKERRY_CONCAT_INNER(a, b)

// SKERRY_ASSIGN_OR_RETURN(const auto value, MayFail());
#define SKERRY_ASSIGN_OR_RETURN(declaration, expression) \
  SKERRY_ASSIGN_OR_RETURN_INNER(SKERRY_CONCAT(skerry_result_, __LINE__), declaration, expression)
#define SKERRY_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                          \
  if (!result.ok()) return std::move(result).status();                 \
  declaration = *std::move(result)
