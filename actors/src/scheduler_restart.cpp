// A scheduler that was killed and started again finds out how things stand.
#include <algorithm>
#include <chrono>
#include <set>

#include <nlohmann/json.hpp>

#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

constexpr auto applied_timeout = std::chrono::seconds(5);
constexpr auto applied_pause = std::chrono::milliseconds(20);
// Nodes come back within a few times their pause between attempts; then those that ended are seen.
constexpr auto reconcile_look = std::chrono::milliseconds(300);

} // namespace

// The one before was killed before it had placed anything. Whoever had joined it joins again; only
// the numbers that it gave must not be given twice.
void scheduler_state::begin_again(const run_journal::content& known) {
  next_node_ = known.next_node;
  next_worker_ = std::max(next_worker_, known.next_worker);
  for (const auto& n : std::vector(known.nodes))
    record([&](run_journal& j) { j.save_node_gone(n.id); });
}

// From the journal: who took part, who held what, what was evaluated.
void scheduler_state::take_up(const run_journal::content& known) {
  reached(probe::scheduler_restarted);
  phase_ = phase::reconciling;
  auto now = self->clock().now();
  record([](run_journal& j) { j.save_restart(); });
  restarts_ = options_.journal->read().restarts;
  next_node_ = known.next_node;
  next_worker_ = std::max(next_worker_, known.next_worker);
  evaluated_epochs_ = known.evaluated_epochs;
  progress_.emplace(options_.plan, known.progress, now);
  for (std::uint32_t s = 0; s < known.views.size(); ++s) views_->adopt(shard_id{s}, known.views[s]);
  for (const auto& n : known.nodes)
    nodes_.insert_or_assign(n.id, member{node_actor{},
                                         {n.host, n.port},
                                         {n.id, n.shards, n.workers},
                                         {options_.detector, awake_->look(now)},
                                         now});
  self->delayed_send(self, reconcile_look, reconcile_timeout{});
  notice(notice_event::kind::warning, "the scheduler was started again and waits for " +
                                          std::to_string(nodes_.size()) + " nodes to come back");
}

// A node that knew this scheduler, or the one before it.
caf::result<welcome> scheduler_state::welcome_back(const hello& h) {
  auto i = nodes_.find(h.known_as);
  const bool going = phase_ == phase::training || phase_ == phase::draining;
  if (i == nodes_.end() || (phase_ != phase::reconciling && !going))
    return make_error(errc::not_a_member, to_string(h.known_as) + " is no member any more");
  if (phase_ == phase::training && i->second.placing > 0) {
    // Whether it has the roles that it was being given, nobody knows.
    lose(h.known_as, "its connection closed while it was given a role");
    return make_error(errc::not_a_member, to_string(h.known_as) + " is to join again");
  }
  auto now = self->clock().now();
  auto& m = i->second;
  if (m.actor) self->demonitor(m.actor.address());
  m.actor = h.node;
  m.at = h.at;
  m.offer = {h.known_as, h.shards, h.workers};
  m.detector = scheduler::phi_accrual{options_.detector, awake_->look(now)};
  m.heard_at = now;
  ++m.connection;
  self->monitor(h.node);
  if (going) { // its connection had broken, not more
    reached(probe::node_joined_again);
    take_up_again(h);
  } else {
    for (const auto& r : h.replicas) replicas_[{r.shard, h.known_as}] = r.actor;
    m.staffed = !h.leases.empty();
    for (const auto& l : h.leases) {
      workers_[l.worker] = {l.actor, h.known_as, l.clock};
      leases_told_.push_back(l);
    }
    self->send(self, try_place{}); // the welcome goes out first
    reconcile_if_complete();
  }
  return welcome{h.known_as, options_.job_id, to_json(options_.work).dump()};
}

// SCHED-12
void scheduler_state::take_up_again(const hello& h) {
  const auto id = h.known_as;
  const auto now = self->clock().now();
  install(all_shards(), id);
  std::set<shard_id> held;
  for (const auto& r : h.replicas) {
    held.insert(r.shard);
    if (auto known = replicas_.find({r.shard, id}); known != replicas_.end())
      known->second = r.actor;
  }
  for (auto shard : all_shards()) {
    auto to = primary(shard);
    if (!to || views_->view(shard).chain.front() != id) continue;
    if (evaluator_) self->send(evaluator_, shard_moved{shard, views_->view(shard).number, to});
    tell_who_left(to);
  }
  std::set<worker_id> alive;
  for (const auto& l : h.leases) {
    auto worker = workers_.find(l.worker);
    if (worker == workers_.end()) continue;
    alive.insert(l.worker);
    worker->second.actor = l.actor;
    worker->second.clock = std::max(worker->second.clock, l.clock);
    for (auto batch : leases_->give_back(l.worker))
      tell({.what = history::event_kind::lease_returned, .worker = l.worker, .batch = batch});
    for (auto batch : l.batches)
      if (leases_->adopt(l.worker, batch, now))
        tell({.what = history::event_kind::lease_adopted, .worker = l.worker, .batch = batch});
  }
  // What failed there meanwhile could not be told.
  std::vector<role_failed> failed;
  for (const auto& [worker, w] : workers_)
    if (w.node == id && !alive.contains(worker))
      failed.push_back({id, true, worker.value, to_string(worker) + " was lost"});
  for (const auto& [key, replica] : replicas_)
    if (key.second == id && !held.contains(key.first))
      failed.push_back({id, false, key.first.value, to_string(key.first) + " was lost"});
  for (const auto& f : failed) self->send(self, f);
  if (phase_ == phase::draining && leases_->open_count() == 0) begin_snapshot();
  if (quiet_ && leases_->open_count() == 0) begin_checkpoint();
  lease_returned();
  feed_all();
}

void scheduler_state::on_reconcile_timeout() {
  if (phase_ != phase::reconciling) return;
  const bool patient = self->clock().now() - begun_ < options_.reconcile_patience;
  std::vector<node_id> missing;
  for (const auto& [id, m] : nodes_)
    if (!m.actor && (!patient || (options_.has_ended && options_.has_ended(m.at))))
      missing.push_back(id);
  for (auto id : missing) {
    reached(probe::missing_after_restart);
    lose(id, "it did not come back to the restarted scheduler");
  }
  // The journal may know of nobody: the one before had just lost all of them.
  if (phase_ == phase::reconciling && asking_round_ == 0) reconcile_if_complete();
  if (phase_ == phase::reconciling) self->delayed_send(self, reconcile_look, reconcile_timeout{});
}

void scheduler_state::reconcile_if_complete() {
  if (phase_ != phase::reconciling) return;
  for (const auto& [id, m] : nodes_)
    if (!m.actor) return;
  if (nodes_.empty()) {
    go_back("no node came back");
    return;
  }
  // A replica that ended while nobody listened is not of the chain any more (REPLICA-1: the others
  // have what it had).
  for (auto shard : all_shards())
    for (auto node : std::vector(views_->view(shard).chain))
      if (!replicas_.contains({shard, node})) views_->remove(shard, node);
  if (auto dead = views_->without_replica(); !dead.empty()) {
    reached(probe::restarted_without_roles);
    go_back(to_string(dead.front()) + " did not come back");
    return;
  }
  // Every node hears every view, so that what the one before could not tell is known now.
  install(all_shards());
  for (auto& [id, m] : nodes_) m.knows_views = true;
  applied_told_.clear();
  ++asking_round_;
  for (auto shard : all_shards()) ask_what_is_applied({shard, asking_round_});
}

// SCHED-11
void scheduler_state::ask_what_is_applied(const ask_applied& a) {
  if (phase_ != phase::reconciling || a.round != asking_round_) return;
  self->request(primary(a.shard), applied_timeout, applied_request{})
      .then(
          [this, a](const applied_report& r) {
            if (phase_ != phase::reconciling || a.round != asking_round_) return;
            applied_told_.insert_or_assign(r.shard, r.applied);
            if (applied_told_.size() < views_->shards()) return;
            auto completed = applied_told_.begin()->second;
            for (const auto& [shard, applied] : applied_told_)
              if (!mutant_active(mutant::restart_counts_partial_batches))
                completed = scheduler::intersection(completed, applied);
            finish_reconciling(std::move(completed));
          },
          [this, a](const caf::error&) {
            // It has not heard of its view yet, or is slow. With a loss another round begins.
            self->delayed_send(self, applied_pause, a);
          });
}

void scheduler_state::finish_reconciling(scheduler::applied_set completed) {
  auto now = self->clock().now();
  phase_ = phase::training;
  // Of a worker that did not come back nothing is known but that its number was given.
  for (std::uint32_t w = 0; w < next_worker_; ++w)
    if (!workers_.contains(worker_id{w})) {
      gone_workers_.insert(worker_id{w});
      leave_clocks(worker_id{w}, true);
    }
  leases_.emplace(options_.plan, completed);
  tell({.what = history::event_kind::took_up, .clock = restarts_, .value = completed.size()});
  progress_->catch_up(completed, now);
  progress_->start(now);
  for (const auto& l : std::exchange(leases_told_, {})) {
    auto worker = workers_.find(l.worker);
    if (worker == workers_.end()) continue;
    worker->second.under_way.insert(l.batches.begin(), l.batches.end());
    for (auto batch : l.batches)
      if (leases_->adopt(l.worker, batch, now))
        tell({.what = history::event_kind::lease_adopted, .worker = l.worker, .batch = batch});
    // One with leases counts in the clocks (SCHED-2); any other enters them when it gets some.
    if (leases_->held_by(l.worker).empty()) leave_clocks(l.worker);
  }
  count_done_meanwhile();
  if (phase_ != phase::training) return;
  if (evaluated_epochs_ == options_.plan.epochs()) --evaluated_epochs_;
  checkpoint_at_ = now;
  checkpoint_batches_ = progress_->batches_done();
  notice(notice_event::kind::started, "the restarted scheduler goes on with " + counted_roles());
  start_evaluator();
  // A learner that was decided and never placed is none; any other may have caught up while nobody
  // listened, and says so when it is told its view again.
  for (auto shard : all_shards())
    if (auto learner = views_->view(shard).learner) {
      reached(probe::restarted_with_open_learner);
      if (!replicas_.contains({shard, *learner})) views_->remove(shard, *learner);
      install({shard});
    }
  on_try_place(); // who joined meanwhile, or had not got its workers yet
  lease_returned();
  feed_all();
}

} // namespace troupe::actors
