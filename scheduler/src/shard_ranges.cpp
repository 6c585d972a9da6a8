#include "troupe/scheduler/shard_ranges.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace troupe::scheduler {

std::vector<shard_range> make_shard_ranges(std::size_t parameters, std::uint32_t shards) {
  if (shards == 0)
    throw std::invalid_argument("[troupe::scheduler::make_shard_ranges] expected at least one "
                                "shard, found none");
  if (parameters < shards)
    throw std::invalid_argument("[troupe::scheduler::make_shard_ranges] expected at least one "
                                "parameter per shard, found " +
                                std::to_string(parameters) + " parameters for " +
                                std::to_string(shards) + " shards");
  const std::size_t lines = (parameters - 1) / shard_alignment + 1;
  const std::size_t unit = lines >= shards ? shard_alignment : 1;
  const std::size_t units = unit == 1 ? parameters : lines;
  const std::size_t each = units / shards;
  const std::size_t larger = units % shards;

  std::vector<shard_range> result;
  result.reserve(shards);
  std::size_t first = 0;
  for (std::uint32_t i = 0; i < shards; ++i) {
    // The larger ranges come last: the last line may be partial, and must not make a small range
    // smaller still (RANGES-2).
    const std::size_t wanted = (each + (i >= shards - larger ? 1 : 0)) * unit;
    const std::size_t size = std::min(wanted, parameters - first);
    result.push_back({.first = first, .size = size});
    first += size;
  }
  return result;
}

} // namespace troupe::scheduler
