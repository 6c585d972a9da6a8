#pragma once

#include <chrono>

namespace troupe::chaos {

/// Virtual time since the beginning of a run.
using sim_time = std::chrono::nanoseconds;

/// Properties of one direction of a link while a fault lasts. Control messages keep the promises of
/// their connection (order, no loss) with any values. `drop`, `duplicate` and `reorder` affect only
/// messages of the data path, because these may travel on other connections and are sent again when
/// lost.
struct link_properties {
  sim_time latency{};          ///< added to every message
  sim_time jitter{};           ///< up to so much more, evenly distributed
  double drop = 0;             ///< probability that a message is lost, from 0 to 1
  double duplicate = 0;        ///< probability that a message arrives twice
  double reorder = 0;          ///< probability that a message may be overtaken
  double bytes_per_second = 0; ///< 0: no limit
  friend bool operator==(const link_properties&, const link_properties&) = default;
};

} // namespace troupe::chaos
