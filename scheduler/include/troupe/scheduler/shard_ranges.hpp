#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::scheduler {

/// A contiguous part [first, first + size) of the flat parameter vector.
struct shard_range {
  std::size_t first = 0;
  std::size_t size = 0;
  friend bool operator==(const shard_range&, const shard_range&) = default;
};

/// Floats per 64-byte cache line: ranges are cut at multiples of it where possible.
inline constexpr std::size_t shard_alignment = 16;

/// Cuts `parameters` floats into one range per shard, by shard index. A function of its arguments
/// alone, so every process cuts alike.
///
/// RANGES-1  The ranges are adjacent, in order, and cover [0, parameters) exactly.
/// RANGES-2  None is empty, and their sizes differ by at most `shard_alignment`.
/// RANGES-3  When there is a cache line for each shard, every range begins at a multiple of
///           `shard_alignment`; otherwise sizes differ by at most 1.
///
/// Throws std::invalid_argument when there is no shard, or fewer parameters than shards.
std::vector<shard_range> make_shard_ranges(std::size_t parameters, std::uint32_t shards);

} // namespace troupe::scheduler
