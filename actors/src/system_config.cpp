#include "troupe/actors/system_config.hpp"

#include <algorithm>
#include <thread>

#include <caf/io/all.hpp>
#include <caf/io/network/default_multiplexer.hpp>

#include "stream_scribe.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/transport/tcp_socket.hpp"

namespace troupe::actors {

namespace {

// Every connection of messages that is made or accepted passes here: what waits in the kernel to be
// sent to a peer that is near is bounded, and its bytes go through the stream of the configuration.
class stream_multiplexer : public caf::io::network::default_multiplexer {
 public:
  using default_multiplexer::default_multiplexer;
  caf::io::scribe_ptr new_scribe(caf::io::network::native_socket fd) override {
    return scribe_of(fd, transport::stream_side::accepting);
  }
  caf::expected<caf::io::scribe_ptr> new_tcp_scribe(const std::string& host,
                                                    std::uint16_t port) override {
    auto fd = caf::io::network::new_tcp_connection(host, port);
    if (!fd) return std::move(fd.error());
    return scribe_of(*fd, transport::stream_side::connecting);
  }

 private:
  caf::io::scribe_ptr scribe_of(caf::io::network::native_socket fd, transport::stream_side side) {
    if (transport::is_near(fd)) caf::io::network::send_buffer_size(fd, transport::near_send_buffer);
    const auto* config = dynamic_cast<const system_config*>(&system().config());
    if (config == nullptr || !config->streams) return default_multiplexer::new_scribe(fd);
    return caf::make_counted<stream_scribe>(*this,
                                            config->streams(transport::tcp_socket{fd}, side));
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
    load<caf::io::middleman, stream_multiplexer>();
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
