#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "fault.hpp"

namespace troupe::chaos_test {

/// How long training stood after faults to the process of a shard's primary.
struct recovery_times {
  using duration = std::chrono::duration<double, std::milli>;

  std::vector<duration> until_view;    ///< from the signal until the status shows the next view
  std::vector<duration> until_applied; ///< until a batch leased in that view is applied everywhere
  duration longest_look{};             ///< between two looks at the status: the error of the above
};

/// Trains integers without an end on real processes, with 2 replicas, and does `kind` (kill_shard
/// or stop_shard) `count` times to the primary of a shard, each time with all chains whole again. A
/// stopped process goes on when its node was replaced. The status is asked for over one connection,
/// every 2 ms. A batch is applied everywhere when `batches_done` has grown by more than the leases
/// that were out when the view was first seen: at least one of those was leased afterwards, so the
/// figure is an upper bound. Throws std::runtime_error when training does not go on within 60 s.
recovery_times measure_recovery(fault_kind kind, std::uint32_t count, const std::string& mode,
                                std::uint64_t seed);

} // namespace troupe::chaos_test
