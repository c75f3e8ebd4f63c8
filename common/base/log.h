// Logging set-up. Logs go to stderr, results to stdout. Machines never log; they report events.
// Secrets and a node's data never reach a log line; peers' text is printed escaped.
#pragma once

#include <string>
#include <string_view>

namespace skerry {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Called once, by main, before any thread starts. `program` is put before every line.
void SetUpLogging(std::string_view program, LogLevel level);

void LogDebug(std::string_view message);
void LogInfo(std::string_view message);
void LogWarning(std::string_view message);
void LogError(std::string_view message);

// While set, every line passes through `before` and `after` (null to unset): the live view clears
// itself before a line and draws itself again after it.
using LogHook = void (*)(void* context);
void SetLogHooks(LogHook before, LogHook after, void* context);

}  // namespace skerry
