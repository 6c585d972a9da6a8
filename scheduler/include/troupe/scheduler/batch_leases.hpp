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

/// The leases of batches to workers. A batch is leased to a worker. If the worker leaves, dies or
/// is too slow, the batch comes back and is leased again, until a worker has completed it.
///
/// LEASES-1  At any time every batch of the plan is in exactly one of unleased, leased, completed:
///           unleased_count() + open_count() + completed_count() == plan().total_batches().
/// LEASES-2  A batch is leased to at most one worker at a time, and never again to its holder.
/// LEASES-3  `complete` is true exactly once per batch; a completed batch is never leased again.
/// LEASES-4  A batch that came back is leased before any new batch, the lowest ordinal first. New
///           batches follow in the order of the plan.
/// LEASES-5  Memory is proportional to the open leases, the batches that came back and the epochs
///           in progress, not to the batches of the job.
/// LEASES-6  The time of a call does not grow with the number of workers, nor with the leases that
///           the call does not change, except the few leases of one worker. A query for the oldest
///           leases looks at no younger lease.
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
  /// The leases of a resumed job: the batches of `completed` are done. Throws std::invalid_argument
  /// if they are of another job.
  batch_leases(batch_plan plan, applied_set completed);

  const batch_plan& plan() const noexcept { return plan_; }

  /// Leases up to `count` batches to `worker`, in the order of LEASES-4. Fewer or no batches are no
  /// error: leased batches may still come back.
  std::vector<batch_id> lease(worker_id worker, std::size_t count, time_point now);

  /// `worker` reports that every shard has applied the batch. Returns true the first time. The
  /// report counts even if `worker` has lost the lease; the present holder's lease ends. A batch
  /// that was never leased counts too (a job that goes on from a checkpoint). Throws
  /// std::invalid_argument for a batch that is not of the plan.
  bool complete(batch_id batch, worker_id worker);

  /// Ends all leases of a worker that left, died or was replaced. The batches that came back,
  /// ascending; empty for a worker that holds none or is not known.
  std::vector<batch_id> give_back(worker_id worker);

  /// Ends one lease. Returns false, without effect, if `worker` does not hold it.
  bool give_back(worker_id worker, batch_id batch);

  /// The workers that have held a lease for at least `timeout` at `now` without a renewal,
  /// ascending. A worker that then loses its leases (give_back) may still complete the batches.
  std::vector<worker_id> overdue(time_point now, duration timeout) const;

  /// Records that `worker` holds the batch, as the worker reported to a restarted scheduler.
  /// Returns false, without effect, if the batch is completed, leased to another worker, or not of
  /// the plan.
  bool adopt(worker_id worker, batch_id batch, time_point now);

  /// Renews all leases of a live worker: they count as taken at `now`, or later if they were.
  void renew(worker_id worker, time_point now);

  /// The batches that a worker holds, ascending.
  std::vector<batch_id> held_by(worker_id worker) const;
  /// The number of batches that a worker holds.
  std::size_t held_count(worker_id worker) const;
  /// The worker that holds the batch; none if it is not leased.
  std::optional<worker_id> holder(batch_id batch) const;
  bool completed(batch_id batch) const noexcept { return completed_.contains(batch); }

  /// Whether a batch can be leased now.
  bool available() const noexcept { return !returned_.empty() || next_ < plan_.total_batches(); }
  /// The batch that `lease` would give next; none when nothing is available.
  std::optional<batch_id> peek() const;
  /// The first batch such that neither it nor any later batch was ever leased; none if there is no
  /// such batch.
  std::optional<batch_id> first_new() const;
  /// The open lease whose worker has been silent for longest, and for at least `age`, among the
  /// leases that `idle` does not hold: `idle` may compute a backup of it (J. Dean, S. Ghemawat,
  /// "MapReduce", OSDI 2004, 3.6 "Backup Tasks"). The lease stays with its worker; the first worker
  /// to complete the batch ends it.
  std::optional<batch_id> straggler(worker_id idle, time_point now, duration age) const;
  /// Batches that came back and wait to be leased again.
  std::size_t returned_count() const noexcept { return returned_.size(); }
  /// Whether every batch of the job is completed.
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
