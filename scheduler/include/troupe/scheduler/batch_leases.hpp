#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "troupe/scheduler/applied_set.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// Who computes which batch. A batch is leased to a worker, comes back when the worker leaves, dies
/// or is too slow, and is leased again, until somebody has completed it.
///
/// LEASES-1  Every batch of the plan is in exactly one of unleased / leased / completed at any
/// time:
///           unleased_count() + open_count() + completed_count() == plan().total_batches().
/// LEASES-2  A batch is leased to at most one worker at a time, and never to one that holds it.
/// LEASES-3  `complete` is true exactly once per batch; a completed batch is never leased again.
/// LEASES-4  A batch that came back is leased before any new one, the lowest ordinal first; new
/// ones
///           follow in the order of the plan.
/// LEASES-5  Memory is proportional to the open leases, the batches that came back and the epochs
///           in progress, not to the batches of the job.
/// LEASES-6  No call takes time in proportion to the workers or to the leases that it does not
///           change, the few of one worker aside: what is asked of the oldest leases looks at no
///           younger one.
///
/// Leases run ahead of the epoch border: a worker never waits for the last batches of an epoch.
class batch_leases {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  explicit batch_leases(batch_plan plan);
  batch_leases(const batch_leases&) = delete; // leases know their places in the order
  batch_leases(batch_leases&&) = default;
  batch_leases& operator=(const batch_leases&) = delete;
  batch_leases& operator=(batch_leases&&) = default;
  /// A job that goes on: these are completed. Throws std::invalid_argument when they are of another
  /// job.
  batch_leases(batch_plan plan, applied_set completed);

  const batch_plan& plan() const noexcept { return plan_; }

  /// Leases up to `count` batches to `worker`, in the order of LEASES-4. Fewer, or none, when no
  /// more is available; that is not an error: leased ones may still come back.
  std::vector<batch_id> lease(worker_id worker, std::size_t count, time_point now);

  /// `worker` has had the batch applied everywhere. True the first time. It counts whether or not
  /// `worker` still holds the lease; the lease of whoever holds it ends. A batch that was never
  /// leased counts too (a job that goes on from a checkpoint). Throws std::invalid_argument for a
  /// batch that is not of the plan.
  bool complete(batch_id batch, worker_id worker);

  /// Ends all leases of a worker that left, died or was replaced. The batches that came back,
  /// ascending; empty for a worker that holds none or is not known.
  std::vector<batch_id> give_back(worker_id worker);

  /// Ends one lease. False, and nothing happens, when `worker` does not hold it.
  bool give_back(worker_id worker, batch_id batch);

  /// The workers that have held a lease for at least `timeout` at `now` without a renewal,
  /// ascending. A worker that then loses its leases (give_back) may still complete the batches.
  std::vector<worker_id> overdue(time_point now, duration timeout) const;

  /// `worker` holds the batch, as it says itself to a scheduler that was started again. False, and
  /// nothing happens, when the batch is completed, somebody else holds it, or it is not of the
  /// plan.
  bool adopt(worker_id worker, batch_id batch, time_point now);

  /// The worker is alive and at work: its leases count as taken at `now`, never as older.
  void renew(worker_id worker, time_point now);

  /// The batches that a worker holds, ascending.
  std::vector<batch_id> held_by(worker_id worker) const;
  /// How many.
  std::size_t held_count(worker_id worker) const;
  /// Who holds the batch; none when it is not leased.
  std::optional<worker_id> holder(batch_id batch) const;
  bool completed(batch_id batch) const noexcept { return completed_.contains(batch); }

  /// Something can be leased now.
  bool available() const noexcept { return !returned_.empty() || next_ < plan_.total_batches(); }
  /// The batch that `lease` would give next; none when nothing is available.
  std::optional<batch_id> peek() const;
  /// The first batch that was never leased, and above which none was; none when all were.
  std::optional<batch_id> first_new() const;
  /// The open lease that has gone without news of its worker for longest, and at least `age`, of
  /// those that `idle` does not hold: what a backup of it may compute too, after J. Dean, S.
  /// Ghemawat, "MapReduce", OSDI 2004, 3.6 "Backup Tasks". The lease stays where it is; whoever
  /// completes the batch first ends it.
  std::optional<batch_id> straggler(worker_id idle, time_point now, duration age) const;
  /// Batches that came back and wait to be leased again.
  std::size_t returned_count() const noexcept { return returned_.size(); }
  /// Every batch of the job is completed.
  bool finished() const noexcept { return completed_count() == plan_.total_batches(); }

  std::uint64_t unleased_count() const noexcept {
    return plan_.total_batches() - open_count() - completed_count();
  }
  std::uint64_t open_count() const noexcept { return open_.size(); }
  std::uint64_t completed_count() const noexcept { return completed_.size(); }

  /// The lowest epoch that has open work; plan().epochs() when finished.
  std::uint32_t first_open_epoch() const noexcept { return completed_.first_incomplete(); }

 private:
  struct open_lease {
    worker_id worker;
    time_point since;
    std::list<std::uint64_t>::iterator place; // in by_age_
  };
  using open_map = std::unordered_map<std::uint64_t, open_lease>;

  void begin_lease(worker_id worker, std::uint64_t ordinal, time_point now);
  void end_lease(open_map::iterator lease);
  std::list<std::uint64_t>::iterator place_for(time_point since);
  void skip_completed();

  batch_plan plan_;
  applied_set completed_;
  open_map open_;                   // by ordinal
  std::list<std::uint64_t> by_age_; // ordinals of open_, by since when, and as they came
  std::unordered_map<worker_id, std::vector<std::uint64_t>> by_worker_; // ascending; none empty
  std::set<std::uint64_t> returned_; // ordinals below next_, unleased
  std::uint64_t next_ = 0; // lowest ordinal never leased nor completed; all above were never leased
};

} // namespace troupe::scheduler
