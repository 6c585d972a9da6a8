#pragma once

#include <functional>
#include <memory>
#include <string>

#include <caf/all.hpp>

#include "troupe/actors/messages.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/job.hpp"
#include "troupe/transport/bulk_lane.hpp"
#include "troupe/transport/bulk_links.hpp"

namespace troupe::actors {

using transport::bulk_lane;
using transport::bulk_links;

/// The bulk connections of an actor system: a process is known to its peers by the name that CAF
/// gives it, a receiver by its actor's number, and what arrives goes to that actor as a `part`, to
/// those alone that take parts and whose handle has been given away. Must end before the system
/// does; then and without one, parts are messages.
class bulk_routes {
 public:
  /// Accepts peers at any free port of `host`, unless that is empty. `tell`: see
  /// bulk_links::options. `config` is that of `system`.
  bulk_routes(system_config& config, caf::actor_system& system, const std::string& host,
              std::function<void(const std::string&)> tell);
  ~bulk_routes();
  bulk_routes(const bulk_routes&) = delete;
  bulk_routes& operator=(const bulk_routes&) = delete;

  /// Completes where this process can be reached.
  contact reached_at(contact at) const;

  /// Connects to a process that is reached at `at`, in its own time.
  void keep(const caf::node_id& process, const contact& at);

  /// Whether these, and shared memory, are used, as the job says. They are at first.
  void apply(const cluster_spec& of_job);

 private:
  system_config& config_;
  std::shared_ptr<bulk_links> links_;
  bulk_links::address own_;
};

/// The way for bulk data to the process of an actor; null when it is this one, or there is none.
std::shared_ptr<bulk_lane> bulk_lane_to(caf::actor_system& system, const caf::node_id& process,
                                        caf::actor_id receiver);
template <class Handle>
std::shared_ptr<bulk_lane> bulk_lane_to(caf::actor_system& system, const Handle& to) {
  return to ? bulk_lane_to(system, to.node(), to.id()) : nullptr;
}

} // namespace troupe::actors
