// How fast one coordinator moves a model down to some agents and their updates back up, with
// nothing but the transport: real processes, chunks, credit, and a copy into place at the receiver.
//
//   skerry_transport_bench [--agents 8] [--megabytes 4] [--chunk-kib 256] [--window 4]
//                          [--io-threads 1] [--socket-buffer-kib 0] [--repeats 5]
//
// Without --megabytes and --chunk-kib it prints the whole table. Times are the median.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <zmq.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/transport/chunk.h"
#include "common/transport/dealer_endpoint.h"
#include "common/transport/router_endpoint.h"

namespace skerry {
namespace {

enum class Scheme { kIpc, kTcp };

struct Setup {
  Scheme scheme = Scheme::kIpc;
  size_t agents = 8;
  uint64_t bytes = 4 << 20;
  uint64_t chunk_bytes = 256 << 10;
  uint64_t window_chunks = 4;
  int io_threads = 1;
  int socket_buffer_bytes = 0;
  int repeats = 5;

  LinkOptions Link() const {
    LinkOptions link;
    link.io_threads = io_threads;
    link.socket_buffer_bytes = socket_buffer_bytes;
    return link;
  }
};

struct Keys {
  char public_key[41];
  char secret_key[41];
  Keys() { SKERRY_ASSERT(::zmq_curve_keypair(public_key, secret_key) == 0); }
};

// The bench's own messages: a letter and two numbers.
struct Note {
  char kind = 0;  // H hello, C credit, D data (raw frame), F finished (a: CPU nanoseconds), Q quit
  uint64_t a = 0;
  uint64_t b = 0;
};

Frame Encode(const Note& note) {
  std::vector<uint8_t> bytes(17);
  bytes[0] = static_cast<uint8_t>(note.kind);
  StoreLittleEndian(note.a, bytes.data() + 1);
  StoreLittleEndian(note.b, bytes.data() + 9);
  return Frame::Own(std::move(bytes));
}

Note Decode(const Frame& frame) {
  SKERRY_ASSERT(frame.size() == 17);
  const uint8_t* bytes = frame.bytes().data();
  return {static_cast<char>(bytes[0]), LoadLittleEndian<uint64_t>(bytes + 1),
          LoadLittleEndian<uint64_t>(bytes + 9)};
}

Message NoteMessage(const Note& note) { return {Encode(note), std::nullopt}; }

double CpuSeconds() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

using Buffer = std::shared_ptr<std::vector<uint8_t>>;

// Hands over chunks until the transport or the credit says stop.
void Pump(ChunkSource& source, const Buffer& data,
          const std::function<bool(const Message&)>& try_send) {
  while (const auto chunk = source.Next()) {
    const auto bytes = std::span<const uint8_t>(*data).subspan(chunk->offset, chunk->size);
    if (!try_send({Encode({'D', chunk->offset, 0}), Frame::Borrow(bytes, data)})) return;
    source.Advance();
  }
}

// Receives the model, says so, sends as much back when it is given credit, over and over.
class BenchAgent {
 public:
  BenchAgent(const Setup& setup, DealerEndpoint dealer)
      : setup_(setup),
        dealer_(std::move(dealer)),
        data_(std::make_shared<std::vector<uint8_t>>(setup.bytes)) {}

  void Run() {
    for (;;) {
      DealerPoll poll = dealer_.Poll(std::chrono::seconds(1), SystemClock().Now());
      if (poll.is_link_up) Start();
      for (const Message& message : poll.messages) {
        const Note note = Decode(message.envelope);
        if (note.kind == 'Q') return;
        Handle(note, message);
      }
      SKERRY_ASSERT(!poll.link_down || !is_started_);
      Pump(up_, data_, [&](const Message& message) { return dealer_.TrySend(message); });
    }
  }

 private:
  void Start() {
    is_started_ = true;
    SKERRY_ASSERT(dealer_.Send(NoteMessage({'H', 0, 0})));
  }

  void Handle(const Note& note, const Message& message) {
    if (note.kind == 'S') {  // a new round: ask for the model
      cpu_before_ = CpuSeconds();
      down_ = ChunkSink(setup_.bytes, setup_.window_chunks * setup_.chunk_bytes);
      SendCredit(down_.Restart());
    } else if (note.kind == 'D') {
      MemoryStore store(*data_);
      SKERRY_ASSERT(down_.Write(note.a, message.raw->bytes(), store).ok());
      if (const auto credit = down_.TakeCredit()) SendCredit(*credit);
      if (down_.is_complete()) {
        Finish();
        up_ = ChunkSource(setup_.bytes, setup_.chunk_bytes);
        is_first_credit_ = true;
      }
    } else if (note.kind == 'C') {
      const ChunkCredit credit = {note.a, note.b};
      SKERRY_ASSERT((is_first_credit_ ? up_.Resume(credit) : up_.Extend(credit)).ok());
      is_first_credit_ = false;
    } else if (note.kind == 'U') {  // asked how much CPU time the upload took
      Finish();
    }
  }

  void SendCredit(ChunkCredit credit) {
    SKERRY_ASSERT(dealer_.Send(NoteMessage({'C', credit.offset, credit.credit_until})));
  }

  void Finish() {
    const double cpu = CpuSeconds();
    const auto nanoseconds = static_cast<uint64_t>(1e9 * (cpu - cpu_before_));
    cpu_before_ = cpu;
    SKERRY_ASSERT(dealer_.Send(NoteMessage({'F', nanoseconds, 0})));
  }

  const Setup setup_;
  DealerEndpoint dealer_;
  Buffer data_;
  ChunkSink down_{0, 1};
  ChunkSource up_{0, 1};
  bool is_first_credit_ = true;
  bool is_started_ = false;
  double cpu_before_ = 0;
};

class NullStore final : public ByteStore {
 public:
  absl::Status WriteAt(uint64_t, std::span<const uint8_t>) override { return absl::OkStatus(); }
};

struct Timing {
  double wall = 0;
  double cpu = 0;  // of all processes
};

class BenchCoordinator {
 public:
  BenchCoordinator(const Setup& setup, RouterEndpoint router)
      : setup_(setup),
        router_(std::move(router)),
        model_(std::make_shared<std::vector<uint8_t>>(setup.bytes, uint8_t{1})) {}

  const std::string& address() const { return router_.addresses().front(); }

  void WaitForAgents() {
    while (peers_.size() < setup_.agents) {
      for (const ReceivedMessage& message : Poll()) peers_.push_back(message.peer);
    }
  }

  Timing Down() {
    std::map<PeerId, ChunkSource> sources;
    const Instant start = SystemClock().Now();
    const double cpu_before = CpuSeconds();
    Timing timing;
    for (const PeerId peer : peers_) Send(peer, {'S', 0, 0});
    for (size_t finished = 0; finished < peers_.size();) {
      for (const ReceivedMessage& message : Poll()) {
        const Note note = Decode(message.message.envelope);
        if (note.kind == 'F') {
          ++finished;
          timing.cpu += 1e-9 * static_cast<double>(note.a);
          continue;
        }
        const auto [source, is_new] =
            sources.try_emplace(message.peer, setup_.bytes, setup_.chunk_bytes);
        const ChunkCredit credit = {note.a, note.b};
        SKERRY_ASSERT(
            (is_new ? source->second.Resume(credit) : source->second.Extend(credit)).ok());
      }
      for (auto& [peer, source] : sources) {
        Pump(source, model_, [&, to = peer](const Message& message) {
          return router_.TrySend(to, message) == SendResult::kAccepted;
        });
      }
    }
    timing.wall = Seconds(SystemClock().Now() - start);
    timing.cpu += CpuSeconds() - cpu_before;
    return timing;
  }

  Timing Up() {
    std::map<PeerId, ChunkSink> sinks;
    NullStore store;
    const Instant start = SystemClock().Now();
    const double cpu_before = CpuSeconds();
    Timing timing;
    for (const PeerId peer : peers_) {
      auto& sink = sinks.try_emplace(peer, setup_.bytes, setup_.window_chunks * setup_.chunk_bytes)
                       .first->second;
      SendCredit(peer, sink.Restart());
    }
    for (size_t complete = 0; complete < peers_.size();) {
      for (const ReceivedMessage& message : Poll()) {
        ChunkSink& sink = sinks.at(message.peer);
        const Note note = Decode(message.message.envelope);
        SKERRY_ASSERT(sink.Write(note.a, message.message.raw->bytes(), store).ok());
        if (const auto credit = sink.TakeCredit()) SendCredit(message.peer, *credit);
        complete += sink.is_complete() ? 1u : 0u;
      }
    }
    timing.wall = Seconds(SystemClock().Now() - start);
    timing.cpu = CpuSeconds() - cpu_before;
    for (const PeerId peer : peers_) Send(peer, {'U', 0, 0});
    for (size_t finished = 0; finished < peers_.size();) {
      for (const ReceivedMessage& message : Poll()) {
        timing.cpu += 1e-9 * static_cast<double>(Decode(message.message.envelope).a);
        ++finished;
      }
    }
    return timing;
  }

  void Quit() {
    for (const PeerId peer : peers_) Send(peer, {'Q', 0, 0});
    router_.Close(std::chrono::seconds(5));
  }

 private:
  std::vector<ReceivedMessage> Poll() {
    RouterPoll poll = router_.Poll(std::chrono::seconds(1));
    SKERRY_ASSERT(poll.gone.empty() && poll.refused.empty());
    return std::move(poll.messages);
  }
  void Send(PeerId peer, const Note& note) {
    SKERRY_ASSERT(router_.Send(peer, NoteMessage(note)) == SendResult::kAccepted);
  }
  void SendCredit(PeerId peer, ChunkCredit credit) {
    Send(peer, {'C', credit.offset, credit.credit_until});
  }

  const Setup setup_;
  RouterEndpoint router_;
  Buffer model_;
  std::vector<PeerId> peers_;
};

// Agents are forked before the coordinator starts any thread; they learn its address by a pipe.
pid_t StartAgent(const Setup& setup, const Keys& server, const Keys& keys, int address_pipe) {
  const pid_t child = ::fork();
  SKERRY_ASSERT(child >= 0);
  if (child != 0) return child;
  char address[256] = {};
  SKERRY_ASSERT(::read(address_pipe, address, sizeof(address) - 1) > 0);
  DealerOptions options;
  options.address = address;
  options.keys = DealerKeys{keys.public_key, keys.secret_key, server.public_key};
  options.link = setup.Link();
  auto dealer = DealerEndpoint::Create(options, Rng(static_cast<uint64_t>(::getpid())));
  SKERRY_ASSERT(dealer.ok());
  BenchAgent(setup, *std::move(dealer)).Run();
  std::_Exit(0);
}

RouterEndpoint StartRouter(const Setup& setup, const Keys& server, const std::string& folder) {
  RouterOptions options;
  options.addresses = {setup.scheme == Scheme::kIpc ? "ipc://" + folder + "/socket"
                                                    : "tcp://127.0.0.1:*"};
  options.secret_key_z85 = server.secret_key;
  options.authenticate = [](std::string_view) { return ProcessName("agent"); };
  options.link = setup.Link();
  auto router = RouterEndpoint::Create(options);
  SKERRY_ASSERT(router.ok());
  return *std::move(router);
}

Timing Median(std::vector<Timing> timings) {
  std::sort(timings.begin(), timings.end(),
            [](const Timing& a, const Timing& b) { return a.wall < b.wall; });
  return timings[timings.size() / 2];
}

void Measure(const Setup& setup) {
  std::string folder = (std::filesystem::temp_directory_path() / "skerry-bench-XXXXXX").string();
  SKERRY_ASSERT(::mkdtemp(folder.data()) != nullptr);
  const Keys server;
  std::vector<pid_t> children;
  std::vector<int> pipes;
  for (size_t i = 0; i < setup.agents; ++i) {
    int ends[2];
    SKERRY_ASSERT(::pipe(ends) == 0);
    children.push_back(StartAgent(setup, server, Keys(), ends[0]));
    ::close(ends[0]);
    pipes.push_back(ends[1]);
  }
  BenchCoordinator coordinator(setup, StartRouter(setup, server, folder));
  for (const int pipe : pipes) {
    const std::string& address = coordinator.address();
    SKERRY_ASSERT(::write(pipe, address.data(), address.size()) > 0);
    ::close(pipe);
  }
  coordinator.WaitForAgents();
  std::vector<Timing> down;
  std::vector<Timing> up;
  for (int i = 0; i <= setup.repeats; ++i) {  // the first is a warm-up
    down.push_back(coordinator.Down());
    up.push_back(coordinator.Up());
  }
  down.erase(down.begin());
  up.erase(up.begin());
  coordinator.Quit();
  for (const pid_t child : children) {
    int status = 0;
    SKERRY_ASSERT(::waitpid(child, &status, 0) == child && status == 0);
  }
  std::filesystem::remove_all(folder);

  const Timing d = Median(down);
  const Timing u = Median(up);
  const double gigabytes = 1e-9 * static_cast<double>(setup.bytes * setup.agents);
  fmt::print(
      "{:<10} {:>6} {:>6.0f} {:>6} {:>7} {:>9.4f} {:>6.2f} {:>8.2f} {:>9.4f} {:>6.2f} "
      "{:>8.2f} {:>9.4f}\n",
      setup.scheme == Scheme::kIpc ? "ipc" : "tcp+CURVE", setup.agents,
      1e-6 * static_cast<double>(setup.bytes), setup.chunk_bytes >> 10, setup.io_threads, d.wall,
      gigabytes / d.wall, d.cpu / gigabytes, u.wall, gigabytes / u.wall, u.cpu / gigabytes,
      d.wall + u.wall);
  std::fflush(stdout);
}

void PrintHeading() {
  fmt::print("{:<10} {:>6} {:>6} {:>6} {:>7} {:>9} {:>6} {:>8} {:>9} {:>6} {:>8} {:>9}\n",
             "transport", "agents", "MB", "chunk", "io", "down s", "GB/s", "cpu s/GB", "up s",
             "GB/s", "cpu s/GB", "both s");
}

uint64_t Number(const char* text) { return std::strtoull(text, nullptr, 10); }

int Main(int argc, char** argv) {
  Setup setup;
  std::vector<uint64_t> sizes = {4'000'000, 40'000'000, 200'000'000};
  std::vector<uint64_t> chunks = {256 << 10, 1 << 20};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const uint64_t value = Number(argv[i + 1]);
    if (key == "--agents") {
      setup.agents = value;
    } else if (key == "--megabytes") {
      sizes = {value * 1'000'000};
    } else if (key == "--chunk-kib") {
      chunks = {value << 10};
    } else if (key == "--window") {
      setup.window_chunks = value;
    } else if (key == "--io-threads") {
      setup.io_threads = static_cast<int>(value);
    } else if (key == "--socket-buffer-kib") {
      setup.socket_buffer_bytes = static_cast<int>(value << 10);
    } else if (key == "--repeats") {
      setup.repeats = static_cast<int>(value);
    } else {
      fmt::print(stderr, "unknown option {}\n", key);
      return 2;
    }
  }
  PrintHeading();
  for (const Scheme scheme : {Scheme::kIpc, Scheme::kTcp}) {
    for (const uint64_t bytes : sizes) {
      for (const uint64_t chunk : chunks) {
        setup.scheme = scheme;
        setup.bytes = bytes;
        setup.chunk_bytes = chunk;
        Measure(setup);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace skerry

int main(int argc, char** argv) { return skerry::Main(argc, argv); }
