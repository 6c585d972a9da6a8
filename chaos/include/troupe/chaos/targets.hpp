#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "troupe/chaos/fault.hpp"

namespace troupe::chaos {

/// How the processes of a run stand at a moment. They have numbers: 0 is the scheduler, node i is
/// i + 1.
struct standing {
  struct process {
    bool alive = false;
    std::uint32_t workers = 0; ///< that it offers
  };
  std::vector<process> processes;
  /// By shard: the processes that hold its replicas, the primary's first; some may be dead.
  std::vector<std::vector<std::uint32_t>> chains;
};

/// The numbers of those that a fault is done to, all alive; empty: nobody matches.
std::vector<std::uint32_t> targets_of(const fault& f, const standing& now);

/// The pairs of processes that a partition cuts, of `processes` in all; the first of a pair is a
/// target. A pair stands once.
std::vector<std::pair<std::uint32_t, std::uint32_t>>
cut_pairs(const fault& f, const std::vector<std::uint32_t>& targets, std::size_t processes);

} // namespace troupe::chaos
