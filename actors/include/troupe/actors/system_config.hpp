#pragma once

#include <memory>

#include <caf/all.hpp>

#include "troupe/transport/byte_stream.hpp"
#include "troupe/transport/guest_watch.hpp"
#include "troupe/transport/shared_pools.hpp"

namespace troupe::transport {
class bulk_links;
}

namespace troupe::actors {

/// A CAF configuration with every Troupe message registered and the settings that measured best on
/// small machines: one shared run queue, no extra deserializer threads.
///
/// Only actors that exchange no message with other processes may be spawned detached, as
/// cpu_compute: CAF 0.17.6 keeps a reference to a detached actor that has sent to another process,
/// sometimes for ever, and then the system's destructor waits for its thread for ever (seen in a
/// third of the runs of a two-worker job whose nodes were detached, in none of 60 since).
///
/// `networked`: load CAF's middleman. CAF's own file and command-line options are not read.
class system_config : public caf::actor_system_config {
 public:
  explicit system_config(bool networked);

  /// Makes the stream of every connection of the system, of messages and of bulk data; null: plain
  /// TCP. To be set before the system is made.
  transport::stream_maker streams;

  /// The bulk connections of the system made from this, while it has any (bulk_routes).
  std::shared_ptr<transport::bulk_links> bulk;

  /// The connections that strangers may have made; null unless networked.
  std::shared_ptr<transport::guest_watch> guests;

  /// The memory that the system made from this shares with other processes of the host; nothing
  /// unless it is networked. Whoever made the configuration sweeps them now and then.
  const std::shared_ptr<transport::shared_pools> pools =
      std::make_shared<transport::shared_pools>();
};

/// The pools of an actor system; null if it was not made from a system_config.
std::shared_ptr<transport::shared_pools> pools_of(const caf::actor_system& system);
/// The same for code that turns messages into bytes and back; `context` may be null.
transport::shared_pools* pools_of(const caf::execution_unit* context);

} // namespace troupe::actors
