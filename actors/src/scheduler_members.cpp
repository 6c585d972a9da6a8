// Who takes part: losses, failures, new views, and nodes that are drained.
#include <algorithm>
#include <chrono>

#include "troupe/actors/read_lease.hpp"
#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

constexpr auto place_timeout = std::chrono::minutes(5);

} // namespace

// -- signs of life --------------------------------------------------------------------------------

void scheduler_state::on_heartbeat(const heartbeat& h) {
  auto now = self->clock().now();
  if (auto i = nodes_.find(h.node); i != nodes_.end()) {
    i->second.detector.heard(awake_->look(now));
    i->second.heard_at = now;
    if (i->second.reads_until) return; // LEASE-2
    self->send(h.from, heartbeat_seen{h.number});
  } else {
    reached(probe::lost_node_heard);
    auto gone = lost_.find(h.node);
    self->send(h.from, declared_lost{gone != lost_.end() ? gone->second.why
                                                         : to_string(h.node) + " is no member"});
  }
}

void scheduler_state::on_look() {
  if (phase_ == phase::ended) return;
  self->delayed_send(self, options_.look, look_for_silence{});
  auto now = awake_->look(self->clock().now());
  std::vector<std::pair<node_id, std::string>> silent;
  for (const auto& [id, m] : nodes_)
    if (m.actor && !m.detector.available(now)) {
      auto ms = std::chrono::round<std::chrono::milliseconds>(m.detector.silence(now)).count();
      silent.emplace_back(id, "silent for " + std::to_string(ms) + " ms");
    }
  for (const auto& [id, why] : silent) {
    reached(probe::node_silent);
    lose(id, why);
  }
  if (!draining_.empty() && (phase_ == phase::training || phase_ == phase::draining)) drain_on();
}

// SCHED-6
void scheduler_state::on_down(const caf::down_msg& d) {
  auto i = std::ranges::find_if(nodes_, [&](const auto& entry) {
    return entry.second.actor && entry.second.actor.address() == d.source;
  });
  if (i == nodes_.end()) return;
  auto& [id, m] = *i;
  const bool local = m.at.port == 0;
  auto left = m.heard_at + read_lease::length - self->clock().now();
  if (local || phase_ == phase::ended || left <= caf::timespan{0} ||
      (options_.has_ended && options_.has_ended(m.at))) {
    lose(id, reason_of(d.reason));
    return;
  }
  // It may run on and answer reads until its lease runs out.
  self->delayed_send(self, std::chrono::duration_cast<caf::timespan>(left),
                     still_suspected{id, m.connection});
}

void scheduler_state::on_still_suspected(const still_suspected& s) {
  auto i = nodes_.find(s.node);
  if (i != nodes_.end() && i->second.connection == s.connection) {
    reached(probe::connection_closed_first);
    lose(s.node, "its connection closed");
  }
}

// -- failures -------------------------------------------------------------------------------------

bool scheduler_state::too_many_failures(const std::string& reason) {
  if (failures_->count() == 0 || first_failure_.empty()) first_failure_ = reason;
  if (failures_->admit(self->clock().now())) {
    if (failures_->count() == 1) first_failure_ = reason;
    return false;
  }
  fail("failures came too often to go on; the first was: " + first_failure_);
  return true;
}

void scheduler_state::on_actor_failed(const actor_failed& f) {
  auto from = caf::actor_cast<caf::actor_addr>(self->current_sender());
  for (const auto& [id, gone] : lost_)
    if (from && gone.actor == from) return; // SCHED-7
  auto i = std::ranges::find_if(nodes_, [&](const auto& entry) {
    return entry.second.actor && entry.second.actor.address() == from;
  });
  const bool going = phase_ == phase::training || phase_ == phase::reconciling || generation_ > 0;
  if (i == nodes_.end() || !going || nodes_.size() == 1) {
    fail(f.reason);
    return;
  }
  if (!too_many_failures(f.reason)) lose(i->first, "it failed: " + f.reason);
}

void scheduler_state::on_role_failed(const role_failed& f) {
  auto node = nodes_.find(f.node);
  if (node == nodes_.end() || phase_ == phase::ended) return;
  ++node->second.failures;
  auto role = f.is_worker ? to_string(worker_id{f.index}) : to_string(shard_id{f.index});
  auto why = f.reason.starts_with(role) ? f.reason : role + " failed: " + f.reason;
  if (phase_ == phase::gathering) return; // of roles that are being dropped
  if (phase_ == phase::placing && generation_ == 0) {
    fail(why);
    return;
  }
  notice(notice_event::kind::warning, why);
  if (too_many_failures(why)) return;
  if (phase_ == phase::placing) {
    go_back("roles are placed anew");
    return;
  }
  if (f.is_worker) {
    if (!workers_.contains(worker_id{f.index})) return;
    lose_worker(worker_id{f.index});
    if (phase_ == phase::training) place_worker_on(f.node, 1);
    lease_returned();
    feed_all();
    return;
  }
  shard_id shard{f.index};
  replicas_.erase({shard, f.node});
  if (!views_->remove(shard, f.node)) return;
  if (!views_->without_replica().empty()) {
    go_back(to_string(shard) + " has lost all its replicas (" + why + ")");
    return;
  }
  install({shard});
  repair();
}

void scheduler_state::lose_worker(worker_id id) {
  if (!mutant_active(mutant::clock_of_dead_worker_kept)) leave_clocks(id, true);
  workers_.erase(id);
  if (!mutant_active(mutant::clock_of_dead_worker_kept)) gone_workers_.insert(id);
  tell({.what = history::event_kind::worker_lost, .worker = id});
  std::vector<batch_id> returned;
  if (!mutant_active(mutant::leases_of_lost_worker_kept)) returned = leases_->give_back(id);
  for (auto batch : returned)
    tell({.what = history::event_kind::lease_returned, .worker = id, .batch = batch});
  notice(notice_event::kind::worker_lost, to_string(id) + " was lost; its " +
                                              std::to_string(returned.size()) +
                                              " leases go to the others");
}

void scheduler_state::lose(node_id id, const std::string& why) {
  auto lost = nodes_.extract(id);
  if (!lost) return;
  if (lost.mapped().actor)
    lost_[id] = {lost.mapped().actor.address(), why};
  else
    lost_[id] = {{}, why};
  if (phase_ == phase::ended) {
    if (nodes_.empty()) on_drain_timeout(); // everybody said goodbye
    return;
  }
  tell({.what = history::event_kind::node_lost, .node = id});
  record([id](run_journal& j) { j.save_node_gone(id); });
  if (draining_.erase(id) == 0)
    notice(notice_event::kind::node_lost, to_string(id) + " was lost (" + why + ")");
  if (phase_ == phase::gathering) {
    cleared(id);
    return;
  }
  if (phase_ == phase::placing) {
    reached(probe::lost_while_placing);
    go_back(to_string(id) + " was lost while roles were being placed; they are placed anew");
    return;
  }
  std::vector<worker_id> gone;
  for (const auto& [worker, w] : workers_)
    if (w.node == id) gone.push_back(worker);
  auto changed = views_->remove(id);
  std::erase_if(replicas_, [id](const auto& r) { return r.first.second == id; });
  if (auto dead = views_->without_replica(); !dead.empty()) {
    reached(probe::all_replicas_lost);
    for (auto worker : gone) gone_workers_.insert(worker);
    go_back(to_string(dead.front()) + " has lost all its replicas");
    return;
  }
  if (phase_ == phase::reconciling) {
    if (!changed.empty()) record_views(changed);
    for (auto worker : gone) {
      workers_.erase(worker);
      gone_workers_.insert(worker);
    }
    reconcile_if_complete();
    return;
  }
  install(changed);
  for (auto worker : gone) lose_worker(worker);
  repair();
  if (phase_ == phase::draining && leases_->open_count() == 0) begin_snapshot();
  if (quiet_ && leases_->open_count() == 0) begin_checkpoint();
  lease_returned();
  feed_all();
}

// -- views ----------------------------------------------------------------------------------------

shard_actor scheduler_state::primary(shard_id shard) const {
  const auto& chain = views_->view(shard).chain;
  if (chain.empty()) return {};
  auto i = replicas_.find({shard, chain.front()});
  return i != replicas_.end() ? i->second : shard_actor{};
}

// Tells every node (or one) the present views of these shards. SCHED-8
void scheduler_state::install(const std::vector<shard_id>& changed, node_id only) {
  if (changed.empty()) return;
  const bool awaits_images = phase_ == phase::placing && checkpoint_ && checkpoint_->found;
  if (only == no_node && !awaits_images && !mutant_active(mutant::views_not_journaled))
    record_views(changed);
  if (only == no_node) tell_views(changed);
  for (auto shard : changed) {
    const auto& view = views_->view(shard);
    install_view message{shard, view.number, {}, {}};
    for (auto node : view.chain) message.chain.push_back({node, nodes_.at(node).at});
    if (view.learner) message.learner.push_back({*view.learner, nodes_.at(*view.learner).at});
    for (const auto& [id, m] : nodes_)
      if (m.actor && (only == no_node || only == id)) self->send(m.actor, message);
    if (only != no_node) continue;
    auto to = primary(shard);
    if (evaluator_ && to) self->send(evaluator_, shard_moved{shard, view.number, to});
    // What the primary before was told may not have reached its successor. (An entry that did not
    // is asked for again when its request fails.)
    if (!to || phase_ == phase::placing) continue;
    if (mutant_active(mutant::departures_lost_at_failover)) continue;
    tell_who_left(to);
  }
  if (open_checkpoint_ && archive_) reached(probe::checkpoint_given_up);
  if (open_checkpoint_ && archive_) self->send(archive_, give_up_checkpoint{});
}

void scheduler_state::tell_who_left(const shard_actor& primary) {
  for (auto worker : gone_workers_) self->send(primary, leave_clock{worker, true});
  for (const auto& [worker, w] : workers_)
    if (!w.in_clocks && w.entering == 0) self->send(primary, leave_clock{worker, false});
}

// Where a chain is shorter than it should be, a node with room learns.
void scheduler_state::repair() {
  if (phase_ != phase::training) return;
  auto changed = views_->repair(offers(), draining_);
  // Known before the nodes hear of it, so that the number is not given again.
  if (!changed.empty()) record_views(changed);
  for (auto shard : changed) {
    auto node = *views_->view(shard).learner;
    ++nodes_.at(node).placing;
    self->request(nodes_.at(node).actor, place_timeout, place_replicas{{shard}, 0, true})
        .then(
            [this, shard, node, g = generation_](const replicas_placed& placed) {
              if (auto m = nodes_.find(node); m != nodes_.end()) --m->second.placing;
              if (g != generation_ || !nodes_.contains(node) || placed.replicas.empty()) return;
              replicas_[{shard, node}] = placed.replicas.front();
              install({shard});
            },
            [this, shard, node, g = generation_](const caf::error& err) {
              if (g != generation_ || !nodes_.contains(node) || phase_ == phase::ended) return;
              lose(node, "it could not hold " + to_string(shard) + ": " + reason_of(err));
            });
  }
}

void scheduler_state::on_caught_up(const caught_up& c) {
  if (phase_ != phase::training && phase_ != phase::draining) return;
  if (!views_->promote(c.shard, c.view, c.learner)) {
    reached(probe::stale_learner_refused);
    return;
  }
  notice(notice_event::kind::placed, to_string(c.shard) + " has a replica on " +
                                         to_string(c.learner) + " again, " +
                                         to_string(views_->view(c.shard).number));
  install({c.shard});
  repair();
  if (!draining_.empty()) drain_on();
}

void scheduler_state::on_diverged(const diverged& d) {
  if (phase_ != phase::training || views_->view(d.shard).number != d.view) return;
  auto why = "the replica of " + to_string(d.shard) + " on " + to_string(d.node) +
             " differs from the one before it";
  notice(notice_event::kind::warning, why + "; it is replaced");
  auto node = nodes_.find(d.node);
  if (node == nodes_.end() || too_many_failures(why) || !views_->remove(d.shard, d.node)) return;
  replicas_.erase({d.shard, d.node});
  self->send(node->second.actor, drop_replica{d.shard});
  install({d.shard});
  repair();
}

// -- drain ----------------------------------------------------------------------------------------

caf::result<drain_accepted> scheduler_state::on_drain(const drain_request& d) {
  if (!nodes_.contains(d.node))
    return make_error(errc::not_a_member,
                      to_string(d.node) + " takes no part in job " + options_.job_id);
  if (phase_ != phase::training)
    return make_error(errc::cannot_place, "nodes can be drained while the job trains, not before");
  auto others = draining_;
  others.insert(d.node);
  if (std::ranges::all_of(nodes_, [&](const auto& n) { return others.contains(n.first); }))
    return make_error(errc::cannot_place, "nothing would be left to run the job on");
  if (std::ranges::all_of(workers_, [&](const auto& w) { return others.contains(w.second.node); }))
    return make_error(errc::cannot_place, "no worker would be left");
  if (std::ranges::any_of(all_shards(), [&](shard_id shard) {
        return std::ranges::count(views_->view(shard).chain, d.node) > 0;
      })) {
    auto staying = offers();
    std::erase_if(staying, [&](const auto& offer) { return others.contains(offer.node); });
    const auto missing =
        scheduler::describe_missing(staying, views_->shards(), views_->replicas(), 0);
    if (!missing.empty())
      return make_error(errc::cannot_place,
                        "the replicas of " + to_string(d.node) +
                            " have nowhere to go; needed on other nodes: " + missing);
  }
  draining_ = std::move(others);
  notice(notice_event::kind::placed, to_string(d.node) + " is being drained");
  repair();
  feed_all();
  drain_on();
  return drain_accepted{};
}

// LEASE-2: it may be cut off, and would go on to serve reads that lack what its successor
// acknowledges.
bool scheduler_state::may_be_relieved(node_id id, member& m) {
  const bool leads = std::ranges::any_of(all_shards(), [&](shard_id shard) {
    const auto& chain = views_->view(shard).chain;
    return !chain.empty() && chain.front() == id;
  });
  if (!leads) return true;
  if (!m.reads_until) m.reads_until = m.heard_at + read_lease::length;
  return self->clock().now() >= *m.reads_until;
}

// Lets the nodes go that nothing depends on any more.
void scheduler_state::drain_on() {
  const auto may_leave = views_->may_leave(draining_);
  for (auto& [id, m] : nodes_) // it has to stay after all: a replica was lost meanwhile
    if (m.reads_until && !m.told_to_go && std::ranges::find(may_leave, id) == may_leave.end())
      m.reads_until.reset();
  for (auto id : may_leave) {
    auto m = nodes_.find(id);
    const bool busy = std::ranges::any_of(workers_, [&](const auto& w) {
      return w.second.node == id && !leases_->held_by(w.first).empty();
    });
    if (m == nodes_.end() || !m->second.actor || m->second.told_to_go || busy) continue;
    if (!may_be_relieved(id, m->second)) continue;
    m->second.told_to_go = true;
    // A scheduler that is restarted must not extend the read lease of one that has not heard of
    // this.
    record([id](run_journal& j) { j.save_node_gone(id); });
    auto changed = views_->remove(id);
    std::erase_if(replicas_, [id](const auto& r) { return r.first.second == id; });
    install(changed);
    std::vector<worker_id> leaving;
    for (const auto& [worker, w] : workers_)
      if (w.node == id) leaving.push_back(worker);
    for (auto worker : leaving) {
      leave_clocks(worker, true);
      workers_.erase(worker);
      gone_workers_.insert(worker);
    }
    self->send(m->second.actor, stop_node{});
    notice(notice_event::kind::placed, to_string(id) + " was drained and leaves");
  }
}

} // namespace troupe::actors
