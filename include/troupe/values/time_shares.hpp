#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::scheduler {

/// The activities of a worker.
enum class activity : std::uint8_t {
  computing,  ///< computes a gradient
  parameters, ///< waits for a pull that only the transfer delays
  lease,      ///< waits for a batch to compute
  bound,      ///< waits for a pull that the mode's read rule delays (ssp, bsp)
  other,      ///< waits for its pushes to be confirmed; exchanges a batch with its compute actor
};
inline constexpr std::size_t activities = static_cast<std::size_t>(activity::other) + 1;

/// The name of the enumerator: "computing". Empty for a number that is no activity.
std::string_view name_of(activity a) noexcept;

/// Time by activity, in nanoseconds. A value: copy, add, send. Not thread-safe.
class time_shares {
 public:
  using duration = std::chrono::nanoseconds;

  void add(activity a, duration d) noexcept { spent_[static_cast<std::size_t>(a)] += d; }
  time_shares& operator+=(const time_shares& other) noexcept;

  duration of(activity a) const noexcept { return spent_[static_cast<std::size_t>(a)]; }
  /// The sum over all activities.
  duration whole() const noexcept;
  /// The share of the whole, 0 to 1; 0 if the whole is 0.
  double share(activity a) const noexcept;

  friend bool operator==(const time_shares&, const time_shares&) = default;

 private:
  std::array<duration, activities> spent_{};
};

/// Divides one worker's time among its activities:
///
///     turn(parameters) ---- attribute(bound, 3 ms) ---- turn(other) ---- turn(parameters) ...
///     |<--------------- 5 ms ------------------------->|
///       parameters: 2 ms, bound: 3 ms
///
/// TIME-1  The activities add up to the time from the first turn to the last.
/// TIME-2  Attributed time is taken from the open interval, and is never more than that interval
///         lasts.
/// TIME-3  If the clock steps back, the step adds nothing.
///
/// Time is an argument. Not thread-safe.
class time_account {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Closes the open interval and begins an interval of activity `to`.
  void turn(activity to, time_point now) noexcept;
  /// Counts `amount` of the open interval as activity `a` instead of the interval's own. Does
  /// nothing if no interval is open.
  void attribute(activity a, time_shares::duration amount) noexcept;

  /// The activity of the open interval; empty before the first turn.
  std::optional<activity> doing() const noexcept { return doing_; }
  /// The time of the closed intervals.
  const time_shares& spent() const noexcept { return spent_; }

 private:
  std::optional<activity> doing_;
  time_point since_{};
  time_shares elsewhere_; // of the open interval
  time_shares spent_;
};

} // namespace troupe::scheduler
