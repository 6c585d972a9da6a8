#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "troupe/values/history_event.hpp"

namespace troupe::history {

/// Records what the actors of one process do. Where a recorder is optional, a null pointer means
/// that nothing is recorded; this costs one branch. record() must be safe to call from several
/// threads at once where actors run on several threads.
///
/// RECORDER-1  The events of a process have one order. If a thread records an event and then sends
///             a message to another thread, the event comes before the events that the receiver
///             records on receipt.
class recorder {
 public:
  virtual ~recorder() = default;
  /// Keeps the event; fills in `time_ns` and `check`. Reports no error to the caller.
  virtual void record(const event& e) noexcept = 0;
};

/// The events that one process recorded, in their order.
struct process_history {
  std::string name; ///< for messages: "scheduler", "node of process 4711"
  std::vector<event> events;
  /// True: every event up to the end of the process, or up to the moment it was killed, is here.
  /// False (for example after a full disk): events that are not here may have happened.
  bool complete = true;
};

/// Keeps events in memory, for tests and simulations. One thread at a time may use it.
class memory_recorder : public recorder {
 public:
  /// `now` gives the time of an event in nanoseconds; null: all are 0.
  explicit memory_recorder(std::string name, std::function<std::int64_t()> now = nullptr)
      : now_(std::move(now)) {
    history_.name = std::move(name);
  }

  void record(const event& e) noexcept override {
    history_.events.push_back(e);
    if (now_) history_.events.back().time_ns = now_();
  }

  const process_history& history() const noexcept { return history_; }

 private:
  std::function<std::int64_t()> now_;
  process_history history_;
};

} // namespace troupe::history
