// Who computes what, and how far the job is.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

constexpr auto enter_timeout = std::chrono::seconds(10);
constexpr auto report_timeout = std::chrono::seconds(10);

double seconds(caf::timespan t) { return std::chrono::duration<double>(t).count(); }

} // namespace

void scheduler_state::feed_all() {
  for (auto id : live_workers()) feed(id, options_.lease_ahead);
}

void scheduler_state::revive_one() {
  auto best = workers_.end();
  for (auto i = workers_.begin(); i != workers_.end(); ++i) {
    if (!i->second.suspended) return; // somebody is at work
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

void scheduler_state::lease_returned() {
  if (leases_->returned_count() == 0 || phase_ != phase::training) return;
  revive_one();
  std::set<std::pair<std::size_t, worker_id>> by_load;
  for (const auto& [id, record] : workers_) by_load.emplace(leases_->held_count(id), id);
  while (leases_->returned_count() > 0 && !by_load.empty()) {
    const auto [held, id] = *by_load.begin();
    by_load.erase(by_load.begin());
    feed(id, held + 1);
    if (const auto now = leases_->held_count(id); now > held) // else it cannot take one now
      by_load.emplace(now, id);
  }
}

bool scheduler_state::may_lease() const {
  auto next = leases_->peek();
  return phase_ == phase::training && !quiet_ && next &&
         next->epoch <= evaluated_epochs_ + 1; // SCHED-3
}

void scheduler_state::feed(worker_id id, std::size_t up_to) {
  auto i = workers_.find(id);
  if (i == workers_.end() || i->second.suspended) return;
  if (phase_ != phase::training && phase_ != phase::draining) return;
  auto& worker = i->second;
  auto held = leases_->held_count(id);
  if (!may_lease() || draining_.contains(worker.node)) {
    if (held == 0 && !back_up(id) && !worker.backup && worker.in_clocks) leave_clocks(id);
    return;
  }
  if (!worker.in_clocks) {
    enter_clocks(id);
    return;
  }
  batch_lease lease;
  lease.clock_floor = worker.clock;
  for (; held < up_to && may_lease(); ++held)
    for (auto batch : leases_->lease(id, 1, self->clock().now())) {
      lease.batches.push_back(batch);
      worker.under_way.insert(batch);
      tell({.what = history::event_kind::lease_given, .worker = id, .batch = batch});
    }
  if (!lease.batches.empty()) self->send(worker.actor, std::move(lease));
}

// A worker that has nothing to do computes the batch that keeps the others waiting.
bool scheduler_state::back_up(worker_id id) {
  auto& worker = workers_.at(id);
  if (phase_ != phase::training || quiet_ || worker.backup || draining_.contains(worker.node))
    return worker.backup.has_value();
  auto batch = leases_->straggler(id, self->clock().now(), options_.straggler_after);
  if (!batch) return false;
  if (backed_up_by(*batch) != workers_.end()) return false;
  if (!worker.in_clocks) {
    enter_clocks(id);
    return true;
  }
  reached(probe::backup_task_given);
  worker.backup = batch;
  backups_.insert_or_assign(*batch, id);
  worker.under_way.insert(*batch);
  tell({.what = history::event_kind::lease_given, .detail = 1, .worker = id, .batch = *batch});
  self->send(worker.actor, batch_lease{{*batch}, worker.clock});
  return true;
}

// A backup of a worker that was lost is none.
scheduler_state::worker_map::iterator scheduler_state::backed_up_by(batch_id batch) {
  auto by = backups_.find(batch);
  if (by == backups_.end()) return workers_.end();
  auto i = workers_.find(by->second);
  return i != workers_.end() && i->second.backup == batch ? i : workers_.end();
}

void scheduler_state::leave_clocks(worker_id id, bool gone) {
  if (auto i = workers_.find(id); i != workers_.end()) i->second.in_clocks = false;
  for (std::uint32_t s = 0; s < views_->shards(); ++s)
    if (auto to = primary(shard_id{s})) self->send(to, leave_clock{id, gone});
}

void scheduler_state::enter_clocks(worker_id id) {
  auto& worker = workers_.at(id);
  const bool owns_count = options_.work.train.consistency.own_writes_are_read();
  if (worker.entering > 0 || (owns_count && !worker.under_way.empty())) return; // SCHED-2
  // It enters beside the furthest, so that it holds nobody back.
  for (const auto& [other, record] : workers_) worker.clock = std::max(worker.clock, record.clock);
  worker.entering = views_->shards();
  const auto entry = ++worker.entries;
  const auto at = worker.clock;
  for (std::uint32_t s = 0; s < views_->shards(); ++s)
    self->request(primary(shard_id{s}), enter_timeout, enter_clock{id, at})
        .then(
            [this, id, entry, at](const clock_entered& e) {
              auto i = workers_.find(id);
              if (i == workers_.end() || i->second.entries != entry || i->second.entering == 0)
                return;
              // A scheduler before this one may have let it enter further ahead.
              i->second.clock = std::max(i->second.clock, e.clock);
              if (--i->second.entering > 0) return;
              if (i->second.clock > at) { // not on every shard, it may be
                reached(probe::entered_further_ahead);
                enter_clocks(id);
                return;
              }
              i->second.in_clocks = true;
              feed(id, options_.lease_ahead);
            },
            [this, id, entry](const caf::error&) {
              // The primary was lost: with the next one it is tried again. Where it has entered it
              // would hold the others back until then (SCHED-2).
              auto i = workers_.find(id);
              if (i == workers_.end() || i->second.entries != entry || i->second.entering == 0)
                return;
              i->second.entering = 0;
              leave_clocks(id);
            });
}

void scheduler_state::on_batch_done(const batch_done& d) {
  if (phase_ != phase::training && phase_ != phase::draining) {
    if (phase_ == phase::reconciling) reached(probe::done_while_reconciling);
    if (phase_ == phase::reconciling || mutant_active(mutant::done_of_old_life_accepted))
      done_meanwhile_.push_back(d);
    return;
  }
  auto now = self->clock().now();
  auto worker = workers_.find(d.worker);
  if (worker == workers_.end()) { // SCHED-7
    reached(probe::done_of_lost_worker);
    if (generation_ > 0 && !leases_->completed(d.batch)) reached(probe::done_of_old_life);
    if (!mutant_active(mutant::done_of_old_life_accepted)) return;
  }
  if (worker != workers_.end()) {
    worker->second.clock = std::max(worker->second.clock, d.clock);
    worker->second.suspended = false;
    worker->second.completed_at = now;
    worker->second.under_way.erase(d.batch);
    if (auto& spent = spent_[d.worker]; d.spent.whole() > spent.whole()) spent = d.spent;
  }
  if (auto i = backed_up_by(d.batch); i != workers_.end()) i->second.backup.reset();
  backups_.erase(d.batch);
  leases_->renew(d.worker, now);
  if (leases_->complete(d.batch, d.worker)) {
    tell({.what = history::event_kind::batch_completed, .worker = d.worker, .batch = d.batch});
    auto loss = std::bit_cast<double>(d.loss_bits);
    if (!progress_->complete(d.batch, loss, now)) {
      fail("the training loss became " +
           (std::isnan(loss) ? std::string("NaN") : std::to_string(loss)) + " at batch " +
           std::to_string(d.batch.index) + " of epoch " + std::to_string(d.batch.epoch + 1) +
           "; expected a finite number: try a lower train.optimizer.learning_rate");
      return;
    }
    evaluate_complete_epochs();
  }
  if (phase_ == phase::draining && leases_->open_count() == 0) begin_snapshot();
  if (quiet_ && leases_->open_count() == 0) begin_checkpoint();
  if (!draining_.empty()) drain_on();
  feed(d.worker, options_.lease_ahead);
}

void scheduler_state::count_done_meanwhile() {
  for (const auto& d : std::exchange(done_meanwhile_, {})) on_batch_done(d);
}

// In order. After a checkpoint was gone back to, an epoch can be complete while one before it,
// which was evaluated once, is not again: the run has not finished then.
void scheduler_state::evaluate_complete_epochs() {
  while (asked_epochs_ < leases_->first_open_epoch())
    self->send(evaluator_, evaluate_epoch{asked_epochs_++});
}

void scheduler_state::expire_leases() {
  for (auto id : leases_->overdue(self->clock().now(), options_.lease_timeout)) {
    // A completed batch renews all leases of its worker: one that ran out speaks for all.
    reached(probe::lease_expired);
    for (auto batch : leases_->give_back(id))
      tell({.what = history::event_kind::lease_returned, .worker = id, .batch = batch});
    auto worker = workers_.find(id);
    if (worker == workers_.end()) continue; // with the mutant leases_of_lost_worker_kept
    worker->second.suspended = true;
    if (worker->second.in_clocks) leave_clocks(id);
    notice(notice_event::kind::warning,
           to_string(id) + " completed nothing in " +
               std::to_string(static_cast<long>(seconds(options_.lease_timeout))) +
               " s; its leases go to the others");
  }
}

// -- progress -------------------------------------------------------------------------------------

void scheduler_state::on_epoch_evaluated(const epoch_evaluated& e) {
  if (phase_ == phase::ended || phase_ == phase::gathering || phase_ == phase::placing) return;
  if (e.epoch == no_epoch) {
    run_result result;
    result.outcome = run_result::status::interrupted;
    result.parameters = *e.parameters;
    result.batches_done = progress_->batches_done();
    end(std::move(result), "interrupted");
    return;
  }
  with_reports([this, e] {
    auto optional = [&](auto member) {
      return e.held_out ? std::optional<double>{member(*e.held_out)} : std::nullopt;
    };
    epoch_event event{e.epoch + 1,
                      progress_->epoch_loss(e.epoch).value_or(0),
                      e.held_out ? e.held_out->accuracy : std::nullopt,
                      optional([](const auto& h) { return h.loss; }),
                      progress_->epoch_samples_per_second(e.epoch).value_or(0),
                      staleness()};
    last_ = e;
    last_loss_ = event.loss;
    options_.emit(event);
    evaluated_epochs_ = std::max(evaluated_epochs_, e.epoch + 1);
    tell({.what = history::event_kind::epoch_evaluated, .batch = {e.epoch, 0}});
    record([this](run_journal& j) {
      j.save_evaluated(evaluated_epochs_, progress_->contents(self->clock().now()));
    });
    if (phase_ != phase::training) return;
    if (evaluated_epochs_ == options_.plan.epochs())
      finish();
    else
      feed_all();
  });
}

// Asks every primary for its report and goes on when all have answered or were lost.
void scheduler_state::with_reports(std::function<void()> then) {
  auto awaited = std::make_shared<std::size_t>(views_->shards());
  auto answered = [this, awaited, then, g = generation_] {
    if (--*awaited == 0 && phase_ != phase::ended && g == generation_) then();
  };
  for (std::uint32_t s = 0; s < views_->shards(); ++s)
    self->request(primary(shard_id{s}), report_timeout, report_request{})
        .then(
            [this, answered](const shard_report& r) {
              reports_[r.shard] = r;
              answered();
            },
            [answered](const caf::error&) { answered(); });
}

scheduler::staleness_histogram scheduler_state::staleness() const {
  scheduler::staleness_histogram all;
  for (const auto& [shard, report] : reports_) all.merge(report.staleness);
  return all;
}

void scheduler_state::emit_progress() {
  if (phase_ != phase::training) return;
  auto now = self->clock().now();
  auto recent = progress_->take_recent(now);
  if (recent.mean_loss) last_loss_ = *recent.mean_loss;
  auto left = progress_->time_left(now);
  options_.emit(progress_event{progress_->current_epoch() + 1, options_.plan.epochs(),
                               progress_->batches_done(), progress_->batches_total(), last_loss_,
                               recent.samples_per_second, left ? left->count() : -1.0,
                               static_cast<std::uint32_t>(workers_.size()), staleness()});
}

} // namespace troupe::actors
