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

/// What is left to do with a range of a worker's parameters between its pull and its use.
///
/// PULLED-1 After `settle` each element is what was pulled less `step` times each own gradient, one
///          after the other, wherever the pull left it.
/// PULLED-2 A range is settled once, however often that is asked: its copies know of each other. So
///          a batch that is computed anew, because its compute actor died, subtracts nothing twice.
struct pulled_range {
  scheduler::shard_range range; ///< of the flat parameter vector
  /// What was kept of the pull (TRANSFER-8): whole floats, by byte offset in the range. The rest
  /// lies in the parameters.
  placed_blocks kept;
  /// Of the whole model's size, in the order of their clocks: what the pull lacks (WORKER-4).
  std::vector<std::shared_ptr<const tensor::aligned_vector<float>>> own_writes;
  float step = 0; ///< by which gradients are subtracted
  std::shared_ptr<std::atomic<bool>> settled = std::make_shared<std::atomic<bool>>(false);
};

/// Does it, in one pass. `parameters` are those of the whole model and do not overlap with what is
/// read. Any thread.
void settle(const pulled_range& pulled, std::span<float> parameters);

} // namespace troupe::actors
