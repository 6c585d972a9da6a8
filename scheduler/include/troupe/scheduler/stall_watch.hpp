#pragma once

#include <chrono>

namespace troupe::scheduler {

/// Notices that a run stands still, though its processes may all be healthy.
///
/// STALL-1  `tell` is given once for each standstill, when nothing has moved for `tell_after`.
/// STALL-2  `give_up` is given when nothing has moved for `limit`, if there is one.
/// STALL-3  Time in which `look` was not called does not count: then the scheduler itself did not
///          run.
///
/// A plain value; not thread-safe.
class stall_watch {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct options {
    duration tell_after = std::chrono::seconds(10);
    duration limit{};                        ///< 0: none
    duration look = std::chrono::seconds(1); ///< the longest time between two calls of `look`
  };
  enum class alarm { none, tell, give_up };

  stall_watch() = default;
  explicit stall_watch(options o) : options_(o) {}

  /// Something moved. Returns how long the run had stood still, if that had been told; else 0.
  duration moved();
  alarm look(time_point now);
  /// The time in which nothing has moved.
  duration still() const noexcept { return still_; }
  bool told() const noexcept { return told_; }

 private:
  options options_;
  duration still_{};
  bool told_ = false;
  time_point looked_at_{}; // the epoch of the clock: never
};

} // namespace troupe::scheduler
