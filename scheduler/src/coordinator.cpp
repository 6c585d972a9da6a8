// How a run goes on from tick to tick: batches, epochs, checkpoints, the end.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <cmath>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

namespace {

// A stopped run waits so long for the batches in hand, and then for the parameters.
constexpr auto stop_patience = std::chrono::seconds(10);
// And so many times as long for the checkpoint: there may be gigabytes to write.
constexpr std::uint32_t checkpoint_waits = 4;

} // namespace

coordinator::coordinator(coordinator_options o, time_point now)
    : options_(std::move(o)), begun_(now), next_worker_(options_.workers), stall_(options_.stall),
      members_(options_.nodes, now), failures_(options_.failures),
      replicas_(options_.shards, options_.replicas),
      desk_(options_.leases, options_.plan, options_.mode, members_, replicas_, orders_),
      progress_(options_.plan), checkpoints_(options_.checkpoints, options_.plan, options_.mode) {}

void coordinator::begin() {
  if (!checkpoints_.kept()) return;
  if (auto* gathering = as<phases::gathering>()) gathering->loading = options_.resume;
  issue(orders::load_checkpoint{generation_}); // a fresh run only needs to know the next number
}

void coordinator::notify(notice_kind kind, std::string text) {
  if (!over()) issue(orders::notify{kind, std::move(text)}); // how it ended is the last event
}

leasing coordinator::stance() const {
  if (is<phases::training>()) return checkpoints_.resting() ? leasing::resting : leasing::open;
  return is<phases::stopping>() ? leasing::finishing : leasing::closed;
}

std::string coordinator::counted_roles() const {
  return std::to_string(desk_.workers().size()) + " workers and " +
         std::to_string(options_.shards) + " shards in " + std::to_string(members_.all().size()) +
         " processes";
}

void coordinator::tick(time_point now) {
  look_for_stall(now);
  if (auto* gathering = as<phases::gathering>()) {
    if (now - begun_ >= options_.gather_timeout) {
      auto seconds = std::chrono::round<std::chrono::seconds>(now - begun_).count();
      fail("waited " + std::to_string(seconds) +
           " s for nodes to join; still missing: " + gathering->missing);
      return;
    }
    try_place(now); // after a while fewer workers will do
  }
  auto* training = as<phases::training>();
  if (training == nullptr) return;
  auto& since = training->without_workers_since;
  if (!desk_.workers().empty()) {
    since.reset();
  } else if (!since) {
    since = now;
    notify(notice_kind::warning, "no worker is left; the run waits for a node that runs one");
  } else if (now - *since >= options_.gather_timeout) {
    fail("no worker is left, and none has come");
    return;
  }
  restaff();
  desk_.expire(now);
  desk_.lease_again(stance(), now);
  checkpoint_if_due(now);
  issue(orders::save_progress{progress_.contents(now)});
  issue(orders::ask_reports{replicas_.primaries(), generation_});
}

// -- batches and epochs ---------------------------------------------------------------------------

void coordinator::batch_done(const batch_report& d, time_point now) {
  if (!is<phases::training>() && !is<phases::stopping>()) {
    if (is<phases::reconciling>()) reached(probe::done_while_reconciling);
    if (is<phases::reconciling>() || mutant_active(mutant::done_of_old_life_accepted))
      done_meanwhile_.push_back(d);
    return;
  }
  if (!desk_.knows(d.worker)) { // SCHED-7
    reached(probe::done_of_lost_worker);
    if (generation_ > 0 && !desk_.leases().completed(d.batch)) reached(probe::done_of_old_life);
    if (!mutant_active(mutant::done_of_old_life_accepted)) return;
  }
  if (desk_.complete(d, now)) {
    moved();
    if (!progress_.complete(d.batch, d.loss, now)) {
      fail("the training loss became " +
           (std::isnan(d.loss) ? std::string("NaN") : std::to_string(d.loss)) + " at batch " +
           std::to_string(d.batch.index) + " of epoch " + std::to_string(d.batch.epoch + 1) +
           "; expected a finite number: try a lower train.optimizer.learning_rate");
      return;
    }
    desk_.evaluate_complete_epochs();
  }
  follow_ended_leases(now);
  if (!members_.leaving().empty()) drain_on(now);
  desk_.lease_to(d.worker, stance(), now);
}

void coordinator::clock_entered(const orders::enter_clock& asked, clock_value clock,
                                time_point now) {
  desk_.clock_entered(asked.worker, asked.entry, asked.clock, clock, stance(), now);
}

void coordinator::clock_not_entered(const orders::enter_clock& asked) {
  desk_.clock_not_entered(asked.worker, asked.entry);
}

// A stopped run hands out its parameters, and a checkpoint of hogwild is taken, when no lease is
// open.
void coordinator::follow_ended_leases(time_point now) {
  if (is<phases::stopping>()) {
    go_on_stopping(now);
    return;
  }
  if (desk_.leases().open_count() == 0 && checkpoints_.resting()) begin_checkpoint(now);
}

std::optional<orders::ask_reports> coordinator::epoch_evaluated() const {
  if (over() || is<phases::gathering>() || is<phases::placing>()) return std::nullopt;
  return orders::ask_reports{replicas_.primaries(), generation_};
}

void coordinator::epoch_reported(std::uint64_t generation, std::uint32_t epoch, time_point now) {
  if (over() || generation != generation_) return;
  last_loss_ = progress_.epoch_loss(epoch).value_or(0);
  issue(
      orders::show_epoch{epoch, last_loss_, progress_.epoch_samples_per_second(epoch).value_or(0)});
  moved();
  desk_.evaluated(epoch + 1);
  issue(orders::save_evaluated{desk_.evaluated_epochs(), progress_.contents(now)});
  if (!is<phases::training>()) return;
  if (desk_.evaluated_epochs() == options_.plan.epochs())
    finish();
  else
    desk_.lease_to_all(stance(), now);
}

void coordinator::progress_reported(std::uint64_t generation, time_point now) {
  if (!is<phases::training>() || generation != generation_) return;
  auto recent = progress_.take_recent(now);
  if (recent.mean_loss) last_loss_ = *recent.mean_loss;
  auto left = progress_.time_left(now);
  issue(orders::show_progress{progress_.current_epoch() + 1, progress_.batches_done(), last_loss_,
                              recent.samples_per_second, left ? left->count() : -1.0,
                              static_cast<std::uint32_t>(desk_.workers().size())});
}

// -- checkpoints ----------------------------------------------------------------------------------

void coordinator::checkpoint_if_due(time_point now) {
  switch (checkpoints_.look(progress_.batches_done(), now)) {
  case checkpoint_schedule::action::none:
    return;
  case checkpoint_schedule::action::give_up:
    issue(orders::give_up_checkpoint{});
    return;
  case checkpoint_schedule::action::take:
    if (!checkpoints_.resting() || desk_.leases().open_count() == 0) begin_checkpoint(now);
  }
}

void coordinator::begin_checkpoint(time_point now) {
  if (checkpoints_.opened()) return;
  if (const auto step = checkpoints_.step_for(desk_.leases().first_new()))
    open_checkpoint(*step, now);
}

void coordinator::open_checkpoint(std::uint64_t step, time_point now) {
  const auto number = checkpoints_.open(progress_.batches_done(), now);
  for (auto& [id, m] : members_.all())
    if (m.end_asked && !m.ends_after && !members_.is_leaving(id)) m.ends_after = number;
  issue(orders::open_checkpoint{number, step, desk_.evaluated_epochs()});
  for (const auto& to : replicas_.primaries())
    issue(orders::take_image{to, number, step, desk_.evaluated_epochs()});
}

void coordinator::images_arrived(std::uint64_t number, time_point now) {
  if (checkpoints_.images_arrived(number)) desk_.lease_again(stance(), now);
}

void coordinator::checkpoint_ended(const checkpoint_schedule::finished& f, const std::string& error,
                                   time_point now) {
  const bool rested = checkpoints_.resting();
  if (!checkpoints_.ended(f.number)) return;
  moved();
  if (rested) desk_.lease_to_all(stance(), now);
  const auto which = "checkpoint " + std::to_string(f.number);
  if (error.empty()) {
    checkpoints_.finish(f);
    notify(notice_kind::checkpoint, which + " at " + std::to_string(f.batches) + " of " +
                                        std::to_string(options_.plan.total_batches()) + " batches");
  } else if (!over()) {
    issue(orders::checkpoint_failed{f.number});
    notify(notice_kind::warning, which + " failed, training goes on: " + error);
  }
  let_go(f.number, error.empty());
  if (auto* stopping = as<phases::stopping>()) {
    if (stopping->checkpoint == phases::stopping::saving::open)
      stopping->checkpoint = phases::stopping::saving::ended;
    go_on_stopping(now);
  }
}

// -- the end --------------------------------------------------------------------------------------

// SCHED-14
void coordinator::stop(time_point now) {
  if (over() || is<phases::stopping>()) return;
  if (auto* reconciling = as<phases::reconciling>()) { // the nodes have what is to be saved
    if (!std::exchange(reconciling->stop_asked, true)) issue(orders::await_stop{stop_patience});
    return;
  }
  if (!is<phases::training>()) {
    end_interrupted(false);
    return;
  }
  phase_ = phases::stopping{};
  issue(orders::await_stop{stop_patience});
  desk_.lease_again(stance(), now); // the rest of a step
  go_on_stopping(now);
}

void coordinator::go_on_stopping(time_point now) {
  using enum phases::stopping::saving;
  auto& stopping = *as<phases::stopping>();
  if (!stopping.settled) {
    if (!desk_.settled()) return;
    stopping.settled = true;
    issue(orders::evaluate{std::nullopt});
  }
  if (stopping.checkpoint == due && !checkpoints_.opened()) {
    stopping.checkpoint = ended;
    const auto& last = checkpoints_.last();
    const bool saved = last && last->batches == progress_.batches_done();
    if (checkpoints_.kept() && !saved) {
      stopping.checkpoint = open;
      open_checkpoint(checkpoints_.step_at_rest(desk_.leases().first_new()), now);
    }
  }
  if (stopping.snapshot_taken && stopping.checkpoint == ended) end_interrupted(true);
}

void coordinator::stop_timeout(time_point now) {
  using enum phases::stopping::saving;
  if (const auto* reconciling = as<phases::reconciling>(); reconciling && reconciling->stop_asked) {
    end_interrupted(false);
    return;
  }
  auto* stopping = as<phases::stopping>();
  if (stopping == nullptr) return;
  if (!stopping->settled) { // some worker is slow: take what is there
    stopping->settled = true;
    if (options_.mode.batches_per_step()) stopping->checkpoint = ended; // half a step is no state
    issue(orders::evaluate{std::nullopt});
    issue(orders::await_stop{stop_patience});
    go_on_stopping(now);
    return;
  }
  if (!stopping->snapshot_taken) {
    fail("interrupted, and the shards did not hand out their parameters in time");
    return;
  }
  if (++stopping->waits < checkpoint_waits) {
    issue(orders::await_stop{stop_patience});
    return;
  }
  notify(notice_kind::warning, "the checkpoint of the interrupted run was not written in time");
  end_interrupted(true);
}

void coordinator::snapshot_taken(time_point now) {
  auto* stopping = as<phases::stopping>();
  if (stopping == nullptr) return;
  stopping->snapshot_taken = true;
  go_on_stopping(now);
}

void coordinator::end_interrupted(bool with_parameters) {
  end({.outcome = run_outcome::interrupted,
       .batches_done = is<phases::stopping>() ? progress_.batches_done() : 0,
       .with_parameters = with_parameters},
      "interrupted");
}

void coordinator::fail(const std::string& reason) {
  if (!over()) break_off(reason);
}

void coordinator::break_off(const std::string& reason) {
  end({.outcome = run_outcome::failed, .error = reason, .batches_done = progress_.batches_done()},
      reason);
}

void coordinator::finish() {
  orders::hand_over_result result{.outcome = run_outcome::finished,
                                  .batches_done = progress_.batches_done(),
                                  .with_parameters = true,
                                  .loss = last_loss_};
  for (std::uint32_t e = 0; e < options_.plan.epochs(); ++e)
    result.seconds += progress_.epoch_duration(e).value_or(job_progress::seconds{0}).count();
  end(std::move(result), "");
}

// SCHED-13
void coordinator::end(orders::hand_over_result result, const std::string& reason_for_nodes) {
  phase_ = phases::ended{};
  issue(std::move(result));
  issue(orders::save_ended{});
  issue(orders::dismiss_helpers{});
  members_.forget_absent();
  for (const auto& [id, m] : members_.all()) issue(orders::stop_node{id, reason_for_nodes});
  issue(orders::await_goodbyes{!members_.all().empty()});
}

} // namespace troupe::scheduler
