// Stands between agents and their coordinator on local sockets (ipc://) and keeps every byte that
// goes up, as it leaves the agent's process: handshake, framing, envelopes, raw frames.
#pragma once

#include <string>
#include <thread>

namespace skerry {

class RecordingProxy {
 public:
  // Listens on the socket `path` and forwards to the socket `target`, which may come later:
  // whoever connects before is hung up on and has to try again. Aborts if `path` cannot be made.
  RecordingProxy(std::string path, std::string target);
  ~RecordingProxy();
  RecordingProxy(const RecordingProxy&) = delete;
  RecordingProxy& operator=(const RecordingProxy&) = delete;

  // Ends once all who connected have hung up, and returns what they sent, connection after
  // connection. Call it when the agents' processes have ended: then it is all that ever left them.
  std::string Finish();

 private:
  void Run();

  std::string path_;
  std::string target_;
  int listener_ = -1;
  int stop_read_ = -1;
  int stop_write_ = -1;
  std::string recorded_;
  std::thread thread_;
};

}  // namespace skerry
