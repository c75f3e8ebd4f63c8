#include "common/base/log.h"

#include <memory>
#include <mutex>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace skerry {
namespace {

struct Hooks {
  std::mutex mutex;
  LogHook before = nullptr;
  LogHook after = nullptr;
  void* context = nullptr;
};

Hooks& GlobalHooks() {
  static Hooks hooks;
  return hooks;
}

void Write(spdlog::level::level_enum level, std::string_view message) {
  Hooks& hooks = GlobalHooks();
  const std::lock_guard lock(hooks.mutex);
  if (!spdlog::default_logger_raw()->should_log(level)) return;
  if (hooks.before != nullptr) hooks.before(hooks.context);
  spdlog::default_logger_raw()->log(level, spdlog::string_view_t(message.data(), message.size()));
  if (hooks.after != nullptr) hooks.after(hooks.context);
}

}  // namespace

void SetUpLogging(std::string_view program, LogLevel level) {
  auto logger = std::make_shared<spdlog::logger>(std::string(program),
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %n %l: %v");
  switch (level) {
    case LogLevel::kDebug:
      logger->set_level(spdlog::level::debug);
      break;
    case LogLevel::kInfo:
      logger->set_level(spdlog::level::info);
      break;
    case LogLevel::kWarning:
      logger->set_level(spdlog::level::warn);
      break;
    case LogLevel::kError:
      logger->set_level(spdlog::level::err);
      break;
  }
  spdlog::set_default_logger(std::move(logger));
}

void LogDebug(std::string_view message) { Write(spdlog::level::debug, message); }
void LogInfo(std::string_view message) { Write(spdlog::level::info, message); }
void LogWarning(std::string_view message) { Write(spdlog::level::warn, message); }
void LogError(std::string_view message) { Write(spdlog::level::err, message); }

void SetLogHooks(LogHook before, LogHook after, void* context) {
  Hooks& hooks = GlobalHooks();
  const std::lock_guard lock(hooks.mutex);
  hooks.before = before;
  hooks.after = after;
  hooks.context = context;
}

}  // namespace skerry
