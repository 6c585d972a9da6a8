#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::scheduler {

/// What a worker's time goes into.
enum class activity : std::uint8_t {
  computing,  ///< a gradient
  parameters, ///< waits for a pull that nothing but its way holds up
  lease,      ///< waits for a batch to compute
  bound,      ///< waits for a pull that the mode's read rule holds up (ssp, bsp)
  other,      ///< waits for its pushes to be confirmed; hands a batch to its compute actor and back
};
inline constexpr std::size_t activities = static_cast<std::size_t>(activity::other) + 1;

/// As the enumerator: "computing". Empty for a number that is no activity.
std::string_view name_of(activity a) noexcept;

/// Time by activity. A value: copy, add, send. Not thread-safe.
class time_shares {
 public:
  using duration = std::chrono::nanoseconds;

  void add(activity a, duration d) noexcept { spent_[static_cast<std::size_t>(a)] += d; }
  time_shares& operator+=(const time_shares& other) noexcept;

  duration of(activity a) const noexcept { return spent_[static_cast<std::size_t>(a)]; }
  /// The sum over all activities.
  duration whole() const noexcept;
  /// Of the whole, 0 to 1; 0 where there is no time.
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
/// TIME-2  What is attributed is taken from the interval that is open, and never more than that
///         interval lasts.
/// TIME-3  A clock that steps back adds nothing.
///
/// Time is an argument. Not thread-safe.
class time_account {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// From now on this is what it does. Closes the interval that was open.
  void turn(activity to, time_point now) noexcept;
  /// So much of the open interval is of that activity and not of its own. Nothing without one.
  void attribute(activity a, time_shares::duration amount) noexcept;

  /// What it does; none before the first turn.
  std::optional<activity> doing() const noexcept { return doing_; }
  /// Of the closed intervals.
  const time_shares& spent() const noexcept { return spent_; }

 private:
  std::optional<activity> doing_;
  time_point since_{};
  time_shares elsewhere_; // of the open interval
  time_shares spent_;
};

} // namespace troupe::scheduler
