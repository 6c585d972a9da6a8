#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

namespace troupe::scheduler {

/// How often is too often: at most `restarts` within any `period`, over all children together.
///
/// The semantics are those of Erlang/OTP's supervisor (stdlib, supervisor.erl, `add_restart`;
/// "Supervision Principles": "If more than MaxR number of restarts occur in the last MaxT seconds,
/// the supervisor terminates all the child processes and then itself").
///
/// INTENSITY-1  A call is admitted exactly if, with it, at most `restarts` calls lie within the
/// last
///              `period`, both ends included: one of exactly `period` ago still counts.
/// INTENSITY-2  A refused call counts like an admitted one.
/// INTENSITY-3  Memory: at most `restarts` + 1 times, however many calls.
///
/// Time may stand still, and a call with an earlier time than the one before counts as at the same.
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

  /// Counts a restart wanted at `now`; false when it is one too many.
  bool admit(time_point now);

  /// Calls that counted at the last call, itself included.
  std::size_t count() const noexcept { return times_.size(); }

 private:
  options options_;
  std::deque<time_point> times_; // never earlier than the one before
};

/// How long to wait before one child is started again: exponential, capped, with jitter. OTP starts
/// again at once; the delay is the "equal jitter" family of M. Brooker, "Exponential Backoff And
/// Jitter", AWS Architecture Blog, 2015.
///
/// BACKOFF-1  The k-th delay in a row is min(first * 2^(k-1), max) * (1 - jitter * u), where u is
///            drawn anew each time: children that fail together do not come back together.
/// BACKOFF-2  A failure at least `quiet` after the end of the delay before is the first of a new
///            row.
/// BACKOFF-3  No delay is negative or above `max`, however long the row.
///
/// Where `first` is large against period / restarts of the intensity, the delays alone keep the
/// intensity from ever being exceeded, and nothing is escalated: choose them together.
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

  /// The delay after a failure at `now`. Throws std::invalid_argument when the number drawn is not
  /// between 0 and 1.
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
