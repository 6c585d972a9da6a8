#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

namespace troupe::scheduler {

/// The limit of restarts: at most `restarts` within any `period`, over all children together.
///
/// The semantics are those of Erlang/OTP's supervisor (stdlib, supervisor.erl, `add_restart`;
/// "Supervision Principles": "If more than MaxR number of restarts occur in the last MaxT seconds,
/// the supervisor terminates all the child processes and then itself").
///
/// INTENSITY-1  A call is admitted exactly if, with this call, at most `restarts` calls lie within
///              the last `period`, both ends included: a call of exactly `period` ago still counts.
/// INTENSITY-2  A refused call counts like an admitted call.
/// INTENSITY-3  The object keeps at most `restarts` + 1 times, whatever the number of calls.
///
/// Time may stand still. If a call's time is earlier than the time of the call before, the earlier
/// call's time is used. Not thread-safe.
class restart_intensity {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct options {
    std::uint32_t restarts = 3; ///< 0: the first failure is one too many
    duration period = std::chrono::seconds(5);
  };

  /// Throws std::invalid_argument unless the period is above zero.
  explicit restart_intensity(options o);

  /// Counts a restart wanted at `now`. Returns false if it exceeds the limit.
  bool admit(time_point now);

  /// The number of calls within the period at the last call, that call included.
  std::size_t count() const noexcept { return times_.size(); }

 private:
  options options_;
  std::deque<time_point> times_; // never earlier than the one before
};

/// The delay before one child is started again: exponential, capped, with jitter. (OTP starts again
/// at once.) The delay is the "equal jitter" family of M. Brooker, "Exponential Backoff And
/// Jitter", AWS Architecture Blog, 2015.
///
/// BACKOFF-1  The k-th delay in a row is min(first * 2^(k-1), max) * (1 - jitter * u). u is drawn
///            anew for each delay, so that children that fail together do not come back together.
/// BACKOFF-2  If a failure comes at least `quiet` after the end of the delay before, it is the
///            first of a new row.
/// BACKOFF-3  No delay is negative or above `max`, however long the row.
///
/// If `first` is large compared with period / restarts of the intensity, the delays alone keep the
/// number of restarts below the limit, and no failure is ever escalated. Choose both together. Not
/// thread-safe.
class restart_backoff {
 public:
  using time_point = restart_intensity::time_point;
  using duration = restart_intensity::duration;
  /// Uniform between 0 and 1.
  using random = std::function<double()>;

  struct options {
    duration first = std::chrono::milliseconds(10); ///< 0: never wait
    duration max = std::chrono::seconds(5);
    double jitter = 0.5; ///< 0: none; 1: anything from 0 to the whole delay
    duration quiet = std::chrono::seconds(30);
  };

  /// Throws std::invalid_argument unless 0 <= first <= max, 0 <= jitter <= 1 and quiet is above
  /// zero.
  explicit restart_backoff(options o);

  /// The delay after a failure at `now`. Throws std::invalid_argument if `draw` gives a number
  /// outside [0, 1].
  duration next(time_point now, const random& draw);

  /// Failures in the present row.
  std::uint32_t row() const noexcept { return row_; }

 private:
  options options_;
  std::uint32_t row_ = 0;
  duration whole_{};   // the last delay before jitter
  time_point back_at_; // end of the last delay
};

} // namespace troupe::scheduler
