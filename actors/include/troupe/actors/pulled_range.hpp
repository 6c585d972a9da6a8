#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/transport/block.hpp"
#include "troupe/values/aligned.hpp"

namespace troupe::actors {

using transport::placed_blocks;

/// The remaining work on a range of a worker's parameters between its pull and its use.
///
/// PULLED-1 After `settle` each element is the pulled value less `step` times each own gradient,
///          one after the other, wherever the pull left the value.
/// PULLED-2 A range is settled once, however often `settle` is called, because its copies share
///          that state. So a batch that is computed anew after its compute actor died subtracts
///          nothing twice.
struct pulled_range {
  scheduler::shard_range range; ///< of the flat parameter vector
  /// The blocks of the pull that were kept (TRANSFER-8): whole floats, by byte offset in the range.
  /// The rest of the range is in the parameters.
  placed_blocks kept;
  /// The gradients that the pull lacks (WORKER-4), each of the whole model's size, in the order of
  /// their clocks.
  std::vector<std::shared_ptr<const tensor::aligned_vector<float>>> own_writes;
  float step = 0; ///< by which gradients are subtracted
  std::shared_ptr<std::atomic<bool>> settled = std::make_shared<std::atomic<bool>>(false);
};

/// Settles the range in one pass. `parameters` are those of the whole model and do not overlap with
/// the memory that is read. May be called from any thread.
void settle(const pulled_range& pulled, std::span<float> parameters);

} // namespace troupe::actors
