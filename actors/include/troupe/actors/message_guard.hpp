#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "troupe/transport/byte_stream.hpp"

namespace troupe::actors {

/// Looks at the bytes of a connection before CAF does. CAF 0.17.6 takes whatever 32 bytes a
/// connection begins with for a header and allocates and clears as many bytes as the header names, up
/// to 4 GiB, on the thread that serves all connections.
///
/// GUARD-1  The first message of a connection is a handshake of at most `handshake_max` bytes, and of
///          the kind that this side waits for.
/// GUARD-2  No later message is longer than `message_max`.
///
/// The pieces are those that CAF reads: a header, then as many bytes as it names, if any. (BASP
/// version 3; caf/io/basp/header.hpp.)
class message_guard {
 public:
  static constexpr std::size_t header_size = 32;
  static constexpr std::uint32_t handshake_max = 16 << 10;
  /// A message carries at most a window of parts, or what one node reports of a job.
  static constexpr std::uint32_t message_max = 64 << 20;

  enum class verdict : std::uint8_t {
    pass,
    handshaken, ///< pass: the handshake is complete with this piece
    refuse,     ///< end the connection, and do not hand this piece on
  };

  explicit message_guard(transport::stream_side side) : side_(side) {}

  verdict look(std::span<const std::byte> piece);
  /// The length that was refused.
  std::uint32_t announced() const noexcept { return payload_; }

 private:
  transport::stream_side side_;
  std::uint32_t payload_ = 0; // to come; 0: a header is next
  bool handshaken_ = false;
};

} // namespace troupe::actors
