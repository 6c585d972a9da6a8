#pragma once

#include <algorithm>
#include <chrono>

namespace troupe::scheduler {

/// A clock that leaves out the times in which its owner did not run. A failure detector reads this
/// clock. Between two looks it moves by at most `longest_step`. So if the owner was stopped, or a
/// busy machine kept it from running, the owner does not take its own absence for the silence of
/// all others.
///
/// AWAKE-1  It never runs backwards, and never faster than the time passed to it.
/// AWAKE-2  If it is looked at at least once every `longest_step`, it is exact.
class awake_clock {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  awake_clock(time_point begun, duration longest_step)
      : last_(begun), awake_(begun), longest_step_(longest_step) {}

  time_point look(time_point now) {
    awake_ += std::clamp(now - last_, duration{}, longest_step_);
    last_ = std::max(last_, now);
    return awake_;
  }

  /// The time of the last look.
  time_point last() const noexcept { return awake_; }

 private:
  time_point last_;
  time_point awake_;
  duration longest_step_;
};

} // namespace troupe::scheduler
