#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

/// What two processes say on a bulk connection (bulk_links.hpp). Knows neither CAF nor sockets.
/// All integers are fixed width, most significant byte first.
///
///     greeting   the one who connected, then the one who listens; 128 bytes each
///       8  "troupe b"          4  version of this form     8  the listener's token
///       4  who sends parts: 0 the one who connected, 1 the one who listens
///       4  length of the name  100  the sender's name, then zeros
///
///     frame      of that one, again and again
///       4  "part"              4  bytes that follow        8  receiver
///       8  transfer            4  sender                   4  zero
///       8  offset              8  bytes of the whole transfer
///
/// BULK-1 Nothing is allocated for a frame before it was checked: its form, its length (1 to
///        `bulk_max_bytes`, of whole floats but at the end of the transfer) and its place within
///        the transfer. One that does not pass closes the connection: where the next frame begins
///        is not known any more.
namespace troupe::transport {

inline constexpr std::uint32_t bulk_version = 1;
inline constexpr std::uint32_t bulk_max_bytes = 1u << 20;
inline constexpr std::size_t greeting_bytes = 128;
inline constexpr std::size_t frame_bytes = 48;
inline constexpr std::size_t bulk_name_max = 100;

/// Who sends parts on a connection.
enum class bulk_sender : std::uint32_t { connecting = 0, listening = 1 };

struct bulk_greeting {
  std::uint64_t token = 0;
  bulk_sender sender = bulk_sender::connecting;
  std::string name; ///< of the process that sends it; 1 to `bulk_name_max` bytes
};

struct bulk_frame {
  std::uint32_t size = 0;
  std::uint64_t receiver = 0; ///< at the other process
  std::uint64_t transfer = 0;
  std::uint32_t from = 0;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  friend bool operator==(const bulk_frame&, const bulk_frame&) = default;
};

std::array<std::byte, greeting_bytes> encode(const bulk_greeting& g);
/// False, with the reason in `why`, for what is no greeting of this version.
bool decode(std::span<const std::byte, greeting_bytes> bytes, bulk_greeting& g, std::string& why);

std::array<std::byte, frame_bytes> encode(const bulk_frame& f);
/// False, with the reason in `why`, for what is no frame (BULK-1).
bool decode(std::span<const std::byte, frame_bytes> bytes, bulk_frame& f, std::string& why);

} // namespace troupe::transport
