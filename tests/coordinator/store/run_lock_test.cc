#include "coordinator/store/run_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace skerry {
namespace {

using testing::HasSubstr;

TEST(RunLockTest, NobodyOwnsAFreshDirectory) {
  const TemporaryDirectory folder;
  EXPECT_EQ(RunLock::Owner(folder.path()), std::nullopt);
}

TEST(RunLockTest, OwnerIsNamedWhileTheLockIsHeldAndGoneAfterwards) {
  const TemporaryDirectory folder;
  {
    ASSERT_OK_AND_ASSIGN(const RunLock lock, RunLock::Acquire(folder.path()));
    EXPECT_EQ(RunLock::Owner(folder.path()), ::getpid());
    EXPECT_THAT(RunLock::Acquire(folder.path()),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr(fmt::format("process {}", ::getpid()))));
  }
  EXPECT_EQ(RunLock::Owner(folder.path()), std::nullopt);
  EXPECT_OK(RunLock::Acquire(folder.path()));
}

TEST(RunLockTest, AskingForTheOwnerDoesNotReleaseTheLock) {
  const TemporaryDirectory folder;
  ASSERT_OK_AND_ASSIGN(const RunLock lock, RunLock::Acquire(folder.path()));

  RunLock::Owner(folder.path());

  EXPECT_FALSE(RunLock::Acquire(folder.path()).ok());
}

TEST(RunLockTest, LockOfAKilledProcessIsFree) {
  const TemporaryDirectory folder;
  int ready[2] = {};
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = RunLock::Acquire(folder.path());
    const char byte = lock.ok() ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  EXPECT_EQ(RunLock::Owner(folder.path()), child);

  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);

  EXPECT_EQ(RunLock::Owner(folder.path()), std::nullopt);
  EXPECT_OK(RunLock::Acquire(folder.path()));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace skerry
