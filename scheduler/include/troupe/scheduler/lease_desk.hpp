#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "troupe/scheduler/batch_leases.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/membership.hpp"
#include "troupe/scheduler/orders.hpp"
#include "troupe/scheduler/replica_table.hpp"
#include "troupe/values/consistency.hpp"
#include "troupe/values/ids.hpp"
#include "troupe/values/time_shares.hpp"

namespace troupe::scheduler {

/// A worker's report of a batch that is on every shard.
struct batch_report {
  worker_id worker;
  batch_id batch;
  clock_value clock = 0;  ///< the worker's next one
  double loss = 0;        ///< mean over the batch
  time_shares spent = {}; ///< by the worker since its first lease
};

/// What a worker holds, as its node says when it comes back.
struct held_leases {
  worker_id worker;
  clock_value clock = 0; ///< its next one
  std::vector<batch_id> batches;
};

/// What may be leased.
enum class leasing {
  closed,    ///< nothing, and no worker enters or leaves the clocks
  finishing, ///< nothing: the run ends when all leases did
  resting,   ///< nothing until the images of a checkpoint are taken
  open
};

/// Which worker computes what, which workers count in the clocks, and which epochs are evaluated.
/// Issues the orders for it.
///
/// SCHED-1  A batch is leased while it is not completed and no worker holds it (LEASES-1..3).
/// SCHED-2  A worker without a lease does not count in the clocks; it enters them on every shard
///          before it is leased to again. So no worker waits for an idle one. A worker enters when
///          it has reported every batch that it was ever given: then no push of a lower clock is
///          under way, and its clock may go on from a higher one. (In bsp a worker enters at once:
///          clocks decide nothing there, and its batches may wait for those it is to be given.)
/// SCHED-3  Leases run at most one epoch ahead of the last evaluated one: a shard keeps two epochs'
///          snapshots at most.
/// SCHED-4  A worker whose leases ran out gets no new one, and counts in no clock, until it
///          completes a batch. When this holds for every worker and batches came back, one worker
///          is revived, that is leased to all the same: the one revived least often, of equals the
///          one that completed a batch last.
/// SCHED-5  A batch that came back is leased again at once, beyond `lease_ahead` if need be: in bsp
///          and ssp all workers that hold leases may be waiting for it.
///
/// Memory grows with the workers, their open leases, and the workers that were lost.
class lease_desk {
 public:
  using time_point = batch_leases::time_point;
  using duration = batch_leases::duration;

  struct options {
    std::size_t lease_ahead = 4; ///< leases that a worker holds
    duration lease_timeout = std::chrono::minutes(2);
    duration straggler_after = std::chrono::seconds(1); ///< without news of its worker
  };

  struct worker {
    node_id node;
    clock_value clock = 0;
    bool in_clocks = true;      ///< on every shard
    bool suspended = false;     ///< its leases ran out (SCHED-4)
    std::uint32_t revivals = 0; ///< how often it was revived (SCHED-4)
    time_point completed_at{};  ///< its last batch
    std::size_t entering = 0;   ///< answers to enter_clock awaited
    std::uint64_t entries = 0;  ///< begun: answers to an earlier one do not count
    std::optional<batch_id> backup = std::nullopt; ///< computes it beside its holder
    std::set<batch_id> under_way = {};             ///< given to it and not reported since
  };

  /// The objects that it refers to must outlive it.
  lease_desk(options o, batch_plan plan, consistency mode, const membership& members,
             const replica_table& replicas, order_list& orders);

  // -- workers ------------------------------------------------------------------------------------

  /// A worker with its clock at 0. `in_clocks`: the shards began with it.
  void add(worker_id id, node_id node, bool in_clocks);
  /// A worker of before a restart says what it holds.
  void add(const held_leases& told, node_id node);
  bool knows(worker_id id) const { return workers_.contains(id); }
  const std::map<worker_id, worker>& workers() const noexcept { return workers_; }
  std::vector<worker_id> on(node_id node) const;
  /// The worker is lost: it leaves the clocks, and its leases come back. Returns how many.
  std::size_t lose(worker_id id);
  /// A worker without leases leaves the clocks and takes no part any more.
  void dismiss(worker_id id);
  /// The worker takes no part any more; the shards are told later, by `tell_who_left`.
  void forget(worker_id id);
  /// The workers below `next_worker` that are not known leave the clocks: they did not come back to
  /// a restarted scheduler.
  void leave_unknown(std::uint32_t next_worker);
  /// The run goes back: no worker takes part any more.
  void forget_all();
  /// A node whose connection had broken says what this worker holds: its other leases come back.
  void take_back(const held_leases& told, time_point now);

  /// Tells a new primary which workers left the clocks. The primary before may have died before it
  /// passed that on.
  void tell_who_left(const primary_replica& to);

  // -- leases -------------------------------------------------------------------------------------

  /// These batches are completed, and no others; nothing is leased.
  void begin(applied_set completed);
  /// A restarted scheduler goes on: these workers hold what their nodes said. A worker without
  /// leases leaves the clocks.
  void take_up(const std::vector<held_leases>& told, time_point now);
  /// One lease at a time to each worker, so that the first batches are spread over all of them.
  void lease_evenly(leasing stance, time_point now);
  /// What follows when leases may have come back: these batches first (SCHED-5), then as
  /// `lease_to_all`.
  void lease_again(leasing stance, time_point now);
  /// Up to `lease_ahead` to each worker.
  void lease_to_all(leasing stance, time_point now);
  void lease_to(worker_id id, leasing stance, time_point now);

  /// A batch is on every shard. True the first time, also for a worker that is not known.
  bool complete(const batch_report& d, time_point now);
  /// SCHED-4. The leases of workers that completed nothing for `lease_timeout` come back.
  void expire(time_point now);
  const batch_leases& leases() const noexcept { return leases_; }
  /// By workers, lost ones too.
  const std::map<worker_id, time_shares>& spent() const noexcept { return spent_; }

  // -- answers to enter_clock ---------------------------------------------------------------------

  /// A shard let the worker enter at `clock`, `asked` having been asked for.
  void clock_entered(worker_id id, std::uint64_t entry, clock_value asked, clock_value clock,
                     leasing stance, time_point now);
  void clock_not_entered(worker_id id, std::uint64_t entry);

  // -- epochs -------------------------------------------------------------------------------------

  std::uint32_t evaluated_epochs() const noexcept { return evaluated_epochs_; }
  /// At least so many.
  void evaluated(std::uint32_t epochs);
  /// The last epoch's parameters are the run's result: where it was evaluated before training
  /// begins, it is evaluated once more.
  void keep_result_open();
  /// An evaluator begins: of an epoch that was complete before, the shards still have the snapshot.
  void begin_evaluation() { asked_epochs_ = evaluated_epochs_; }
  /// Asks for the evaluation of complete epochs, in order. After the run went back, an epoch can be
  /// complete while one before it, which was evaluated once, is not again: the run has not finished
  /// then.
  void evaluate_complete_epochs();

 private:
  using worker_map = std::map<worker_id, worker>;

  void lease_returned(leasing stance, time_point now);
  void revive_one();
  void feed(worker_id id, std::size_t up_to, leasing stance, time_point now);
  bool may_lease(leasing stance) const;
  bool back_up(worker_id id, leasing stance, time_point now);
  worker_map::iterator backed_up_by(batch_id batch); // end: no worker
  void enter_clocks(worker_id id);
  void leave_clocks(worker_id id, bool gone = false);
  std::size_t give_back(worker_id id);
  void adopt(const held_leases& told, time_point now);
  std::vector<worker_id> ids() const;

  options options_;
  batch_plan plan_;
  consistency mode_;
  const membership& members_;
  const replica_table& replicas_;
  order_list& orders_;
  batch_leases leases_;
  worker_map workers_;                    // live ones
  std::map<batch_id, worker_id> backups_; // of worker; may name workers that were lost
  std::set<worker_id> gone_;
  std::map<worker_id, time_shares> spent_; // by workers, lost ones too
  std::uint32_t asked_epochs_ = 0;         // evaluation asked for
  std::uint32_t evaluated_epochs_ = 0;     // and done
};

} // namespace troupe::scheduler
