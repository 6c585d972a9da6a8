#include "stream_scribe.hpp"

#include <utility>

namespace troupe::actors {

using caf::io::network::native_socket;
using caf::io::network::rw_state;
using enum transport::stream_result::outcome;

// For CAF, success with no bytes means: later.
rw_state stream_policy::read_some(std::size_t& got, native_socket, void* to, std::size_t size) {
  const iovec piece{to, size};
  const auto r = stream_->read({&piece, 1});
  got = r.bytes;
  return r.what == ended ? rw_state::failure : rw_state::success;
}

// CAF calls again while not all bytes are written. So the last byte counts as not written while the
// stream still keeps some back (STREAM-3).
rw_state stream_policy::write_some(std::size_t& put, native_socket, const void* from,
                                   std::size_t size) {
  constexpr std::size_t turn = 1u << 20; // then other connections have their turn
  put = 0;
  const auto* at = static_cast<const char*>(from);
  if (!withheld_) {
    while (put < size && put < turn) {
      const iovec piece{const_cast<char*>(at) + put, size - put};
      const auto r = stream_->write({&piece, 1});
      if (r.what == ended) return rw_state::failure;
      if (r.what != moved) return rw_state::success;
      put += r.bytes;
    }
    if (put < size) return rw_state::success;
  } else {
    put = size; // the byte that was withheld
  }
  const auto r = stream_->flush();
  if (r.what == ended) return rw_state::failure;
  withheld_ = r.what != moved;
  if (withheld_) --put;
  return rw_state::success;
}

stream_scribe::stream_scribe(caf::io::network::default_multiplexer& loop,
                             std::unique_ptr<transport::byte_stream> s)
    : caf::io::scribe(caf::io::network::conn_hdl_from_socket(s->socket().fd())),
      stream_(loop, s->socket().fd(), std::move(s)) {}

void stream_scribe::configure_read(caf::io::receive_policy::config how) {
  stream_.configure_read(how);
  if (!std::exchange(begun_, true)) stream_.start(this);
}

void stream_scribe::graceful_shutdown() {
  stream_.graceful_shutdown();
  detach(&stream_.backend(), false);
}

std::string stream_scribe::addr() const {
  const auto address = caf::io::network::remote_addr_of_fd(stream_.fd());
  return address ? *address : std::string{};
}

std::uint16_t stream_scribe::port() const {
  const auto port = caf::io::network::remote_port_of_fd(stream_.fd());
  return port ? *port : std::uint16_t{0};
}

} // namespace troupe::actors
