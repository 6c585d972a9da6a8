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
  clock_value clock = 0;  ///< the worker's next clock
  double loss = 0;        ///< mean over the batch
  time_shares spent = {}; ///< by the worker since its first lease
};

/// The leases of a worker, as its node reports them when it comes back.
struct held_leases {
  worker_id worker;
  clock_value clock = 0; ///< its next clock
  std::vector<batch_id> batches;
};

/// Which leases may be given.
enum class leasing {
  closed,    ///< none, and no worker enters or leaves the clocks
  finishing, ///< only the rest of a bsp step that was begun: the run stops
  resting,   ///< none until the images of a checkpoint are taken
  open
};

/// Decides which worker computes which batch, which workers count in the clocks, and which epochs
/// are evaluated, and issues the orders.
///
/// SCHED-1  A batch is leased only if it is not completed and no worker has a lease on it
///          (LEASES-1..3).
/// SCHED-2  A worker without a lease does not count in the clocks. Before it gets a lease again, it
///          enters the clocks of every shard. So no worker waits for an idle worker. A worker
///          enters when it has reported every batch that it was ever given: then no push of a lower
///          clock is under way, and its clock may go on from a higher value. (In bsp a worker
///          enters at once: clocks decide nothing there, and its batches may wait for the batches
///          it is about to get.)
/// SCHED-3  Leases run at most one epoch ahead of the last evaluated one: a shard keeps two epochs'
///          snapshots at most.
/// SCHED-4  A worker whose leases ran out gets no new lease, and counts in no clock, until it
///          completes a batch. If this holds for every worker and batches came back, one worker is
///          revived: it gets leases all the same. The worker that was revived least often is
///          chosen; of equals, the worker that completed a batch last.
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
  /// Adds a worker from before a restart, with the leases that its node reports.
  void add(const held_leases& told, node_id node);
  bool knows(worker_id id) const { return workers_.contains(id); }
  const std::map<worker_id, worker>& workers() const noexcept { return workers_; }
  std::vector<worker_id> on(node_id node) const;
  /// The worker is lost: it leaves the clocks, and its leases come back. Returns how many.
  std::size_t lose(worker_id id);
  /// Removes a worker without leases; it leaves the clocks.
  void dismiss(worker_id id);
  /// Removes the worker; the shards get the news later, by `tell_who_left`.
  void forget(worker_id id);
  /// The workers below `next_worker` that are not known leave the clocks: they did not come back to
  /// a restarted scheduler.
  void leave_unknown(std::uint32_t next_worker);
  /// The run goes back: removes all workers.
  void forget_all();
  /// A node whose connection had broken reports the leases of a worker. Its other leases come back.
  void take_back(const held_leases& told, time_point now);

  /// Orders that a new primary gets the list of workers that left the clocks. The primary before
  /// may have died before it passed on that news.
  void tell_who_left(const primary_replica& to);

  // -- leases -------------------------------------------------------------------------------------

  /// Begins with exactly these batches completed and nothing leased.
  void begin(applied_set completed);
  /// A restarted scheduler goes on: `told` has the leases that the nodes reported. A worker without
  /// leases leaves the clocks.
  void take_up(const std::vector<held_leases>& told, time_point now);
  /// Gives one lease to each worker at a time, so that the first batches are spread over all.
  void lease_evenly(leasing stance, time_point now);
  /// Leases again after leases may have come back: these batches first (SCHED-5), then as
  /// `lease_to_all`.
  void lease_again(leasing stance, time_point now);
  /// Up to `lease_ahead` to each worker.
  void lease_to_all(leasing stance, time_point now);
  void lease_to(worker_id id, leasing stance, time_point now);

  /// No lease is open, and a run that stops gives none.
  bool settled() const { return leases_.open_count() == 0 && !may_lease(leasing::finishing); }
  /// Every shard has applied a batch. Returns true the first time, also for an unknown worker.
  bool complete(const batch_report& d, time_point now);
  /// SCHED-4. The leases of workers that completed nothing for `lease_timeout` come back.
  void expire(time_point now);
  const batch_leases& leases() const noexcept { return leases_; }
  /// The time spent by each worker, lost workers included.
  const std::map<worker_id, time_shares>& spent() const noexcept { return spent_; }

  // -- answers to enter_clock ---------------------------------------------------------------------

  /// A shard admitted the worker to its clocks at `clock`; the order had asked for `asked`.
  void clock_entered(worker_id id, std::uint64_t entry, clock_value asked, clock_value clock,
                     leasing stance, time_point now);
  void clock_not_entered(worker_id id, std::uint64_t entry);

  // -- epochs -------------------------------------------------------------------------------------

  std::uint32_t evaluated_epochs() const noexcept { return evaluated_epochs_; }
  /// At least `epochs` epochs have been evaluated.
  void evaluated(std::uint32_t epochs);
  /// The parameters of the last epoch are the run's result. If this epoch was evaluated before
  /// training begins, it is evaluated once more.
  void keep_result_open();
  /// An evaluator begins. The shards still have the snapshot of an epoch that was complete before.
  void begin_evaluation() { asked_epochs_ = evaluated_epochs_; }
  /// Orders the evaluation of complete epochs, in order. After the run went back, an epoch can be
  /// complete while an earlier epoch, evaluated once already, is not complete again; the run has
  /// not finished then.
  void evaluate_complete_epochs();

 private:
  using worker_map = std::map<worker_id, worker>;

  void lease_returned(leasing stance, time_point now);
  void revive_one();
  void feed(worker_id id, std::size_t up_to, leasing stance, time_point now);
  bool may_lease(leasing stance) const;
  bool is_of_begun_step(batch_id next) const;
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
