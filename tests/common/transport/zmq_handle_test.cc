// What ZeroMQ's handles promise when they are closed while its own thread is at work.
#include "common/transport/zmq_handle.h"

#include <gtest/gtest.h>
#include <zmq.h>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using std::chrono::seconds;

// Nobody listens there, so a try is reported and begun anew every millisecond.
constexpr const char* kNobody = "ipc:///nonexistent/skerry";
constexpr int kClosings = 2000;

// ZeroMQ's thread reports through a blocking send. Had it one to make when the receiver is already
// gone, it would wait for ever, and with it every connection of the context.
TEST(ZmqMonitorTest, ClosingAWatchedSocketNeverHoldsUpTheOthers) {
  ASSERT_OK_AND_ASSIGN(const ZmqContext context, ZmqContext::Create(1));
  for (int i = 0; i < kClosings; ++i) {
    ASSERT_OK_AND_ASSIGN(ZmqSocket socket, ZmqSocket::Create(context, ZMQ_DEALER));
    ASSERT_OK(socket.Set(ZMQ_RECONNECT_IVL, 1));
    ASSERT_OK_AND_ASSIGN(
        ZmqMonitor monitor,
        ZmqMonitor::Create(context, socket, ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED));
    ASSERT_OK(socket.Connect(kNobody));
    if (!monitor.Next()) {
      WaitReadable({monitor.fd()}, seconds(30));
      ASSERT_TRUE(monitor.Next()) << "ZeroMQ's thread says nothing after " << i << " closings";
    }
    socket.Close();
  }
}

}  // namespace
}  // namespace skerry
