#include "troupe/scheduler/lease_desk.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"
#include "troupe/scheduler/step_plan.hpp"

namespace troupe::scheduler {

lease_desk::lease_desk(options o, batch_plan plan, consistency mode, const membership& members,
                       const replica_table& replicas, order_list& orders)
    : options_(o), plan_(plan), mode_(mode), members_(members), replicas_(replicas),
      orders_(orders), leases_(plan) {}

// -- workers --------------------------------------------------------------------------------------

void lease_desk::add(worker_id id, node_id node, bool in_clocks) {
  orders_.push_back(orders::worker_placed{id, node});
  workers_[id] = {.node = node, .in_clocks = in_clocks};
}

void lease_desk::add(const held_leases& told, node_id node) {
  workers_[told.worker] = {.node = node, .clock = told.clock};
}

std::vector<worker_id> lease_desk::ids() const {
  std::vector<worker_id> result;
  for (const auto& [id, w] : workers_) result.push_back(id);
  return result;
}

std::vector<worker_id> lease_desk::on(node_id node) const {
  std::vector<worker_id> result;
  for (const auto& [id, w] : workers_)
    if (w.node == node) result.push_back(id);
  return result;
}

std::size_t lease_desk::lose(worker_id id) {
  const bool clock_kept = mutant_active(mutant::clock_of_dead_worker_kept);
  if (!clock_kept) leave_clocks(id, true);
  workers_.erase(id);
  orders_.push_back(orders::forget_worker{id});
  if (!clock_kept) gone_.insert(id);
  orders_.push_back(orders::worker_lost{id});
  return mutant_active(mutant::leases_of_lost_worker_kept) ? 0 : give_back(id);
}

void lease_desk::dismiss(worker_id id) {
  leave_clocks(id, true);
  forget(id);
}

void lease_desk::forget(worker_id id) {
  workers_.erase(id);
  orders_.push_back(orders::forget_worker{id});
  gone_.insert(id);
}

void lease_desk::leave_unknown(std::uint32_t next_worker) {
  for (std::uint32_t w = 0; w < next_worker; ++w)
    if (worker_id id{w}; !knows(id)) {
      gone_.insert(id);
      leave_clocks(id, true);
    }
}

void lease_desk::forget_all() {
  for (const auto& [id, w] : workers_) gone_.insert(id);
  workers_.clear();
  backups_.clear();
}

void lease_desk::take_back(const held_leases& told, time_point now) {
  auto& w = workers_.at(told.worker);
  w.clock = std::max(w.clock, told.clock);
  give_back(told.worker);
  adopt(told, now);
}

// -- clocks ---------------------------------------------------------------------------------------

void lease_desk::tell_who_left(const primary_replica& to) {
  for (auto id : gone_) orders_.push_back(orders::leave_clock{to, id, true});
  for (const auto& [id, w] : workers_)
    if (!w.in_clocks && w.entering == 0) orders_.push_back(orders::leave_clock{to, id, false});
}

void lease_desk::leave_clocks(worker_id id, bool gone) {
  if (auto i = workers_.find(id); i != workers_.end()) i->second.in_clocks = false;
  for (const auto& to : replicas_.primaries())
    if (to.node) orders_.push_back(orders::leave_clock{to, id, gone});
}

void lease_desk::enter_clocks(worker_id id) {
  auto& w = workers_.at(id);
  if (w.entering > 0 || (mode_.own_writes_are_read() && !w.under_way.empty())) return; // SCHED-2
  // It enters beside the furthest, so that it holds no other worker back.
  for (const auto& [other, o] : workers_) w.clock = std::max(w.clock, o.clock);
  w.entering = replicas_.views().shards();
  ++w.entries;
  for (const auto& to : replicas_.primaries())
    orders_.push_back(orders::enter_clock{to, id, w.clock, w.entries});
}

void lease_desk::clock_entered(worker_id id, std::uint64_t entry, clock_value asked,
                               clock_value clock, leasing stance, time_point now) {
  auto i = workers_.find(id);
  if (i == workers_.end() || i->second.entries != entry || i->second.entering == 0) return;
  auto& w = i->second;
  // A scheduler before this one may have let it enter further ahead.
  w.clock = std::max(w.clock, clock);
  if (--w.entering > 0) return;
  if (w.clock > asked) { // not on every shard, it may be
    reached(probe::entered_further_ahead);
    enter_clocks(id);
    return;
  }
  w.in_clocks = true;
  lease_to(id, stance, now);
}

// The primary was lost: with the next one it is tried again. Where the worker has entered it would
// hold the others back until then (SCHED-2).
void lease_desk::clock_not_entered(worker_id id, std::uint64_t entry) {
  auto i = workers_.find(id);
  if (i == workers_.end() || i->second.entries != entry || i->second.entering == 0) return;
  i->second.entering = 0;
  leave_clocks(id);
}

// -- leases ---------------------------------------------------------------------------------------

void lease_desk::begin(applied_set completed) {
  leases_ = batch_leases{plan_, std::move(completed)};
}

void lease_desk::take_up(const std::vector<held_leases>& told, time_point now) {
  for (const auto& l : told) {
    auto w = workers_.find(l.worker);
    if (w == workers_.end()) continue;
    w->second.under_way.insert(l.batches.begin(), l.batches.end());
    adopt(l, now);
    // One with leases counts in the clocks (SCHED-2); any other enters them when it gets some.
    if (leases_.held_by(l.worker).empty()) leave_clocks(l.worker);
  }
}

void lease_desk::adopt(const held_leases& told, time_point now) {
  for (auto batch : told.batches)
    if (leases_.adopt(told.worker, batch, now))
      orders_.push_back(orders::lease_adopted{told.worker, batch});
}

std::size_t lease_desk::give_back(worker_id id) {
  const auto returned = leases_.give_back(id);
  for (auto batch : returned) orders_.push_back(orders::lease_returned{id, batch});
  return returned.size();
}

void lease_desk::lease_evenly(leasing stance, time_point now) {
  for (std::size_t n = 1; n <= options_.lease_ahead; ++n)
    for (auto id : ids()) feed(id, n, stance, now);
}

void lease_desk::lease_again(leasing stance, time_point now) {
  lease_returned(stance, now);
  lease_to_all(stance, now);
}

void lease_desk::lease_to_all(leasing stance, time_point now) {
  for (auto id : ids()) lease_to(id, stance, now);
}

void lease_desk::lease_to(worker_id id, leasing stance, time_point now) {
  feed(id, options_.lease_ahead, stance, now);
}

// SCHED-5
void lease_desk::lease_returned(leasing stance, time_point now) {
  const bool leases = stance == leasing::open || stance == leasing::resting || may_lease(stance);
  if (leases_.returned_count() == 0 || !leases) return;
  revive_one();
  std::set<std::pair<std::size_t, worker_id>> by_load;
  for (const auto& [id, w] : workers_) by_load.emplace(leases_.held_count(id), id);
  while (leases_.returned_count() > 0 && !by_load.empty()) {
    const auto [held, id] = *by_load.begin();
    by_load.erase(by_load.begin());
    feed(id, held + 1, stance, now);
    if (const auto more = leases_.held_count(id); more > held) // else it cannot take one now
      by_load.emplace(more, id);
  }
}

// SCHED-4
void lease_desk::revive_one() {
  auto best = workers_.end();
  for (auto i = workers_.begin(); i != workers_.end(); ++i) {
    if (!i->second.suspended) return; // a worker is at work
    if (best == workers_.end() || i->second.revivals < best->second.revivals ||
        (i->second.revivals == best->second.revivals &&
         i->second.completed_at > best->second.completed_at))
      best = i;
  }
  if (best == workers_.end()) return;
  reached(probe::worker_revived);
  best->second.suspended = false;
  ++best->second.revivals;
}

bool lease_desk::may_lease(leasing stance) const {
  const auto next = leases_.peek();
  if (!next) return false;
  if (stance == leasing::finishing) return is_of_begun_step(*next);
  return stance == leasing::open && next->epoch <= evaluated_epochs_ + 1; // SCHED-3
}

bool lease_desk::is_of_begun_step(batch_id next) const {
  const auto group = mode_.batches_per_step();
  if (!group) return false;
  const step_plan steps{plan_, *group};
  return leases_.returned_count() > 0 || next != steps.first_batch(steps.step_of(next));
}

void lease_desk::feed(worker_id id, std::size_t up_to, leasing stance, time_point now) {
  auto i = workers_.find(id);
  if (i == workers_.end() || i->second.suspended || stance == leasing::closed) return;
  auto& w = i->second;
  auto held = leases_.held_count(id);
  if (!may_lease(stance) || members_.is_leaving(w.node)) {
    if (held == 0 && !back_up(id, stance, now) && !w.backup && w.in_clocks) leave_clocks(id);
    return;
  }
  if (!w.in_clocks) {
    enter_clocks(id);
    return;
  }
  orders::give_leases lease{id, {}, w.clock};
  for (; held < up_to && may_lease(stance); ++held)
    for (auto batch : leases_.lease(id, 1, now)) {
      lease.batches.push_back(batch);
      w.under_way.insert(batch);
    }
  if (!lease.batches.empty()) orders_.push_back(std::move(lease));
}

// A worker that has nothing to do computes the batch that keeps the others waiting.
bool lease_desk::back_up(worker_id id, leasing stance, time_point now) {
  auto& w = workers_.at(id);
  if (stance != leasing::open || w.backup || members_.is_leaving(w.node))
    return w.backup.has_value();
  auto batch = leases_.straggler(id, now, options_.straggler_after);
  if (!batch || backed_up_by(*batch) != workers_.end()) return false;
  if (!w.in_clocks) {
    enter_clocks(id);
    return true;
  }
  reached(probe::backup_task_given);
  w.backup = batch;
  backups_.insert_or_assign(*batch, id);
  w.under_way.insert(*batch);
  orders_.push_back(orders::give_leases{id, {*batch}, w.clock, true});
  return true;
}

// A backup of a worker that was lost is none.
lease_desk::worker_map::iterator lease_desk::backed_up_by(batch_id batch) {
  auto by = backups_.find(batch);
  if (by == backups_.end()) return workers_.end();
  auto i = workers_.find(by->second);
  return i != workers_.end() && i->second.backup == batch ? i : workers_.end();
}

bool lease_desk::complete(const batch_report& d, time_point now) {
  if (auto i = workers_.find(d.worker); i != workers_.end()) {
    auto& w = i->second;
    w.clock = std::max(w.clock, d.clock);
    w.suspended = false;
    w.completed_at = now;
    w.under_way.erase(d.batch);
    if (auto& spent = spent_[d.worker]; d.spent.whole() > spent.whole()) spent = d.spent;
  }
  if (auto i = backed_up_by(d.batch); i != workers_.end()) i->second.backup.reset();
  backups_.erase(d.batch);
  leases_.renew(d.worker, now);
  if (!leases_.complete(d.batch, d.worker)) return false;
  orders_.push_back(orders::batch_completed{d.worker, d.batch});
  return true;
}

void lease_desk::expire(time_point now) {
  for (auto id : leases_.overdue(now, options_.lease_timeout)) {
    // A completed batch renews all leases of its worker: one that ran out speaks for all.
    reached(probe::lease_expired);
    give_back(id);
    auto i = workers_.find(id);
    if (i == workers_.end()) continue; // with the mutant leases_of_lost_worker_kept
    i->second.suspended = true;
    if (i->second.in_clocks) leave_clocks(id);
    const auto seconds = std::chrono::duration<double>(options_.lease_timeout).count();
    orders_.push_back(
        orders::notify{notice_kind::warning, to_string(id) + " completed nothing in " +
                                                 std::to_string(static_cast<long>(seconds)) +
                                                 " s; its leases go to the others"});
  }
}

// -- epochs ---------------------------------------------------------------------------------------

void lease_desk::evaluated(std::uint32_t epochs) {
  evaluated_epochs_ = std::max(evaluated_epochs_, epochs);
}

void lease_desk::keep_result_open() {
  if (evaluated_epochs_ == plan_.epochs() && evaluated_epochs_ > 0) --evaluated_epochs_;
}

void lease_desk::evaluate_complete_epochs() {
  while (asked_epochs_ < leases_.first_open_epoch())
    orders_.push_back(orders::evaluate{asked_epochs_++});
}

} // namespace troupe::scheduler
