#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <sys/uio.h>

#include "troupe/transport/tcp_socket.hpp"

namespace troupe::transport {

/// The result of a call of a stream.
struct stream_result {
  enum class outcome : std::uint8_t {
    moved,
    wants_input,  ///< nothing moves before the socket can be read
    wants_output, ///< nothing moves before the socket can be written
    ended         ///< the connection is closed or broken
  };
  outcome what = outcome::moved;
  std::size_t bytes = 0; ///< number of bytes that moved
};

/// A stream of bytes over a connected socket that does not block: plain TCP, or TLS over it. The
/// owner waits for the socket with poll or epoll, and calls again.
///
/// STREAM-1  No call blocks. When a read or write moves, it moves at least one byte; it may move
///           fewer than there is room for.
/// STREAM-2  Until the first bytes have gone both ways, a read may want output and a write may want
///           input (a handshake). Afterwards a read wants input alone and a write wants output
///           alone.
/// STREAM-3  What `write` took may still wait in the stream. `flush` comes to `moved` when the
///           system has all of it.
/// STREAM-4  While `has_input` is true, a read moves bytes though the socket may have none. Before
///           `read_ahead`, a stream takes no more bytes from the socket than were asked for.
/// STREAM-5  A write that wanted output is called again with the same bytes first.
///
/// One thread at a time may use a stream, but for `shut_down` and `socket`, which any thread may.
class byte_stream {
 public:
  explicit byte_stream(tcp_socket s) : socket_(std::move(s)) {}
  virtual ~byte_stream() = default;
  byte_stream(const byte_stream&) = delete;
  byte_stream& operator=(const byte_stream&) = delete;

  /// Fills the pieces in order.
  virtual stream_result read(std::span<const iovec> to) = 0;
  virtual stream_result write(std::span<const iovec> from) = 0;
  virtual stream_result flush() { return {}; }
  virtual bool has_input() const { return false; }
  virtual void read_ahead() {}
  /// The reason of the end, for the user; empty if the other end is gone.
  virtual std::string why() const { return {}; }

  /// Ends the connection. Calls under way and later calls return `ended`.
  void shut_down() noexcept;
  const tcp_socket& socket() const noexcept { return socket_; }
  /// Gives up ownership of the socket: the caller closes it.
  void release_socket() noexcept { socket_.release(); }

 private:
  tcp_socket socket_;
};

enum class stream_side : std::uint8_t { connecting, accepting };

/// Makes the stream of a connection; a refused connection gives `ended`. Called from any thread.
using stream_maker = std::function<std::unique_ptr<byte_stream>(tcp_socket, stream_side)>;

/// Plain TCP.
std::unique_ptr<byte_stream> plain_stream(tcp_socket s, stream_side side);

} // namespace troupe::transport
