#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "troupe/actors/pulled_range.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/scheduler/shard_set.hpp"
#include "troupe/scheduler/step_plan.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/transport/shareable_array.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/values/consistency.hpp"
#include "troupe/values/ids.hpp"
#include "troupe/values/time_shares.hpp"

namespace troupe::actors {

using transport::placed_blocks;
using transport::shareable_array;

using scheduler::batch_id;
using scheduler::clock_value;
using scheduler::shard_id;

/// Decides what one worker does next; no CAF, no I/O. While one batch computes, the gradients of
/// the batches before it are pushed and the parameters for the batch after it are pulled. Landed
/// parameters go to the compute actor at once, so that it passes from one batch to the next without
/// a wait:
///
///     pull(n+1)   |-> . . . . . . ->| landed: n+1 is handed over
///     compute     |======== n ===============|======== n+1 ============|
///     push(n)                                |-> . . . . pushed
///     pull(n+2)                              |-> . . . . . . ->| landed: n+2 is handed over
///
/// WORKER-1 The lowest lease held is handed over next, each lease at the next clock. Batches are
///          computed in that order. (In bsp a lease that comes back from a lost worker may be of an
///          earlier step than the leases held; these wait for it.)
/// WORKER-2 At most one pull is open, for the clock and step of the batch that is handed over next.
///          If a lease of an earlier step comes in, the open pull is replaced by another.
/// WORKER-3 At most `max_in_flight` batches are in the compute actor's hands, or computed but not
///          applied on every shard. At most `max_in_hand` of these are in the compute actor's
///          hands.
/// WORKER-4 `ssp`: own writes are read. A pull that overlaps the computation of own gradients
///          cannot contain them, so their first-order effect is subtracted locally before the
///          parameters are used. (Ho et al. 2013, "More effective distributed ML via a stale
///          synchronous parallel parameter server": read-my-writes.)
/// WORKER-5 `bsp`: the batches of one step are computed from one pull.
/// WORKER-6 A batch may be leased to the worker again while the worker computes it or its gradient
///          is under way. (The worker had it as a backup task, and the holder of the lease was
///          lost.) The batch is then not computed again: some shards would have one clock of the
///          batch and some the other, and neither would ever be complete.
/// WORKER-7 A gradient is final from its end towards its beginning. The range of a remote shard is
///          pushed once, as soon as it is final. The shard of the first parameters, and shards
///          whose array is shared, get theirs when the computation has ended. A computation that
///          begins anew writes into other memory, and every range that no shard has confirmed is
///          pushed anew.
/// WORKER-8 A batch that is handed over begins when the batch before it has been computed. So the
///          own gradients that it subtracts are final then, including that of the batch before it.
///          Batches that are computed anew keep their order, and each subtracts the new gradients
///          of the batches before it.
/// WORKER-9 A pull writes into no memory that a batch in hand computes with. If two batches are in
///          hand, the pull for the next begins when the first of them has been computed. So the
///          parameters are as fresh as if batches were handed over one by one.
///
/// Not thread-safe.
class worker_core {
 public:
  static constexpr std::size_t max_in_flight = 2;
  static constexpr std::size_t max_in_hand = 2;

  struct options {
    scheduler::batch_plan plan{{1, 1, 0}};
    scheduler::consistency mode;
    tensor::sgd_options optimizer;
    std::vector<scheduler::shard_range> ranges; ///< by shard
    scheduler::shard_set remote; ///< whose parameters are pulled; the others are shared memory
    std::shared_ptr<transport::shared_pools> pools = nullptr; ///< null: gradients are not lent
  };

  explicit worker_core(options o);

  /// Adds a batch to compute. An idle worker whose clock is below `clock_floor` continues there.
  void lease(const std::vector<batch_id>& batches, clock_value clock_floor);

  struct pull_order {
    clock_value clock;
    std::uint64_t step;                                    ///< bsp; else 0
    std::shared_ptr<tensor::aligned_vector<float>> target; ///< of the whole model's size
  };
  /// The pull to begin now, if any. The caller fills `target` for every remote shard and reports
  /// each by `landed`.
  std::optional<pull_order> begin_pull();
  /// The shard's range is in `target`, except the blocks passed in `kept`. `own_applied`: the range
  /// contains own clocks below this clock. `seen_updates`: the number of updates that the range
  /// contains, to be returned with the gradient.
  void landed(shard_id shard, clock_value own_applied, std::uint64_t seen_updates,
              placed_blocks kept = {});

  struct compute_order {
    clock_value clock;
    batch_id batch;
    std::shared_ptr<tensor::aligned_vector<float>> parameters;
    /// Ranges to be settled before use; null: none.
    std::shared_ptr<const std::vector<pulled_range>> pulled;
    std::shared_ptr<tensor::aligned_vector<float>> gradient; ///< to be filled
    /// Where ranges begin that can be pushed before the end, ascending: ready() wants to be told
    /// when the gradient has become final from one of these on.
    std::vector<std::size_t> ready_at;
  };
  /// The batch to hand over now, if any.
  std::optional<compute_order> begin_compute();

  struct push_order {
    clock_value clock;
    batch_id batch;
    std::shared_ptr<const tensor::aligned_vector<float>> gradient;
    std::vector<std::uint64_t> seen_updates; ///< by shard; remote ones: of the parameters used
    std::vector<shard_id> shards;            ///< the shards that the gradient goes to now
  };
  /// The gradient of the first batch in hand is final from element `first` on. Returns none if no
  /// range became final.
  std::optional<push_order> ready(std::size_t first);
  /// The first batch in hand is computed: its gradient goes to every shard that lacks it.
  push_order computed();
  /// The compute actor lost the batches in hand: hand them over anew, in this order.
  std::vector<compute_order> compute_again();

  /// Returns true when this shard was the last to get the batch, for the first time.
  bool pushed(shard_id shard, batch_id batch);

  /// The batches that some shards have not confirmed: send them again after a while.
  struct unconfirmed {
    push_order push;
    std::vector<shard_id> missing;
  };
  std::vector<unconfirmed> unconfirmed_pushes() const;

  /// The activity of the worker while it does not compute. While it computes: `other`, for the time
  /// in which the compute actor does not report work.
  scheduler::activity waits_for() const;

  clock_value next_clock() const noexcept { return next_clock_; }
  /// The batches held: leased, computing, or not yet on every shard. Ascending.
  std::vector<batch_id> held() const;
  bool idle() const noexcept { return in_hand_.empty() && leases_.empty() && in_flight_.empty(); }

 private:
  using buffer = std::shared_ptr<tensor::aligned_vector<float>>;
  struct open_push {
    push_order push;
    scheduler::shard_set missing; // that have not confirmed it
    scheduler::shard_set unsent;  // that it was not given to push to; empty once it is computed
  };
  struct computation {
    open_push open;
    compute_order order;
  };

  std::uint64_t step_of(batch_id batch) const;
  bool current_serves(batch_id batch) const;
  shareable_array free_gradient();
  std::shared_ptr<const std::vector<pulled_range>> ranges_to_settle();

  options options_;
  std::optional<scheduler::step_plan> steps_; // bsp
  std::size_t parameters_ = 0;
  std::vector<std::size_t> ready_at_;

  std::set<batch_id> leases_;
  clock_value next_clock_ = 0; // of the first lease not handed over

  buffer current_;                            // what the last handed over computes with
  std::optional<std::uint64_t> current_step_; // bsp: the step it serves
  buffer arriving_;                           // the target of pulls
  scheduler::shard_set awaited_;              // of the open pull
  bool pull_open_ = false;
  bool arrived_ = false; // arriving_ is whole and not yet used
  std::uint64_t arriving_step_ = 0;
  // By shard, of those that are remote.
  std::vector<clock_value> own_applied_;     // of arriving_
  std::vector<placed_blocks> arriving_kept_; // and not in arriving_
  std::vector<std::uint64_t> arriving_seen_; // updates in arriving_
  std::vector<std::uint64_t> current_seen_;  // updates in current_

  std::deque<computation> in_hand_; // of the compute actor
  std::map<batch_id, open_push> in_flight_;
  std::deque<push_order> recent_;          // own gradients that a pull may lack (ssp)
  std::vector<shareable_array> gradients_; // those that are held only here are free
};

} // namespace troupe::actors
