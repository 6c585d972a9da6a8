#include "troupe/actors/system_config.hpp"

#include <algorithm>
#include <thread>

#include <caf/io/all.hpp>
#include <caf/io/network/default_multiplexer.hpp>

#include "troupe/actors/messages.hpp"
#include "troupe/transport/tcp_socket.hpp"

namespace troupe::actors {

namespace {

// Bounds what waits in the kernel to be sent to peers that are near: of every connection, since all
// that are made and accepted pass `new_scribe`.
class near_multiplexer : public caf::io::network::default_multiplexer {
 public:
  using default_multiplexer::default_multiplexer;
  caf::io::scribe_ptr new_scribe(caf::io::network::native_socket fd) override {
    if (transport::is_near(fd)) caf::io::network::send_buffer_size(fd, transport::near_send_buffer);
    return default_multiplexer::new_scribe(fd);
  }
};

} // namespace

system_config::system_config(bool networked) {
  actors::add_message_types(*this);
  set("scheduler.policy", caf::atom("sharing"));
  // Gradients are computed on threads of their own. Of these, one at a time may be held by a node
  // that loads data or connects, one by the evaluator and one by the archive; the others move
  // messages and apply.
  set("scheduler.max-threads",
      static_cast<std::int64_t>(std::clamp(std::thread::hardware_concurrency(), 5u, 8u)));
  if (networked) {
    pools->enable(); // its peers may be processes of this host
    load<caf::io::middleman, near_multiplexer>();
    set("middleman.workers", static_cast<std::int64_t>(0));
  }
}

std::shared_ptr<transport::shared_pools> pools_of(const caf::actor_system& system) {
  const auto* config = dynamic_cast<const system_config*>(&system.config());
  return config != nullptr ? config->pools : nullptr;
}

transport::shared_pools* pools_of(const caf::execution_unit* context) {
  if (context == nullptr) return nullptr;
  const auto* config = dynamic_cast<const system_config*>(&context->system().config());
  return config != nullptr ? config->pools.get() : nullptr;
}

} // namespace troupe::actors
