#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "troupe/values/history_event.hpp"

namespace troupe::history {

/// Takes down what the actors of one process do. A null pointer to one stands for "nothing is
/// recorded", at the cost of a branch.
///
/// RECORDER-1  The events of a process have one order, in which what a thread recorded before it
///             sent a message to another comes before what that one records on receipt.
class recorder {
 public:
  virtual ~recorder() = default;
  /// Keeps the event; fills in `time_ns` and `check`. Never fails towards the caller.
  virtual void record(const event& e) noexcept = 0;
};

/// What one process recorded, in its order.
struct process_history {
  std::string name; ///< for messages: "scheduler", "node of process 4711"
  std::vector<event> events;
  /// Nothing is missing but what came after the process was killed. Else (its disk was full) events
  /// that are not here may have happened.
  bool complete = true;
};

/// Keeps events in memory, for tests and simulations. One thread at a time.
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
