#include "troupe/actors/scheduler.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

#include <nlohmann/json.hpp>

namespace troupe::actors {

namespace {

// Data sets and models are loaded and connections made within these.
constexpr auto place_timeout = std::chrono::minutes(5);
constexpr auto enter_timeout = std::chrono::seconds(10);
constexpr auto report_timeout = std::chrono::seconds(10);

double seconds(caf::timespan t) { return std::chrono::duration<double>(t).count(); }

} // namespace

void scheduler_state::start(scheduler_actor_options o) {
  options_ = std::move(o);
  leases_.emplace(options_.plan);
  progress_.emplace(options_.plan);
  begun_ = self->clock().now();
  self->set_down_handler([this](caf::down_msg& d) { on_down(d); });
  self->set_exit_handler([this](caf::exit_msg& e) {
    if (phase_ != phase::ended)
      fail("ended from outside, or the evaluator did: " + reason_of(e.reason));
  });
  self->set_exception_handler([this](std::exception_ptr& e) {
    auto err = report_exception("the scheduler", e, nullptr);
    fail("the scheduler failed: " + reason_of(err));
    return err;
  });
  awake_.emplace(begun_, 2 * options_.look);
  self->delayed_send(self, options_.tick, scheduler_tick{});
  self->delayed_send(self, options_.look, look_for_silence{});
}

void scheduler_state::notice(notice_event::kind kind, std::string text) {
  options_.emit(notice_event{kind, std::move(text)});
}

// -- gathering ------------------------------------------------------------------------------------

caf::result<welcome> scheduler_state::on_hello(const hello& h) {
  if (h.version != protocol_version)
    return make_error(errc::protocol_mismatch,
                      "the scheduler speaks protocol version " + std::to_string(protocol_version) +
                          ", the node version " + std::to_string(h.version) +
                          "; install the same release of troupe on both");
  if (!h.job_id.empty() && h.job_id != options_.job_id)
    return make_error(errc::job_mismatch, "the scheduler runs job " + options_.job_id +
                                              ", the node expects " + h.job_id);
  if (phase_ != phase::gathering)
    return make_error(
        errc::not_gathering,
        "the job has all the nodes it needs; nodes cannot join once roles are placed");
  auto id = members_.next_node_id();
  auto now = self->clock().now();
  members_.join(id, now);
  nodes_.insert_or_assign(
      id, member{h.node, h.at, {id, h.shards, h.workers}, {options_.detector, awake_->look(now)}});
  self->monitor(h.node);
  notice(notice_event::kind::node_joined,
         to_string(id) + " joined from " + h.at.host + ", offering " + std::to_string(h.shards) +
             " shards and " + std::to_string(h.workers) + " workers");
  // The welcome goes out first: the node must know the job before it gets a role.
  self->send(self, try_place{});
  return welcome{id, options_.job_id, to_json(options_.work).dump()};
}

std::vector<scheduler::node_offer> scheduler_state::offers() const {
  std::vector<scheduler::node_offer> result;
  for (const auto& [id, m] : nodes_) result.push_back(m.offer);
  return result;
}

void scheduler_state::on_try_place() {
  if (phase_ != phase::gathering) return;
  const auto& cluster = options_.work.cluster;
  bool together = options_.work.train.consistency.in_place();
  if (auto p = scheduler::place(offers(), cluster.shards, cluster.workers, together))
    place_all(*p);
  else
    missing_ = scheduler::describe_missing(offers(), cluster.shards, cluster.workers);
}

// -- placing --------------------------------------------------------------------------------------

void scheduler_state::place_all(const scheduler::placement& p) {
  phase_ = phase::placing;
  placement_ = p;
  shards_.resize(p.shards.size());
  std::map<node_id, place_shards> requests;
  for (std::uint32_t s = 0; s < p.shards.size(); ++s)
    requests[p.shards[s]].shards.push_back(shard_id{s});
  placing_ = requests.size();
  for (auto& [id, request] : requests) {
    request.workers = options_.work.cluster.workers;
    auto ids = request.shards;
    self->request(nodes_.at(id).actor, place_timeout, request)
        .then(
            [this, ids](const shards_placed& placed) {
              for (std::size_t i = 0; i < ids.size() && i < placed.shards.size(); ++i)
                shards_[ids[i].value] = placed.shards[i];
              if (--placing_ == 0) place_workers_on_nodes();
            },
            [this, id = id](const caf::error& err) {
              fail(to_string(id) + " could not hold its shards: " + reason_of(err));
            });
  }
}

void scheduler_state::place_workers_on_nodes() {
  if (phase_ != phase::placing) return;
  std::map<node_id, place_workers> requests;
  for (std::uint32_t w = 0; w < placement_.workers.size(); ++w)
    requests[placement_.workers[w]].workers.push_back(worker_id{w});
  placing_ = requests.size();
  for (auto& [id, request] : requests) {
    for (auto shard_node : placement_.shards) request.shards.push_back(nodes_.at(shard_node).at);
    auto ids = request.workers;
    self->request(nodes_.at(id).actor, place_timeout, request)
        .then(
            [this, id = id, ids](const workers_placed& placed) {
              if (phase_ != phase::placing) return;
              auto now = self->clock().now();
              for (std::size_t i = 0; i < ids.size() && i < placed.workers.size(); ++i) {
                members_.join(ids[i], id, now);
                workers_[ids[i]] = {placed.workers[i], id};
              }
              if (--placing_ == 0) begin_training();
            },
            [this, id = id](const caf::error& err) {
              fail(to_string(id) + " could not run its workers: " + reason_of(err));
            });
  }
}

// -- training -------------------------------------------------------------------------------------

void scheduler_state::begin_training() {
  phase_ = phase::training;
  evaluator_ = options_.spawn_evaluator(address_book{scheduler_actor{self}, shards_});
  self->link_to(evaluator_); // it dies with the scheduler, and the scheduler hears of its end
  notice(notice_event::kind::started, "training with " + std::to_string(workers_.size()) +
                                          " workers and " + std::to_string(shards_.size()) +
                                          " shards in " + std::to_string(nodes_.size()) +
                                          " processes");
  progress_->start(self->clock().now());
  // One lease at a time to each worker, so that the first batches are spread over all of them.
  for (std::size_t n = 1; n <= options_.lease_ahead; ++n)
    for (auto id : members_.live_workers()) feed(id, n);
}

void scheduler_state::feed_all() {
  for (auto id : members_.live_workers()) feed(id, options_.lease_ahead);
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
  best->second.suspended = false;
  ++best->second.revivals;
}

void scheduler_state::lease_returned() {
  if (leases_->returned_count() == 0) return;
  revive_one();
  auto candidates = members_.live_workers();
  while (leases_->returned_count() > 0 && !candidates.empty()) {
    auto least = std::ranges::min_element(
        candidates, {}, [this](worker_id id) { return leases_->held_by(id).size(); });
    auto held = leases_->held_by(*least).size();
    feed(*least, held + 1);
    if (leases_->held_by(*least).size() == held) candidates.erase(least); // it cannot take one now
  }
}

bool scheduler_state::may_lease() const {
  auto next = leases_->peek();
  return phase_ == phase::training && next && next->epoch <= evaluated_epochs_ + 1; // SCHED-3
}

void scheduler_state::feed(worker_id id, std::size_t up_to) {
  auto i = workers_.find(id);
  if (i == workers_.end() || i->second.suspended) return;
  if (phase_ != phase::training && phase_ != phase::draining) return;
  auto& worker = i->second;
  auto held = leases_->held_by(id).size();
  if (!may_lease()) {
    if (held == 0 && worker.in_clocks) leave_clocks(id);
    return;
  }
  if (!worker.in_clocks) {
    enter_clocks(id);
    return;
  }
  batch_lease lease;
  lease.clock_floor = worker.clock;
  for (; held < up_to && may_lease(); ++held)
    for (auto batch : leases_->lease(id, 1, self->clock().now())) lease.batches.push_back(batch);
  if (!lease.batches.empty()) self->send(worker.actor, std::move(lease));
}

void scheduler_state::leave_clocks(worker_id id, bool gone) {
  workers_.at(id).in_clocks = false;
  for (const auto& shard : shards_) self->send(shard, leave_clock{id, gone});
}

void scheduler_state::enter_clocks(worker_id id) {
  auto& worker = workers_.at(id);
  if (worker.entering > 0) return;
  // It enters beside the furthest, so that it holds nobody back.
  for (const auto& [other, record] : workers_) worker.clock = std::max(worker.clock, record.clock);
  worker.entering = shards_.size();
  for (const auto& shard : shards_)
    self->request(shard, enter_timeout, enter_clock{id, worker.clock})
        .then(
            [this, id](const clock_entered&) {
              auto i = workers_.find(id);
              if (i == workers_.end() || --i->second.entering > 0) return;
              i->second.in_clocks = true;
              feed(id, options_.lease_ahead);
            },
            [this](const caf::error& err) { fail("a shard did not answer: " + reason_of(err)); });
}

void scheduler_state::on_batch_done(const batch_done& d) {
  if (phase_ != phase::training && phase_ != phase::draining) return;
  auto now = self->clock().now();
  members_.heard(d.worker, now);
  if (auto i = workers_.find(d.worker); i != workers_.end()) {
    i->second.clock = std::max(i->second.clock, d.clock);
    i->second.suspended = false;
    i->second.completed_at = now;
  }
  leases_->renew(d.worker, now);
  if (leases_->complete(d.batch, d.worker)) {
    auto loss = std::bit_cast<double>(d.loss_bits);
    if (!progress_->complete(d.batch, loss, now)) {
      fail("the training loss became " +
           (std::isnan(loss) ? std::string("NaN") : std::to_string(loss)) + " at batch " +
           std::to_string(d.batch.index) + " of epoch " + std::to_string(d.batch.epoch + 1) +
           "; expected a finite number: try a lower train.optimizer.learning_rate");
      return;
    }
    while (asked_epochs_ < options_.plan.epochs() && leases_->epoch_complete(asked_epochs_))
      self->send(evaluator_, evaluate_epoch{asked_epochs_++});
  }
  if (phase_ == phase::draining && leases_->open_count() == 0) begin_snapshot();
  feed(d.worker, options_.lease_ahead);
}

void scheduler_state::on_epoch_evaluated(const epoch_evaluated& e) {
  if (phase_ == phase::ended) return;
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
    if (phase_ != phase::training) return;
    if (evaluated_epochs_ == options_.plan.epochs())
      finish();
    else
      feed_all();
  });
}

// Asks every shard for its report and goes on when all have answered.
void scheduler_state::with_reports(std::function<void()> then) {
  auto awaited = std::make_shared<std::size_t>(shards_.size());
  for (const auto& shard : shards_)
    self->request(shard, report_timeout, report_request{})
        .then(
            [this, awaited, then](const shard_report& r) {
              reports_[r.shard] = r;
              if (--*awaited == 0 && phase_ != phase::ended) then();
            },
            [this](const caf::error& err) { fail("a shard did not answer: " + reason_of(err)); });
}

scheduler::staleness_histogram scheduler_state::staleness() const {
  scheduler::staleness_histogram all;
  for (const auto& [shard, report] : reports_) all.merge(report.staleness);
  return all;
}

void scheduler_state::on_tick() {
  if (phase_ == phase::ended) return;
  auto now = self->clock().now();
  self->delayed_send(self, options_.tick, scheduler_tick{});
  if (phase_ == phase::gathering && now - begun_ >= options_.gather_timeout)
    fail("waited " + std::to_string(static_cast<long>(seconds(now - begun_))) +
         " s for nodes to join; still missing: " + missing_);
  if (phase_ != phase::training) return;
  expire_leases();
  lease_returned();
  feed_all();
  with_reports([this] { emit_progress(); });
}

void scheduler_state::expire_leases() {
  std::map<worker_id, std::size_t> held;
  for (auto id : members_.live_workers()) held[id] = leases_->held_by(id).size();
  if (leases_->expire(self->clock().now(), options_.lease_timeout).empty()) return;
  for (auto [id, before] : held) {
    if (leases_->held_by(id).size() == before) continue;
    // A completed batch renews all leases of its worker: one that ran out speaks for all.
    leases_->give_back(id);
    workers_.at(id).suspended = true;
    if (workers_.at(id).in_clocks) leave_clocks(id);
    notice(notice_event::kind::warning,
           to_string(id) + " completed nothing in " +
               std::to_string(static_cast<long>(seconds(options_.lease_timeout))) +
               " s; its leases go to the others");
  }
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

scheduler_impl_actor::behavior_type scheduler_root(scheduler_state::self_pointer self,
                                                   scheduler_actor_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const hello& h) { return state.on_hello(h); },
      [&state](const batch_done& d) { state.on_batch_done(d); },
      [&state](const epoch_evaluated& e) { state.on_epoch_evaluated(e); },
      [&state](const stop_training&) { state.on_stop(); },
      [&state](const actor_failed& f) { state.on_actor_failed(f); },
      [&state](const heartbeat& h) { state.on_heartbeat(h); },
      [&state](try_place) { state.on_try_place(); },
      [&state](scheduler_tick) { state.on_tick(); },
      [&state](drain_timeout) { state.on_drain_timeout(); },
      [&state](look_for_silence) { state.on_look(); },
  };
}

} // namespace troupe::actors
