#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "troupe/actors/snapshot_array.hpp"
#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"
#include "troupe/scheduler/applied_set.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/clock_table.hpp"
#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/scheduler/step_buffer.hpp"
#include "troupe/storage/shard_image.hpp"
#include "troupe/tensor/hogwild.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/transport/block.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/values/consistency.hpp"

namespace troupe::actors {

using storage::image_segment;
using storage::shard_image;
using transport::block;
using transport::placed_blocks;

using scheduler::batch_id;
using scheduler::clock_value;
using scheduler::worker_id;

/// A gradient's bytes: float blocks by byte offset.
using gradient_blocks = placed_blocks;

/// The value for an unknown number of updates in a gradient's parameters.
inline constexpr std::uint64_t unknown_updates = UINT64_MAX;

/// A change to the state of a shard. Every replica makes the same changes in the same order
/// (replica_log), so all replicas have the same state, bit for bit.
struct shard_change {
  enum class kind : std::uint8_t {
    gradient, ///< of a batch that was new to the primary
    repeated, ///< a batch came again: only its worker's clock moves
    in_place, ///< hogwild: a worker of this process has applied it to the shared array
    enter,    ///< a worker counts in the clocks from `clock` on
    leave,    ///< a worker no longer counts
    compare,  ///< changes nothing: each replica reports its state after this change
  };
  kind what = kind::gradient;
  worker_id worker;
  clock_value clock = 0;
  batch_id batch;
  /// The number of updates in the parameters that the gradient was computed from.
  std::uint64_t seen_updates = unknown_updates;
  gradient_blocks gradient;
};

/// The state of one shard and its rules; no CAF, no I/O. The actor around it receives, asks, sends.
///
/// SHARD-1  A batch's gradient is applied once: a batch in the applied set is never applied again,
///          whichever worker pushes it.
/// SHARD-2  `async`, `ssp`: a batch is applied with its change. `bsp`: a gradient is kept until its
///          step is complete; then the mean of the step's gradients, summed in batch order, is
///          applied once. Nothing else affects the result: neither the workers that pushed, nor the
///          times, nor the cut of the bytes.
/// SHARD-3  A snapshot never changes.
/// SHARD-4  The snapshot of an epoch is the range at the moment when the epoch's last batch had
///          been applied. (In `async` and `ssp` batches of the next epoch may be in it.) The newest
///          two are kept.
/// SHARD-5  `ssp(s)`: a read at clock c is admitted only while every live worker's applied clock is
///          at least c - s. `bsp`: a read for step k only when step k-1 has been applied.
/// SHARD-6  With staleness damping a gradient is scaled by staleness_scale(n), where n is the
///          number of updates between the read that it was computed from and its own application.
/// SHARD-7  `bsp`: a read for step k gets exactly the parameters that step k-1 left, also from a
///          shard that has applied step k already. If a worker is lost after one shard accepted its
///          batch and before another did, the first shard can be a step ahead. The worker that
///          computes the batch again must see the same parameters on both. (No shard can be two
///          steps ahead of another, because the step after next needs parameters of the next step
///          from all shards.)
/// SHARD-8  The state after a change is a function of the state before and the change: replicas
///          that make the same changes are equal bit for bit.
/// SHARD-9  After a restore onto other ranges the parts of a range may have applied different
///          batches. A batch is then applied to the parts that lack it. Parts with equal sets
///          become one part.
///
/// Not thread-safe, except the shared array of `hogwild`, which workers of the same process use.
class shard_core {
 public:
  struct options {
    scheduler::batch_plan plan{{1, 1, 0}};
    scheduler::consistency mode;
    tensor::sgd_options optimizer;
    std::uint32_t workers = 0; ///< of ids 0 .. workers-1; they all enter the clocks at 0
    bool staleness_damping = false;
    std::shared_ptr<transport::shared_pools> pools = nullptr; ///< null: no memory is shared
  };

  /// `initial`: the parameters of `range`.
  shard_core(const options& o, scheduler::shard_range range, std::span<const float> initial);
  /// Continues from an image; `workers` of the options is ignored. Throws std::invalid_argument if
  /// the image is of another job's shape.
  shard_core(const options& o, const shard_image& image);

  std::size_t size() const noexcept { return range_.size; }

  /// Whether every part of the range has applied the batch (bsp: keeps it).
  bool applied(batch_id batch) const noexcept;
  /// The batches that every part of the range has applied.
  scheduler::applied_set applied_everywhere() const;

  /// Throws std::invalid_argument for a batch that is not of the job or bytes that do not cover the
  /// range: such a change must not be made.
  void check(const shard_change& change) const;

  /// Makes a change that passed the check. Returns true if it brought a new batch.
  bool make(const shard_change& change);

  /// Whether the mode lets a worker at this clock (bsp: for this step) read now (SHARD-5).
  bool may_read(clock_value clock, std::uint64_t step) const;
  /// The answer to an admitted read.
  struct reading {
    snapshot parameters;
    clock_value own_applied = 0;    ///< the reader's clocks below are contained
    std::uint64_t seen_updates = 0; ///< to come back with the gradient
    bool before_last_step = false;  ///< bsp: as they were then (SHARD-7)
  };
  reading read(worker_id worker, clock_value clock, std::uint64_t step) const;
  /// True in bsp: a read misses nothing, whatever the clocks say.
  bool reads_are_exact() const noexcept { return steps_.has_value(); }

  /// The present parameters of the range.
  snapshot current() const;
  /// The range when the epoch's last batch had been applied; null: not complete yet, or too old.
  snapshot of_epoch(std::uint32_t epoch) const;

  /// The whole state. What is large is shared, not copied, but for hogwild, where the caller sees
  /// to it that nobody writes meanwhile.
  shard_image image() const;
  /// For a checkpoint, without clocks and without the snapshots of epochs below `evaluated`. bsp:
  /// as it stands between two steps, whatever was kept for later ones: `step` must be the current
  /// one.
  shard_image checkpoint(std::uint32_t evaluated) const;
  /// bsp: the lowest step that has not been applied; else 0.
  std::uint64_t current_step() const noexcept { return steps_ ? steps_->current_step() : 0; }
  /// bsp: called by make() before the given step is applied, and at once if it is the current one.
  void at_step(std::uint64_t step, std::function<void()> then);

  const scheduler::clock_table& clocks() const noexcept { return clocks_; }
  std::uint64_t duplicates_dropped() const noexcept { return duplicates_; }

  /// `hogwild`: the array that the workers of this process share; else null.
  const std::shared_ptr<tensor::shared_parameters>& shared() const noexcept { return shared_; }

 private:
  struct segment {
    std::uint64_t first = 0; // in the range
    std::uint64_t size = 0;
    scheduler::applied_set applied;
  };

  shard_core(const options& o, scheduler::shard_range range);
  bool take_gradient(const shard_change& change);
  void apply(const gradient_blocks& gradient, const segment& part, float scale);
  void merge_segments();
  float scale_for(const shard_change& change) const;
  void apply_ready_steps();
  void apply_step(const std::vector<gradient_blocks>& gradients);
  void keep_complete_epochs();

  scheduler::batch_plan plan_;
  scheduler::consistency mode_;
  tensor::sgd optimizer_;
  scheduler::shard_range range_;

  snapshot_array parameters_; // empty in hogwild
  snapshot_array velocity_;   // empty without momentum, and in hogwild
  std::shared_ptr<tensor::shared_parameters> shared_;

  std::vector<segment> segments_;
  scheduler::clock_table clocks_;
  std::optional<scheduler::step_buffer<gradient_blocks>> steps_; // bsp
  snapshot before_last_step_;                                    // bsp
  std::map<std::uint64_t, std::function<void()>> at_steps_;      // bsp
  bool damping_;
  std::uint64_t updates_ = 0;
  std::map<std::uint32_t, snapshot> epochs_;
  std::uint32_t next_epoch_ = 0; // the first without a snapshot
  std::uint64_t duplicates_ = 0;
};

} // namespace troupe::actors
