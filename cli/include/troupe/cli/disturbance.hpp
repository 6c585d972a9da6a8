#pragma once

#include <optional>
#include <span>
#include <string>

#include "troupe/cli/kept_process.hpp"

namespace troupe::cli {

/// Does something to the processes of a cluster while they run. All of it is called by the thread
/// that launches them.
class disturbance {
 public:
  using time_point = kept_process::time_point;

  virtual ~disturbance() = default;

  /// Training has begun, for the first time.
  virtual void begin(time_point now) = 0;

  /// When it wants to act next; none: not any more. Asked after begin().
  virtual std::optional<time_point> due() const = 0;

  /// It is due. The first process is the scheduler's, the others are the nodes' in their order.
  /// Gives the reason where the run is to be given up: then all of them are killed.
  virtual std::optional<std::string> act(time_point now,
                                         std::span<kept_process* const> processes) = 0;
};

} // namespace troupe::cli
