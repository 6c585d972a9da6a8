#pragma once

#include <atomic>
#include <chrono>

namespace troupe::actors {

/// The time until which the primaries of a node may answer reads. Each answer of the scheduler to
/// the node's heartbeat extends it. The scheduler gives the node's shards to other nodes only after
/// the lease has run out. So a primary that was replaced while it hung answers nothing from the
/// past.
///
/// LEASE-1  If a heartbeat sent at t is answered, reads are allowed until t + length. The time
///          counts from before the scheduler received the heartbeat, by the node's own clock.
/// LEASE-2  If a node may still run, drained or not, the scheduler replaces it no earlier than
///          `length` after it answered the node's last heartbeat; this time counts from after that
///          heartbeat was sent.
///
/// Thread-safe.
class read_lease {
 public:
  using clock = std::chrono::steady_clock;
  /// Shorter than any silence that the failure detector acts on (PHI-3): it delays no replacement.
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
