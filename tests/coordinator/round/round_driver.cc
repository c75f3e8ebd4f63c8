#include "tests/coordinator/round/round_driver.h"

namespace skerry {
namespace {

struct Printer {
  std::string text;

  void operator()(const RoundStarted& record) {
    text += fmt::format("started {} {}", record.round.value(), record.attempt.value());
    for (const NodeId& node : record.invited) text += " " + node.value();
  }
  void operator()(const SessionStored& record) {
    text += fmt::format("session {} {} {}", record.round.value(), record.attempt.value(),
                        record.state.SerializeAsString());
  }
  void operator()(const BudgetCharged& record) {
    text += fmt::format("charged {} {} {} {} {}", record.round.value(), record.attempt.value(),
                        record.survivors, record.epsilon_spent, record.is_skipped);
  }
  void operator()(const RoundCommitted& record) {
    text += fmt::format("committed {} {}", record.round.value(), record.model_sha256);
    for (const ParticipantRecord& participant : record.participants) {
      text += fmt::format(" {}={}({}){}", participant.node.value(),
                          ParticipationName(participant.participation), participant.reason,
                          participant.finished_after.value_or(Duration(-1)).count());
    }
    text += fmt::format(" {} {} {}", record.timings.until_quorum.count(),
                        record.timings.until_closed.count(), record.timings.committing.count());
  }
  void operator()(const EvaluationRecorded& record) {
    text += fmt::format("evaluated {}", record.version.value());
  }
  void operator()(const EventRecorded& record) {
    text += fmt::format("event {} {} {} {}", record.round.value(), record.kind, record.node,
                        record.detail);
  }
  void operator()(const RunEnded& record) {
    text += fmt::format("ended {} {}", static_cast<int>(record.status), record.detail);
  }
  void operator()(const AddUploadWork& work) {
    text += fmt::format("add {} {} {}", work.node.value(), work.round.value(), work.content_id);
  }
  void operator()(const SealSumWork& work) {
    text += fmt::format("seal {} {}", work.round.value(), work.attempt.value());
  }
  void operator()(const DiscardSumWork&) { text += "discard the sum"; }
  void operator()(const CommitWork& work) {
    text +=
        fmt::format("commit {} {} {}", work.round.value(), work.survivor_count, work.is_skipped);
  }
  void operator()(const EvaluateWork& work) {
    text += fmt::format("evaluate {}", work.version.value());
  }
  void operator()(const ReceiveUpload& order) {
    text += fmt::format("receive {} {} {} {} {} {}", order.node.value(), order.peer.value(),
                        order.round.value(), order.content_id, order.bytes, order.is_inline);
  }
  void operator()(const DropUpload& order) { text += "drop " + order.node.value(); }
  void operator()(const DropAllUploads&) { text += "drop all"; }
};

}  // namespace

std::string Print(const Outbox& out) {
  Printer printer;
  const auto print_all = [&](const auto& items) {
    for (const auto& item : items) {
      std::visit(printer, item);
      printer.text += '\n';
    }
  };
  print_all(out.persist);
  for (const OutgoingMessage& message : out.send) {
    printer.text += fmt::format("to {} {} {}\n", message.peer.value(), message.attach_model,
                                message.envelope.SerializeAsString());
  }
  print_all(out.work);
  print_all(out.uploads);
  return printer.text;
}

}  // namespace skerry
