// Who takes part: losses, failures, new views, and nodes that are drained.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

// -- coming and going -----------------------------------------------------------------------------

node_id coordinator::node_joined(std::uint32_t shards, std::uint32_t workers, time_point now,
                                 std::string at) {
  const auto id = members_.join(shards, workers, now, std::move(at));
  moved();
  issue(orders::node_joined{members_.find(id)->offer, members_.next_node()});
  issue(orders::place_soon{}); // the node must know the job before it gets a role
  return id;
}

std::optional<std::string> coordinator::node_returned(const returning_node& node, time_point now) {
  const auto id = node.offer.node;
  auto* m = members_.find(id);
  auto* reconciling = as<phases::reconciling>();
  const bool going = is<phases::training>() || is<phases::stopping>();
  if (m == nullptr || (reconciling == nullptr && !going))
    return to_string(id) + " is no member any more";
  if (is<phases::training>() && m->placing > 0) {
    // Whether it has the roles that it was being given is not known.
    lose(id, "its connection closed while it was given a role", now);
    return to_string(id) + " is to join again";
  }
  members_.come_back(node.offer, now);
  moved();
  if (going) { // its connection had broken, not more
    reached(probe::node_joined_again);
    take_up_again(node, now);
    return std::nullopt;
  }
  for (auto shard : node.replicas) replicas_.add(shard, id);
  m->staffed = !node.leases.empty();
  for (const auto& l : node.leases) {
    desk_.add(l, id);
    reconciling->held.push_back(l);
  }
  issue(orders::place_soon{}); // the welcome goes out first
  reconcile_if_complete(now);
  return std::nullopt;
}

// SCHED-12
void coordinator::take_up_again(const returning_node& node, time_point now) {
  const auto id = node.offer.node;
  install(replicas_.shards(), id);
  for (const auto& to : replicas_.primaries()) {
    if (to.node != id) continue;
    issue(orders::move_evaluator{to, replicas_.views().view(to.shard).number});
    desk_.tell_who_left(to);
  }
  std::set<worker_id> alive;
  for (const auto& l : node.leases) {
    if (!desk_.knows(l.worker)) continue;
    alive.insert(l.worker);
    desk_.take_back(l, now);
  }
  // The node could not report what failed there meanwhile.
  for (auto worker : desk_.on(id))
    if (!alive.contains(worker))
      issue(orders::report_failure{{id, true, worker.value, to_string(worker) + " was lost"}});
  for (auto shard : replicas_.on(id))
    if (std::ranges::find(node.replicas, shard) == node.replicas.end())
      issue(orders::report_failure{{id, false, shard.value, to_string(shard) + " was lost"}});
  follow_ended_leases(now);
  desk_.lease_again(stance(), now);
}

void coordinator::look(time_point now) {
  for (const auto& [id, why] : members_.silent(now)) {
    reached(probe::node_silent);
    lose(id, why, now);
  }
  separate(now);
  if (!members_.leaving().empty() && (is<phases::training>() || is<phases::stopping>()))
    drain_on(now);
}

bool coordinator::asks_whether_ended(node_id node, time_point now) const {
  return !over() && members_.reads_left(node, now) > duration{0};
}

// SCHED-6
void coordinator::connection_closed(node_id node, bool process_ended, const std::string& why,
                                    time_point now) {
  const auto* m = members_.find(node);
  if (m == nullptr) return;
  if (process_ended || !asks_whether_ended(node, now)) {
    lose(node, why, now);
    return;
  }
  // It may run on and answer reads until its lease runs out.
  issue(orders::suspect{node, m->connection, members_.reads_left(node, now)});
}

void coordinator::still_suspected(node_id node, std::uint64_t connection, time_point now) {
  const auto* m = members_.find(node);
  if (m == nullptr || m->connection != connection) return;
  reached(probe::connection_closed_first);
  lose(node, "its connection closed", now);
}

// SCHED-17
void coordinator::unfit(node_id node, const std::string& why, time_point now) {
  if (members_.contains(node) && !over()) lose(node, why, now);
}

// -- failures -------------------------------------------------------------------------------------

bool coordinator::too_many_failures(const std::string& reason, time_point now) {
  const auto refused = failures_.spend(reason, now);
  if (refused) fail(*refused);
  return refused.has_value();
}

void coordinator::actor_failed(std::optional<node_id> from, const std::string& reason,
                               time_point now) {
  if (from && members_.lost().contains(*from)) return; // SCHED-7
  const bool going = is<phases::training>() || is<phases::reconciling>() || generation_ > 0;
  if (!from || !going || members_.all().size() == 1) {
    fail(reason);
    return;
  }
  if (!too_many_failures(reason, now)) lose(*from, "it failed: " + reason, now);
}

void coordinator::role_failed(const failed_role& f, time_point now) {
  auto* m = members_.find(f.node);
  if (m == nullptr || over()) return;
  ++m->failures;
  auto role = f.is_worker ? to_string(worker_id{f.index}) : to_string(shard_id{f.index});
  auto why = f.reason.starts_with(role) ? f.reason : role + " failed: " + f.reason;
  if (is<phases::gathering>()) return; // of roles that are being dropped
  if (is<phases::placing>() && generation_ == 0) {
    fail(why);
    return;
  }
  notify(notice_kind::warning, why);
  if (too_many_failures(why, now)) return;
  if (is<phases::placing>()) {
    go_back("roles are placed anew", now);
    return;
  }
  if (f.is_worker) {
    const worker_id worker{f.index};
    if (!desk_.knows(worker)) return;
    lose_worker(worker);
    if (is<phases::training>()) add_workers(f.node, 1);
    desk_.lease_again(stance(), now);
    return;
  }
  const shard_id shard{f.index};
  if (!remove_replica(shard, f.node)) return;
  if (!replicas_.views().without_replica().empty()) {
    go_back(to_string(shard) + " has lost all its replicas (" + why + ")", now);
    return;
  }
  install({shard});
  repair();
}

void coordinator::lose_worker(worker_id id) {
  const auto returned = desk_.lose(id);
  notify(notice_kind::worker_lost,
         to_string(id) + " was lost; its " + std::to_string(returned) + " leases go to the others");
}

void coordinator::lose(node_id id, const std::string& why, time_point now) {
  if (!members_.lose(id, why)) return;
  issue(orders::forget_node{id});
  if (over()) {
    if (members_.all().empty()) issue(orders::leave{}); // all have said goodbye
    return;
  }
  issue(orders::node_lost{id});
  issue(orders::save_node_gone{id});
  if (!members_.forget_drain(id))
    notify(notice_kind::node_lost, to_string(id) + " was lost (" + why + ")");
  if (is<phases::gathering>()) {
    cleared(id, now);
    return;
  }
  if (is<phases::placing>()) {
    reached(probe::lost_while_placing);
    go_back(to_string(id) + " was lost while roles were being placed; they are placed anew", now);
    return;
  }
  const auto gone = desk_.on(id);
  const auto changed = remove_replicas(id);
  if (auto dead = replicas_.views().without_replica(); !dead.empty()) {
    reached(probe::all_replicas_lost);
    go_back(to_string(dead.front()) + " has lost all its replicas", now);
    return;
  }
  if (is<phases::reconciling>()) {
    if (!changed.empty()) issue(orders::save_views{replicas_.present(changed)});
    for (auto worker : gone) desk_.forget(worker);
    reconcile_if_complete(now);
    return;
  }
  install(changed);
  for (auto worker : gone) lose_worker(worker);
  repair();
  follow_ended_leases(now);
  desk_.lease_again(stance(), now);
}

// -- views ----------------------------------------------------------------------------------------

bool coordinator::remove_replica(shard_id shard, node_id node) {
  if (replicas_.erase(shard, node)) issue(orders::forget_replica{shard, node});
  return replicas_.views().remove(shard, node);
}

std::vector<shard_id> coordinator::remove_replicas(node_id node) {
  for (auto shard : replicas_.on(node)) {
    replicas_.erase(shard, node);
    issue(orders::forget_replica{shard, node});
  }
  return replicas_.views().remove(node);
}

// Sends every node (or one) the present views of these shards. SCHED-8
void coordinator::install(const std::vector<shard_id>& changed, std::optional<node_id> only) {
  if (changed.empty()) return;
  const auto* placing = as<phases::placing>();
  const bool awaits_images = placing != nullptr && placing->from;
  if (!only && !awaits_images && !mutant_active(mutant::views_not_journaled))
    issue(orders::save_views{replicas_.present(changed)});
  if (!only) issue(orders::views_decided{replicas_.present(changed)});
  for (auto shard : changed) {
    const auto& view = replicas_.views().view(shard);
    issue(orders::send_view{shard, view, only});
    if (only) continue;
    const auto to = replicas_.primary(shard);
    if (to.node) issue(orders::move_evaluator{to, view.number});
    // What the primary before was told may not have reached its successor. (An entry that did not
    // is asked for again when its request fails.)
    if (!to.node || placing != nullptr) continue;
    if (mutant_active(mutant::departures_lost_at_failover)) continue;
    desk_.tell_who_left(to);
  }
  if (!checkpoints_.opened()) return;
  reached(probe::checkpoint_given_up);
  issue(orders::give_up_checkpoint{});
  if (auto* stopping = as<phases::stopping>())
    stopping->checkpoint = phases::stopping::saving::due; // once more, of the new view
}

// Where a chain is shorter than it should be, a node with room learns.
void coordinator::repair() {
  if (!is<phases::training>()) return;
  const auto changed = replicas_.views().repair(offers_for_replicas(), members_.leaving());
  // Known before the nodes hear of it, so that the number is not given again.
  if (!changed.empty()) issue(orders::save_views{replicas_.present(changed)});
  for (auto shard : changed) {
    const auto node = *replicas_.views().view(shard).learner;
    ++members_.find(node)->placing;
    issue(orders::place_learner{node, shard, generation_});
  }
}

bool coordinator::learner_placed(const orders::place_learner& asked, std::size_t count) {
  auto* m = members_.find(asked.node);
  if (m != nullptr) --m->placing;
  if (asked.generation != generation_ || m == nullptr || count == 0) return false;
  replicas_.add(asked.shard, asked.node);
  install({asked.shard});
  return true;
}

void coordinator::learner_not_placed(const orders::place_learner& asked, const std::string& why,
                                     time_point now) {
  if (asked.generation != generation_ || over()) return;
  lose(asked.node, "it could not hold " + to_string(asked.shard) + ": " + why, now);
}

void coordinator::caught_up(shard_id shard, view_number view, node_id learner, time_point now) {
  if (!is<phases::training>() && !is<phases::stopping>()) return;
  if (!replicas_.views().promote(shard, view, learner)) {
    reached(probe::stale_learner_refused);
    return;
  }
  notify(notice_kind::placed, to_string(shard) + " has a replica on " + to_string(learner) +
                                  " again, " + to_string(replicas_.views().view(shard).number));
  install({shard});
  repair();
  if (!members_.leaving().empty()) drain_on(now);
}

void coordinator::diverged(shard_id shard, view_number view, node_id node, time_point now) {
  if (!is<phases::training>() || replicas_.views().view(shard).number != view) return;
  const auto why = "the replica of " + to_string(shard) + " on " + to_string(node) +
                   " differs from the one before it";
  notify(notice_kind::warning, why + "; it is replaced");
  if (!members_.contains(node) || too_many_failures(why, now)) return;
  if (!remove_replica(shard, node)) return;
  issue(orders::drop_replica{node, shard});
  install({shard});
  repair();
}

// -- drain ----------------------------------------------------------------------------------------

std::optional<std::string> coordinator::drain(node_id node, time_point now) {
  if (!is<phases::training>()) return "nodes can be drained while the job trains, not before";
  auto others = members_.leaving();
  others.insert(node);
  if (std::ranges::all_of(members_.all(), [&](const auto& n) { return others.contains(n.first); }))
    return "nothing would be left to run the job on";
  if (std::ranges::all_of(desk_.workers(),
                          [&](const auto& w) { return others.contains(w.second.node); }))
    return "no worker would be left";
  const auto& views = replicas_.views();
  if (std::ranges::any_of(views.views(), [&](const shard_view& view) {
        return std::ranges::count(view.chain, node) > 0;
      })) {
    auto staying = offers_for_replicas();
    std::erase_if(staying, [&](const auto& offer) { return others.contains(offer.node); });
    const auto missing = describe_missing(staying, views.shards(), views.replicas(), 0);
    if (!missing.empty())
      return "the replicas of " + to_string(node) +
             " have nowhere to go; needed on other nodes: " + missing;
  }
  members_.drain(node);
  notify(notice_kind::placed, to_string(node) + " is being drained");
  repair();
  desk_.lease_to_all(stance(), now);
  drain_on(now);
  return std::nullopt;
}

// SCHED-15
void coordinator::leave_asked(node_id node, time_point now) {
  auto* m = members_.find(node);
  if (m == nullptr || std::exchange(m->end_asked, true)) return;
  if (is<phases::training>())
    relieve(node, now);
  else if (is<phases::gathering>())
    issue(orders::stop_node{node, "interrupted"});
}

void coordinator::relieve(node_id node, time_point now) {
  if (!drain(node, now)) return;
  if (checkpoints_.kept())
    checkpoints_.demand();
  else
    issue(orders::stop_node{node, "interrupted"});
}

void coordinator::relieve_all_that_asked(time_point now) {
  for (const auto& [id, m] : members_.all())
    if (m.end_asked && m.present) relieve(id, now);
}

// The nodes that waited for this checkpoint go; if it failed, they wait for the next one.
void coordinator::let_go(std::uint64_t checkpoint, bool whole) {
  for (auto& [id, m] : members_.all()) {
    if (m.ends_after != checkpoint) continue;
    m.ends_after.reset();
    if (whole)
      issue(orders::stop_node{id, "interrupted"});
    else
      checkpoints_.demand();
  }
}

// Lets the nodes go that nothing depends on any more.
void coordinator::drain_on(time_point now) {
  keep_all_but_leaving();
  for (auto id : replicas_.views().may_leave(members_.leaving())) {
    const auto workers = desk_.on(id);
    const bool busy = std::ranges::any_of(
        workers, [&](worker_id worker) { return desk_.leases().held_count(worker) > 0; });
    auto* m = members_.find(id);
    if (m == nullptr || !m->present || m->told_to_go || busy) continue;
    if (!members_.may_be_relieved(id, replicas_.leads(id), now)) continue;
    m->told_to_go = true;
    // A scheduler that is restarted must not extend the read lease of a node that has not heard of
    // this.
    issue(orders::save_node_gone{id});
    install(remove_replicas(id));
    for (auto worker : workers) desk_.dismiss(worker);
    issue(orders::stop_node{id, ""});
    notify(notice_kind::placed, to_string(id) + " was drained and leaves");
  }
}

} // namespace troupe::scheduler
