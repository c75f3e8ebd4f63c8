// Sends the newest model to the connections that ask for it, in chunks, as far as each one's credit
// goes. All transfers share the model's bytes; nothing is copied. Owned by the shell's thread, no
// sockets: what is to be sent is handed to a function.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "common/base/strong_id.h"
#include "common/tensor/parameter_vector.h"
#include "common/transport/chunk.h"
#include "common/transport/frame.h"
#include "common/transport/router_endpoint.h"
#include "skerry.pb.h"

namespace skerry {

class ModelServer {
 public:
  explicit ModelServer(uint64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  // From now on this is the model; transfers of an older one end.
  void Publish(ModelVersion version, SharedModel model);
  // From now on there is no model, until the next Publish.
  void Withdraw();
  // All bytes of the model, for a RoundTask that carries it.
  Frame WholeModel() const;

  // A connection asks for a part of the model, for the first time or to go on. The reason if it
  // asks for something else than the newest model or past its end.
  proto::RejectReason HandleRequest(PeerId peer, const proto::ModelRequest& request);
  void PeerGone(PeerId peer) { transfers_.erase(peer); }

  // Sends what credit allows, one chunk a connection in turn, until every connection is out of
  // credit or `send` would block. True if something is left that `send` would not take now.
  bool Pump(const std::function<SendResult(PeerId, const Message&)>& send);

  // Bytes handed to the transport since the start.
  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  Message ChunkMessage(ByteRange range) const;

  uint64_t chunk_bytes_;
  ModelVersion version_;
  SharedModel model_;
  std::map<PeerId, ChunkSource> transfers_;
  uint64_t sent_bytes_ = 0;
};

}  // namespace skerry
