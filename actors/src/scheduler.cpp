// How messages become events of the coordinator.
#include "troupe/actors/scheduler.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>

#include <nlohmann/json.hpp>

#include "troupe/actors/read_lease.hpp"

namespace troupe::actors {

namespace {

scheduler::coordinator_options coordinator_options_of(const scheduler_actor_options& o) {
  const auto& j = o.work;
  return {.plan = o.plan,
          .mode = j.train.consistency,
          .shards = j.cluster.shards,
          .replicas = j.cluster.replicas,
          .workers = j.cluster.workers,
          .resume = o.resume,
          .checkpoints = {.kept = o.spawn_archive != nullptr,
                          .every_batches = j.checkpoint.every_batches,
                          .every_seconds = j.checkpoint.every_seconds},
          .leases = {o.lease_ahead, o.lease_timeout, o.straggler_after},
          .nodes = {o.detector, o.look, read_lease::length},
          .failures = o.failures,
          .gather_timeout = o.gather_timeout,
          .regather_patience = o.regather_patience,
          .stall = {.limit = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                        std::chrono::duration<double>(j.cluster.stall_limit_seconds))},
          .reconcile_patience = o.reconcile_patience};
}

scheduler::known_run known_run_of(const run_journal::content& c) {
  scheduler::known_run known{.next_node = c.next_node,
                             .next_worker = c.next_worker,
                             .views = c.views,
                             .evaluated_epochs = c.evaluated_epochs,
                             .progress = c.progress,
                             .restarts = c.restarts};
  for (const auto& n : c.nodes)
    known.nodes.push_back({n.id, n.shards, n.workers, address_of({n.host, n.port})});
  return known;
}

} // namespace

scheduler_state::~scheduler_state() {
  if (options_.status) *options_.status = nullptr;
}

void scheduler_state::start(scheduler_actor_options o) {
  options_ = std::move(o);
  if (options_.status) *options_.status = [this] { return status(); };
  decisions_.emplace(coordinator_options_of(options_), now());
  self->set_down_handler([this](caf::down_msg& d) { on_down(d); });
  self->set_exit_handler([this](caf::exit_msg& e) {
    fail("ended from outside, or the evaluator did: " + reason_of(e.reason));
  });
  self->set_exception_handler([this](std::exception_ptr& e) {
    auto err = report_exception("the scheduler", e, nullptr);
    if (!handed_over_) decisions_->break_off("the scheduler failed: " + reason_of(err));
    carry_out_orders();
    end_without_goodbyes();
    return err;
  });
  self->delayed_send(self, options_.tick, scheduler_tick{});
  self->delayed_send(self, options_.look, look_for_silence{});
  if (options_.spawn_archive) {
    archive_ = options_.spawn_archive(archive_client_actor{self});
    self->link_to(archive_);
  }
  if (options_.journal) begin_from_journal();
  record_job();
  decisions_->begin();
  carry_out_orders();
}

void scheduler_state::begin_from_journal() {
  if (options_.resume || options_.journal->read().views.empty()) {
    decisions_->begin_again(known_run_of(options_.journal->read()));
  } else {
    save([](run_journal& j) { j.save_restart(); });
    const auto& known = options_.journal->read();
    for (const auto& n : known.nodes) nodes_[n.id] = {node_actor{}, {n.host, n.port}};
    decisions_->take_up(known_run_of(known), now());
  }
  carry_out_orders();
}

void scheduler_state::record_job() const {
  const auto& cluster = options_.work.cluster;
  const auto& mode = options_.work.train.consistency;
  record({.what = history::event_kind::job_described,
          .detail = static_cast<std::uint8_t>(mode.type()),
          .shard = shard_id{cluster.shards},
          .worker = worker_id{cluster.workers},
          .node = node_id{cluster.replicas},
          .clock = options_.resume,
          .sequence = decisions_->restarts(),
          .batch = {options_.plan.epochs(), options_.plan.batches_per_epoch()},
          .value = mode.parameter()});
}

void scheduler_state::notice(notice_event::kind kind, std::string text) {
  if (ending_) return; // how it ended is the last event
  options_.emit(notice_event{kind, std::move(text)});
}

void scheduler_state::save(const std::function<void(run_journal&)>& what) {
  if (!options_.journal) return;
  try {
    what(*options_.journal);
    if (std::exchange(journal_error_told_, false))
      notice(notice_event::kind::warning, "the run journal can be written again and is complete");
  } catch (const journal_error& e) {
    if (!std::exchange(journal_error_told_, true))
      notice(notice_event::kind::warning,
             std::string(e.what()) + "; the run goes on, but its scheduler could not be restarted");
  }
}

// -- nodes ----------------------------------------------------------------------------------------

caf::result<welcome> scheduler_state::on_hello(const hello& h) {
  if (h.version != protocol_version)
    return make_error(errc::protocol_mismatch,
                      "the scheduler speaks protocol version " + std::to_string(protocol_version) +
                          ", the node version " + std::to_string(h.version) +
                          "; install the same release of troupe on both");
  if (!h.job_id.empty() && h.job_id != options_.job_id)
    return make_error(errc::job_mismatch, "the scheduler runs job " + options_.job_id +
                                              ", the node expects " + h.job_id);
  if (decisions_->over()) return make_error(errc::not_a_member, "the job is over");
  if (options_.on_member) options_.on_member(h.at, h.node);
  auto id = h.known_as;
  if (id == no_node) {
    id = decisions_->node_joined(h.shards, h.workers, now(), address_of(h.at));
    nodes_.insert_or_assign(id, member{h.node, h.at});
    self->monitor(h.node);
  } else if (auto refused = take_back(h)) {
    carry_out_orders();
    return make_error(errc::not_a_member, *refused);
  }
  carry_out_orders();
  return welcome{id, options_.job_id, to_json(options_.work).dump(), options_.workload.text()};
}

// A node that knew this scheduler, or the one before it.
std::optional<std::string> scheduler_state::take_back(const hello& h) {
  scheduler::returning_node node{{h.known_as, h.shards, h.workers, address_of(h.at)}, {}, {}};
  for (const auto& r : h.replicas) node.replicas.push_back(r.shard);
  for (const auto& l : h.leases) node.leases.push_back({l.worker, l.clock, l.batches});
  if (auto refused = decisions_->node_returned(node, now())) return refused;
  auto& m = nodes_.at(h.known_as);
  if (m.actor) self->demonitor(m.actor.address());
  m = {h.node, h.at};
  self->monitor(h.node);
  for (const auto& r : h.replicas)
    if (decisions_->replicas().exists(r.shard, h.known_as))
      replicas_[{r.shard, h.known_as}] = r.actor;
  for (const auto& l : h.leases)
    if (decisions_->desk().knows(l.worker)) workers_[l.worker] = l.actor;
  return std::nullopt;
}

void scheduler_state::on_heartbeat(const heartbeat& h) {
  auto answer = decisions_->heard(h.node, now());
  if (answer.lost)
    self->send(h.from, declared_lost{*answer.lost});
  else if (answer.seen)
    self->send(h.from, heartbeat_seen{h.number});
}

void scheduler_state::on_look() {
  if (decisions_->over()) return;
  self->delayed_send(self, options_.look, look_for_silence{});
  decisions_->look(now());
  carry_out_orders();
}

void scheduler_state::on_down(const caf::down_msg& d) {
  auto i = std::ranges::find_if(nodes_, [&](const auto& entry) {
    return entry.second.actor && entry.second.actor.address() == d.source;
  });
  if (i == nodes_.end()) return;
  const auto& [id, m] = *i;
  const bool local = m.at.port == 0;
  const bool ended = local || (decisions_->asks_whether_ended(id, now()) && options_.has_ended &&
                               options_.has_ended(m.at));
  decisions_->connection_closed(id, ended, reason_of(d.reason), now());
  carry_out_orders();
}

void scheduler_state::on_still_suspected(const still_suspected& s) {
  decisions_->still_suspected(s.node, s.connection, now());
  carry_out_orders();
}

void scheduler_state::on_actor_failed(const actor_failed& f) {
  auto from = caf::actor_cast<caf::actor_addr>(self->current_sender());
  std::optional<node_id> node;
  for (const auto& [id, m] : nodes_)
    if (m.actor && m.actor.address() == from) node = id;
  for (const auto& [id, address] : lost_)
    if (from && address == from) node = id;
  decisions_->actor_failed(node, f.reason, now());
  carry_out_orders();
}

void scheduler_state::on_role_failed(const role_failed& f) {
  decisions_->role_failed({f.node, f.is_worker, f.index, f.reason}, now());
  carry_out_orders();
}

void scheduler_state::on_caught_up(const caught_up& c) {
  decisions_->caught_up(c.shard, c.view, c.learner, now());
  carry_out_orders();
}

void scheduler_state::on_diverged(const diverged& d) {
  decisions_->diverged(d.shard, d.view, d.node, now());
  carry_out_orders();
}

caf::result<drain_accepted> scheduler_state::on_drain(const drain_request& d) {
  if (!decisions_->members().contains(d.node))
    return make_error(errc::not_a_member,
                      to_string(d.node) + " takes no part in job " + options_.job_id);
  auto refused = decisions_->drain(d.node, now());
  carry_out_orders();
  if (refused) return make_error(errc::cannot_place, *refused);
  return drain_accepted{};
}

void scheduler_state::on_leave(const leave_request& l) {
  decisions_->leave_asked(l.node, now());
  carry_out_orders();
}

void scheduler_state::on_unfit(const node_unfit& u) {
  const auto i = nodes_.find(u.node);
  if (i == nodes_.end()) return;
  const auto& host = i->second.at.host;
  decisions_->unfit(u.node, (host.empty() ? "" : "on " + host + ": ") + u.reason, now());
  carry_out_orders();
}

void scheduler_state::on_reach_report(const reach_report& r) {
  if (r.why.empty())
    decisions_->reaches(r.from, r.at, now());
  else
    decisions_->cannot_reach(r.from, r.at, r.why, now());
  carry_out_orders();
}

void scheduler_state::on_reconcile_timeout() {
  std::set<node_id> ended;
  if (options_.has_ended)
    for (auto id : decisions_->awaited(now()))
      if (options_.has_ended(nodes_.at(id).at)) ended.insert(id);
  decisions_->reconcile_look(ended, now());
  carry_out_orders();
}

void scheduler_state::on_ask_applied_again(const ask_applied_again& a) {
  decisions_->applied_unknown(a.what);
  carry_out_orders();
}

// -- training -------------------------------------------------------------------------------------

void scheduler_state::on_try_place() {
  decisions_->try_place(now());
  carry_out_orders();
}

void scheduler_state::on_tick() {
  if (decisions_->over()) return;
  self->delayed_send(self, options_.tick, scheduler_tick{});
  decisions_->tick(now());
  carry_out_orders();
}

void scheduler_state::on_batch_done(const batch_done& d) {
  decisions_->batch_done({d.worker, d.batch, d.clock, std::bit_cast<double>(d.loss_bits), d.spent},
                         now());
  carry_out_orders();
}

void scheduler_state::on_epoch_evaluated(const epoch_evaluated& e) {
  if (e.epoch == no_epoch) {
    last_ = e;
    decisions_->snapshot_taken(now());
    carry_out_orders();
  } else if (auto ask = decisions_->epoch_evaluated()) {
    with_reports(*ask, [this, e, g = ask->generation] {
      last_ = e;
      decisions_->epoch_reported(g, e.epoch, now());
    });
  }
}

// -- checkpoints ----------------------------------------------------------------------------------

void scheduler_state::on_checkpoint_loaded(const checkpoint_loaded& l) {
  scheduler::coordinator::checkpoint_answer answer{.generation = l.generation,
                                                   .next_number = l.next_number,
                                                   .refused = l.refused,
                                                   .damaged = l.damaged,
                                                   .error = l.error};
  if (l.found) answer.found = {l.number, l.evaluated_epochs, l.completed};
  decisions_->checkpoint_loaded(answer, now());
  carry_out_orders();
}

void scheduler_state::on_images_sent(const images_sent& s) {
  decisions_->images_sent(s.generation);
  carry_out_orders();
}

void scheduler_state::on_images_arrived(const images_arrived& a) {
  decisions_->images_arrived(a.number, now());
  carry_out_orders();
}

void scheduler_state::on_checkpoint_ended(const checkpoint_ended& e) {
  decisions_->checkpoint_ended({e.number, e.batches}, e.error, now());
  carry_out_orders();
}

// -- the end --------------------------------------------------------------------------------------

void scheduler_state::on_stop() {
  decisions_->stop(now());
  carry_out_orders();
}

void scheduler_state::on_end_timeout() {
  if (decisions_->over()) {
    leave();
    return;
  }
  decisions_->stop_timeout(now());
  carry_out_orders();
}

void scheduler_state::fail(const std::string& reason) {
  decisions_->fail(reason);
  carry_out_orders();
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
      [&state](const role_failed& f) { state.on_role_failed(f); },
      [&state](const caught_up& c) { state.on_caught_up(c); },
      [&state](const diverged& d) { state.on_diverged(d); },
      [&state](const heartbeat& h) { state.on_heartbeat(h); },
      [&state](const status_request&) { return state.status(); },
      [&state](const leave_request& l) { state.on_leave(l); },
      [&state](const reach_report& r) { state.on_reach_report(r); },
      [&state](const node_unfit& u) { state.on_unfit(u); },
      [&state](const drain_request& d) { return state.on_drain(d); },
      [&state](try_place) { state.on_try_place(); },
      [&state](scheduler_tick) { state.on_tick(); },
      [&state](end_timeout) { state.on_end_timeout(); },
      [&state](look_for_silence) { state.on_look(); },
      [&state](reconcile_timeout) { state.on_reconcile_timeout(); },
      [&state](const still_suspected& s) { state.on_still_suspected(s); },
      [&state](const operator_warning& w) { state.on_operator_warning(w); },
      [&state](const ask_applied_again& a) { state.on_ask_applied_again(a); },
      [&state](const checkpoint_loaded& l) { state.on_checkpoint_loaded(l); },
      [&state](const images_sent& s) { state.on_images_sent(s); },
      [&state](const images_arrived& a) { state.on_images_arrived(a); },
      [&state](const checkpoint_ended& e) { state.on_checkpoint_ended(e); },
  };
}

} // namespace troupe::actors
