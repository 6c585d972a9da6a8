#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "troupe/transport/shareable_array.hpp"

/// The upper limit of bench_wire: raw TCP between two processes, and the blocks that every path
/// moves.
namespace troupe::bench {

inline constexpr std::uint64_t block_bytes = 1u << 20;

/// Every cache line of the bytes, so that no path is credited with bytes that nobody has touched.
std::uint64_t touch(std::span<const std::byte> bytes);

/// Eight blocks, where a worker's gradients lie: if these pools share memory, peers read them there.
transport::shareable_array blocks(const std::shared_ptr<transport::shared_pools>& pools);
/// They are taken in turn.
const std::byte* block_at(const transport::shareable_array& source, std::size_t i);

/// A listening socket for `serve_raw`, at a free port of the loopback device; -1: there is none.
int listen_raw(std::uint16_t& port);
/// Sends and receives for `raw_stream`s of the other process, until the process ends.
void serve_raw(int listener);

/// MB/s (10^6 bytes) over one connection, there and back; negative: it could not be made.
double raw_stream(std::uint16_t port, bool there, bool back, double seconds);
/// The same over a connection for each way.
double raw_streams(std::uint16_t port, bool there, bool back, double seconds);

} // namespace troupe::bench
