#pragma once

#include <memory>

#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/stream_impl.hpp>
#include <caf/io/scribe.hpp>

#include "troupe/transport/byte_stream.hpp"

namespace troupe::actors {

/// How CAF's loop moves the bytes of a connection through a byte stream.
///
/// The loop waits for input before it reads and for output before it writes. So a stream that
/// shakes hands (STREAM-2) must have done so before.
class stream_policy {
 public:
  explicit stream_policy(std::unique_ptr<transport::byte_stream> s) : stream_(std::move(s)) {}
  stream_policy(stream_policy&&) = default;
  /// CAF closes the socket.
  ~stream_policy() {
    if (stream_) stream_->release_socket();
  }

  caf::io::network::rw_state read_some(std::size_t& got, caf::io::network::native_socket, void* to,
                                       std::size_t size);
  caf::io::network::rw_state write_some(std::size_t& put, caf::io::network::native_socket,
                                        const void* from, std::size_t size);
  bool must_read_more(caf::io::network::native_socket, std::size_t) const {
    return stream_->has_input(); // STREAM-4
  }

 private:
  std::unique_ptr<transport::byte_stream> stream_;
  bool withheld_ = false;
};

/// A connection of messages over a byte stream.
class stream_scribe : public caf::io::scribe {
 public:
  stream_scribe(caf::io::network::default_multiplexer& loop,
                std::unique_ptr<transport::byte_stream> s);

  void configure_read(caf::io::receive_policy::config how) override;
  void ack_writes(bool on) override { stream_.ack_writes(on); }
  std::vector<char>& wr_buf() override { return stream_.wr_buf(); }
  std::vector<char>& rd_buf() override { return stream_.rd_buf(); }
  void graceful_shutdown() override;
  void flush() override { stream_.flush(this); }
  std::string addr() const override;
  std::uint16_t port() const override;
  void add_to_loop() override { stream_.activate(this); }
  void remove_from_loop() override { stream_.passivate(); }

 private:
  bool begun_ = false;
  caf::io::network::stream_impl<stream_policy> stream_;
};

} // namespace troupe::actors
