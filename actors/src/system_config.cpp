#include "troupe/actors/system_config.hpp"

#include <algorithm>
#include <thread>

#include <caf/io/all.hpp>

#include "troupe/actors/messages.hpp"

namespace troupe::actors {

system_config::system_config(bool networked) {
  actors::add_message_types(*this);
  set("scheduler.policy", caf::atom("sharing"));
  // Gradients are computed on threads of their own. Of these, one at a time may be held by a node
  // that loads data or connects, one by the evaluator and one by the archive; the others move
  // messages and apply.
  set("scheduler.max-threads",
      static_cast<std::int64_t>(std::clamp(std::thread::hardware_concurrency(), 5u, 8u)));
  if (networked) {
    shared_pools::of_process().enable(); // its peers may be processes of this host
    load<caf::io::middleman>();
    set("middleman.workers", static_cast<std::int64_t>(0));
  }
}

} // namespace troupe::actors
