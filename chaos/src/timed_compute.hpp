#pragma once

#include <functional>

#include "troupe/actors/compute.hpp"

namespace troupe::chaos {

/// Computes as cpu_compute does, on the simulation's thread, and answers after the virtual time
/// that `takes` says for each batch.
actors::compute_actor spawn_timed_compute(caf::actor_system& system,
                                          actors::cpu_compute_options options,
                                          std::function<caf::timespan()> takes);

} // namespace troupe::chaos
