// A scheduler that was killed and started again finds out how things stand.
#include <chrono>

#include <nlohmann/json.hpp>

#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

constexpr auto applied_timeout = std::chrono::seconds(5);
// Nodes come back within a few times their pause between attempts; then those that ended are seen.
constexpr auto reconcile_look = std::chrono::milliseconds(300);

} // namespace

// From the journal: who took part, who held what, what was evaluated.
void scheduler_state::take_up(const run_journal::content& known) {
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
  if (i == nodes_.end() || (phase_ != phase::reconciling && phase_ != phase::training))
    return make_error(errc::not_a_member, to_string(h.known_as) + " is no member any more");
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
  if (phase_ == phase::training) { // its connection had broken, not more
    install(all_shards(), h.known_as);
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

void scheduler_state::on_reconcile_timeout() {
  if (phase_ != phase::reconciling) return;
  const bool patient = self->clock().now() - begun_ < options_.reconcile_patience;
  std::vector<node_id> missing;
  for (const auto& [id, m] : nodes_)
    if (!m.actor && (!patient || (options_.has_ended && options_.has_ended(m.at))))
      missing.push_back(id);
  for (auto id : missing) lose(id, "it did not come back to the restarted scheduler");
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
  for (auto shard : all_shards())
    if (!primary(shard)) {
      go_back(to_string(shard) + " did not come back");
      return;
    }
  // Every node hears every view, so that what the one before could not tell is known now.
  install(all_shards());
  for (auto& [id, m] : nodes_) m.knows_views = true;
  applied_told_.clear();
  ask_what_is_applied();
}

// SCHED-11
void scheduler_state::ask_what_is_applied() {
  for (std::uint32_t s = 0; s < views_->shards(); ++s) {
    if (applied_told_.contains(shard_id{s})) continue;
    self->request(primary(shard_id{s}), applied_timeout, applied_request{})
        .then(
            [this](const applied_report& r) {
              if (phase_ != phase::reconciling) return;
              applied_told_.insert_or_assign(r.shard, r.applied);
              if (applied_told_.size() < views_->shards()) return;
              auto completed = applied_told_.begin()->second;
              for (const auto& [shard, applied] : applied_told_)
                completed = scheduler::intersection(completed, applied);
              finish_reconciling(std::move(completed));
            },
            [this, shard = shard_id{s}](const caf::error& err) {
              if (phase_ != phase::reconciling) return;
              // A primary that has not heard of its view yet is asked again; one that was lost is
              // somebody else's loss.
              if (err == make_error(errc::not_primary) && primary(shard)) ask_what_is_applied();
            });
  }
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
  progress_->catch_up(completed, now);
  progress_->start(now);
  for (const auto& l : std::exchange(leases_told_, {})) {
    auto worker = workers_.find(l.worker);
    if (worker == workers_.end()) continue;
    for (auto batch : l.batches) leases_->adopt(l.worker, batch, now);
    // One with leases counts in the clocks (SCHED-2); any other enters them when it gets some.
    if (leases_->held_by(l.worker).empty()) leave_clocks(l.worker);
  }
  for (const auto& d : std::exchange(done_meanwhile_, {})) on_batch_done(d);
  if (phase_ != phase::training) return;
  if (evaluated_epochs_ == options_.plan.epochs()) --evaluated_epochs_;
  checkpoint_at_ = now;
  checkpoint_batches_ = progress_->batches_done();
  notice(notice_event::kind::started, "the restarted scheduler goes on with " + counted_roles());
  start_evaluator();
  // A learner that was decided and never placed.
  for (auto shard : all_shards())
    if (auto learner = views_->view(shard).learner;
        learner && !replicas_.contains({shard, *learner}) && views_->remove(shard, *learner))
      install({shard});
  on_try_place(); // who joined meanwhile, or had not got its workers yet
  lease_returned();
  feed_all();
}

} // namespace troupe::actors
