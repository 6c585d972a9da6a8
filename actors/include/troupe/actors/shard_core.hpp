#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "troupe/actors/block.hpp"
#include "troupe/scheduler/applied_set.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/clock_table.hpp"
#include "troupe/scheduler/consistency.hpp"
#include "troupe/scheduler/step_buffer.hpp"
#include "troupe/tensor/aligned.hpp"
#include "troupe/tensor/hogwild.hpp"
#include "troupe/tensor/optimizer.hpp"

namespace troupe::actors {

using scheduler::batch_id;
using scheduler::clock_value;
using scheduler::worker_id;

/// Parameters of a range as they stood at one moment; never written again.
using snapshot = std::shared_ptr<const tensor::aligned_vector<float>>;

/// The state of one shard and its rules; no CAF, no I/O. The actor around it receives, asks, sends.
///
/// SHARD-1  A batch's gradient is applied once: a batch that is in the applied set is never applied
///          again, whoever pushes it.
/// SHARD-2  `async`, `ssp`: a batch is applied when it is accepted. `bsp`: it is kept until its
/// step
///          is whole; then the mean of the step's gradients, summed in batch order, is applied
///          once. The result depends on nothing else: not on who pushed, when, or how bytes were
///          cut.
/// SHARD-3  A snapshot never changes.
/// SHARD-4  The snapshot of an epoch is the range at the moment when the epoch's last batch had
/// been
///          applied. (In `async` and `ssp` batches of the next epoch may be in it.)
/// SHARD-5  `ssp(s)`: a read at clock c is admitted only while every live worker's applied clock is
///          at least c - s. `bsp`: a read for step k only when step k-1 has been applied.
///
/// SHARD-6  With staleness damping a gradient is scaled by staleness_scale of the updates that were
///          applied between the read it was computed from and its own application.
/// SHARD-7  `bsp`: a read for step k gets exactly the parameters that step k-1 left, also from a
/// shard
///          that has applied step k already. When a worker is lost between two shards' acceptances
///          of its batch, one of them is a step ahead, and whoever computes the batch again must
///          see the same parameters on both. (No shard can be two steps ahead of another: the step
///          after next needs parameters of the next from all.)
///
/// Not thread-safe, but for the shared array of `hogwild`, which workers of the same process use.
class shard_core {
 public:
  struct options {
    scheduler::batch_plan plan{{1, 1, 0}};
    scheduler::consistency mode;
    tensor::sgd_options optimizer;
    std::uint32_t workers = 0; ///< they all enter the clocks at 0
    bool staleness_damping = false;
  };

  /// `initial`: the shard's range of the initial parameters.
  shard_core(const options& o, std::span<const float> initial);

  std::size_t size() const noexcept { return size_; }

  bool applied(batch_id batch) const noexcept { return applied_.contains(batch); }

  /// Takes in the gradient of a batch: float blocks by byte offset that cover the range. True if it
  /// was new, false if it was dropped (SHARD-1). Either way the worker's clock advances. Throws
  /// std::invalid_argument for a batch that is not of the job or bytes that do not fit.
  bool accept(worker_id worker, clock_value clock, batch_id batch,
              const std::map<std::uint64_t, block>& gradient);

  /// `hogwild`: a worker of this process has done the same through `shared()`; `fresh` says whether
  /// the array took it. True if it was new here too.
  bool accept_in_place(worker_id worker, clock_value clock, batch_id batch, bool fresh);

  /// SHARD-5. `step`: bsp.
  bool may_read(worker_id worker, clock_value clock, std::uint64_t step) const;

  /// `bsp`: an admitted read misses nothing.
  bool reads_are_exact() const noexcept { return steps_.has_value(); }

  /// The range as it stands. Shares memory until the next change.
  snapshot current();

  /// The same, for a worker that computes its batch at `clock` with it: what is applied until that
  /// batch is pushed counts as unseen by its gradient (SHARD-6).
  /// `step`: bsp (SHARD-7).
  snapshot read(worker_id worker, clock_value clock, std::uint64_t step);

  /// SHARD-4; null: the epoch is not complete, or its snapshot was dropped.
  snapshot of_epoch(std::uint32_t epoch) const;
  /// Snapshots of epochs below `epoch` will not be asked for again.
  void drop_epochs_below(std::uint32_t epoch);

  scheduler::clock_table& clocks() noexcept { return clocks_; }
  const scheduler::clock_table& clocks() const noexcept { return clocks_; }
  const scheduler::applied_set& applied_batches() const noexcept { return applied_; }
  std::uint64_t duplicates_dropped() const noexcept { return duplicates_; }

  /// `hogwild`: the array that the workers of this process share; else null.
  const std::shared_ptr<tensor::shared_parameters>& shared() const noexcept { return shared_; }

 private:
  using blocks = std::map<std::uint64_t, block>;

  void apply(const blocks& gradient, float scale);
  float scale_for(worker_id worker, clock_value clock);
  void apply_ready_steps();
  void keep_complete_epochs();
  tensor::aligned_vector<float>& writable();

  scheduler::batch_plan plan_;
  scheduler::consistency mode_;
  tensor::sgd optimizer_;
  std::size_t size_;

  std::shared_ptr<tensor::aligned_vector<float>> parameters_; // shared with snapshots
  std::vector<std::shared_ptr<tensor::aligned_vector<float>>> spares_;
  tensor::aligned_vector<float> velocity_;
  std::shared_ptr<tensor::shared_parameters> shared_; // hogwild: instead of the three above

  scheduler::applied_set applied_;
  scheduler::clock_table clocks_;
  std::optional<scheduler::step_buffer<blocks>> steps_; // bsp
  tensor::aligned_vector<float> step_sum_;              // bsp
  snapshot before_last_step_;                           // bsp
  bool damping_;
  std::uint64_t updates_ = 0;
  /// Per worker: the clock of a read -> updates applied until then.
  std::map<worker_id, std::map<clock_value, std::uint64_t>> seen_;
  std::map<std::uint32_t, snapshot> epochs_;
  std::uint32_t next_epoch_ = 0; // the first without a snapshot
  std::uint64_t duplicates_ = 0;
};

} // namespace troupe::actors
