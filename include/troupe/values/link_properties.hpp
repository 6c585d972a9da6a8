#pragma once

#include <chrono>

namespace troupe::chaos {

/// Virtual time since the beginning of a run.
using sim_time = std::chrono::nanoseconds;

/// Properties of a link while a fault lasts. What a connection promises (order, no loss) holds for
/// control messages whatever stands here; `drop`, `duplicate` and `reorder` befall the messages of
/// the data path, which may travel on other connections and are sent again when lost.
struct link_properties {
  sim_time latency{};          ///< added to every message
  sim_time jitter{};           ///< and up to so much more, evenly distributed
  double drop = 0;             ///< probability of each, from 0 to 1
  double duplicate = 0;        ///<
  double reorder = 0;          ///<
  double bytes_per_second = 0; ///< 0: without a limit
  friend bool operator==(const link_properties&, const link_properties&) = default;
};

} // namespace troupe::chaos
