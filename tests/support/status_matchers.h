// gmock matchers for absl::Status and absl::StatusOr.
#pragma once

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace skerry {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

MATCHER_P(StatusIs, code, "") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).code() == code;
}

// The code and a matcher for the message, usually HasSubstr.
MATCHER_P2(StatusIs, code, message, "") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).code() == code &&
         testing::ExplainMatchResult(message, std::string(StatusOf(arg).message()),
                                     result_listener);
}

}  // namespace skerry

#define ASSERT_OK(expression) ASSERT_THAT(expression, ::skerry::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT(expression, ::skerry::IsOk())

#define ASSERT_OK_AND_ASSIGN_INNER(result, declaration, expression) \
  auto result = (expression);                                       \
  ASSERT_OK(result);                                                \
  declaration = *std::move(result)
#define ASSERT_OK_AND_ASSIGN_CONCAT(a, b) a##b
#define ASSERT_OK_AND_ASSIGN_NAME(a, b) ASSERT_OK_AND_ASSIGN_CONCAT(a, b)
// ASSERT_OK_AND_ASSIGN(auto value, MayFail());
#define ASSERT_OK_AND_ASSIGN(declaration, expression)                                  \
  ASSERT_OK_AND_ASSIGN_INNER(ASSERT_OK_AND_ASSIGN_NAME(skerry_test_result_, __LINE__), \
                             declaration, expression)
