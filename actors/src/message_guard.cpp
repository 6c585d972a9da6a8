#include "troupe/actors/message_guard.hpp"

#include <utility>

namespace troupe::actors {

namespace {

constexpr std::byte server_handshake{0}, client_handshake{1};

std::uint32_t big_endian(std::span<const std::byte, 4> from) {
  std::uint32_t value = 0;
  for (const auto b : from) value = value << 8 | std::to_integer<std::uint32_t>(b);
  return value;
}

} // namespace

message_guard::verdict message_guard::look(std::span<const std::byte> piece) {
  if (payload_ > 0) {
    payload_ = 0;
    return std::exchange(handshaken_, true) ? verdict::pass : verdict::handshaken;
  }
  if (piece.size() != header_size) return verdict::refuse;
  payload_ = big_endian(piece.subspan<4, 4>());
  if (handshaken_) return payload_ <= message_max ? verdict::pass : verdict::refuse;
  const auto expected =
      side_ == transport::stream_side::accepting ? client_handshake : server_handshake;
  if (piece[0] != expected || payload_ == 0 || payload_ > handshake_max) return verdict::refuse;
  return verdict::pass;
}

} // namespace troupe::actors
