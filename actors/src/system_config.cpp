#include "troupe/actors/system_config.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include <caf/io/all.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/scribe_impl.hpp>

#include "stream_scribe.hpp"
#include "troupe/actors/message_guard.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/transport/tcp_socket.hpp"

namespace troupe::actors {

namespace {

// A connection whose bytes are looked at first (message_guard), and that is a guest until its
// handshake (guest_watch). `Scribe` moves the bytes.
template <class Scribe>
class guarded final : public Scribe {
 public:
  template <class... Arguments>
  guarded(std::shared_ptr<transport::guest_watch> guests, int socket, transport::stream_side side,
          Arguments&&... arguments)
      : Scribe(std::forward<Arguments>(arguments)...), guests_(std::move(guests)), socket_(socket),
        guard_(side) {
    if (side == transport::stream_side::accepting) ticket_ = guests_->arrived(socket_);
  }
  ~guarded() override { guests_->left(ticket_); }

  bool consume(caf::execution_unit* context, const void* data, std::size_t size) override {
    using enum message_guard::verdict;
    const auto verdict = guard_.look({static_cast<const std::byte*>(data), size});
    if (verdict == refuse) {
      const auto length = std::to_string(guard_.announced());
      guests_->refuse(socket_, "its bytes are not those of a Troupe process (a message of " +
                                   length + " bytes)");
      return true; // the next read finds the end of the connection
    }
    const bool more = Scribe::consume(context, data, size);
    if (verdict == handshaken && more) guests_->left(std::exchange(ticket_, 0));
    return more;
  }

 private:
  std::shared_ptr<transport::guest_watch> guests_;
  int socket_;
  transport::guest_watch::ticket ticket_ = 0;
  message_guard guard_;
};

// Every connection of messages that is made or accepted passes here: what waits in the kernel to be
// sent to a peer that is near is bounded, a peer that is cut off is noticed, its bytes go through
// the stream of the configuration, and strangers are kept out.
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
    transport::limit_silence(fd);
    if (transport::is_near(fd)) caf::io::network::send_buffer_size(fd, transport::near_send_buffer);
    const auto* config = dynamic_cast<const system_config*>(&system().config());
    if (config == nullptr) return default_multiplexer::new_scribe(fd);
    if (!config->streams)
      return caf::make_counted<guarded<caf::io::network::scribe_impl>>(config->guests, fd, side,
                                                                       *this, fd);
    return caf::make_counted<guarded<stream_scribe>>(
        config->guests, fd, side, *this, config->streams(transport::tcp_socket{fd}, side));
  }
};

} // namespace

system_config::system_config(bool networked) {
  actors::add_message_types(*this);
  set("scheduler.policy", caf::atom("sharing"));
  // Gradients are computed on threads of their own. Of these, one at a time may be held by a node
  // that loads data, one by its dialer, one by the evaluator and one by the archive; the others move
  // messages and apply.
  set("scheduler.max-threads",
      static_cast<std::int64_t>(std::clamp(std::thread::hardware_concurrency(), 5u, 8u)));
  if (networked) {
    pools->enable(); // its peers may be processes of this host
    guests = std::make_shared<transport::guest_watch>();
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
