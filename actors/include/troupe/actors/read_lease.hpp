#pragma once

#include <atomic>
#include <chrono>

namespace troupe::actors {

/// How long the primaries of a node may answer reads. The node's heartbeat extends it with each
/// answer of the scheduler, which gives the node's shards to others only when it has run out; so a
/// primary that was replaced while it hung answers nothing from the past.
///
/// LEASE-1  A heartbeat sent at t and answered allows reads until t + length: counted from before
///          the scheduler heard it, by the clock of the node alone.
/// LEASE-2  The scheduler replaces a node that may still run, one that is drained too, no earlier
///          than `length` after the last heartbeat that it answered it, counted from after it was
///          sent.
///
/// Thread-safe.
class read_lease {
 public:
  using clock = std::chrono::steady_clock;
  /// Shorter than any silence that the failure detector acts on (PHI-3), so that it delays nothing.
  static constexpr clock::duration length = std::chrono::milliseconds(1250);

  void extend(clock::time_point until) noexcept {
    auto to = until.time_since_epoch().count();
    auto from = until_.load(std::memory_order_relaxed);
    while (from < to && !until_.compare_exchange_weak(from, to, std::memory_order_relaxed)) {
    }
  }
  bool valid(clock::time_point now) const noexcept {
    return now.time_since_epoch().count() < until_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<clock::rep> until_{clock::time_point::min().time_since_epoch().count()};
};

} // namespace troupe::actors
