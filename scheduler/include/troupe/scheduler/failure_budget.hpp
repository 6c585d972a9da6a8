#pragma once

#include <optional>
#include <string>

#include "troupe/values/restart_policy.hpp"

namespace troupe::scheduler {

/// How many failures a run survives, and which of them was the first.
///
/// BUDGET-1  A failure is one too many exactly if the intensity refuses it (INTENSITY-1).
/// BUDGET-2  The first failure is the oldest one that was followed by another within the period.
class failure_budget {
 public:
  using time_point = restart_intensity::time_point;

  explicit failure_budget(restart_intensity::options o) : intensity_(o) {}

  /// Counts a failure. Returns none if the run goes on, else the reason why it cannot.
  std::optional<std::string> spend(const std::string& reason, time_point now) {
    if (intensity_.count() == 0 || first_.empty()) first_ = reason;
    if (!intensity_.admit(now)) return "failures came too often to go on; the first was: " + first_;
    if (intensity_.count() == 1) first_ = reason;
    return std::nullopt;
  }

 private:
  restart_intensity intensity_;
  std::string first_;
};

} // namespace troupe::scheduler
