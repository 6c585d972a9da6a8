#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "troupe/scheduler/awake_clock.hpp"

namespace troupe::scheduler {

/// The heartbeats of a node and the scheduler's answers: the number of the next heartbeat, how long
/// the scheduler has been silent, and how far an answer extends the node's read lease.
///
/// PULSE-2  A scheduler that was silent for `patience` is given up, once. Time in which this
///          process did not run does not count (AWAKE-1): a process that was stopped for longer
///          sends a heartbeat first.
/// PULSE-3  An answered heartbeat allows reads from the time at which it was sent (LEASE-1). An
///          answer allows nothing when the heartbeat is unknown, or when a later one was answered
///          before.
///
/// Keeps the newest `unanswered_max` heartbeats.
class heartbeat_log {
 public:
  using time_point = awake_clock::time_point;
  using duration = awake_clock::duration;
  static constexpr std::size_t unanswered_max = 64;

  struct options {
    duration period{};   ///< from one heartbeat to the next
    duration patience{}; ///< with a silent scheduler
  };
  struct order {
    enum class kind : std::uint8_t { nothing, beat, give_up } what = kind::nothing;
    std::uint64_t number = 0; ///< of the heartbeat to send; from 1, ascending
    duration silence{};       ///< of the scheduler that is given up
  };

  heartbeat_log(time_point begun, options o)
      : options_(o), awake_(begun, 2 * o.period), seen_(begun) {}

  /// Called every `period`.
  order next(time_point now);
  /// The scheduler has answered that heartbeat. When the heartbeat was sent, if this allows reads.
  std::optional<time_point> answered(std::uint64_t number, time_point now);
  /// From now on another scheduler is asked.
  void turn_to_another(time_point now) { seen_ = awake_.look(now); }
  /// No more heartbeats, and no scheduler is given up. True the first time.
  bool end() noexcept;

 private:
  options options_;
  std::uint64_t number_ = 0;
  bool ended_ = false;
  std::map<std::uint64_t, time_point> sent_; // unanswered, the newest few
  awake_clock awake_;
  time_point seen_; // when the scheduler was last heard, in the time of `awake_`
};

} // namespace troupe::scheduler
