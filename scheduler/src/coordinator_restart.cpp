// A scheduler that was killed and started again finds out how things stand.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

namespace {

// Nodes come back within a few times their pause between attempts; then those that ended are seen.
constexpr auto reconcile_pause = std::chrono::milliseconds(300);

} // namespace

void coordinator::begin_again(const known_run& known) {
  // A scheduler that had nodes may have been about to resume, or to go back to, a checkpoint.
  if (known.next_node > 0 && checkpoints_.kept()) options_.resume = true;
  members_.count_from(known.next_node);
  next_worker_ = std::max(next_worker_, known.next_worker);
  for (const auto& offer : known.nodes) issue(orders::save_node_gone{offer.node});
}

void coordinator::take_up(const known_run& known, time_point now) {
  reached(probe::scheduler_restarted);
  phase_ = phases::reconciling{};
  restarts_ = known.restarts;
  members_.count_from(known.next_node);
  next_worker_ = std::max(next_worker_, known.next_worker);
  desk_.evaluated(known.evaluated_epochs);
  progress_ = job_progress{options_.plan, known.progress, now};
  for (std::uint32_t s = 0; s < known.views.size(); ++s)
    replicas_.views().adopt(shard_id{s}, known.views[s]);
  for (const auto& offer : known.nodes) members_.expect(offer, now);
  issue(orders::look_for_missing{reconcile_pause});
  notify(notice_kind::warning, "the scheduler was started again and waits for " +
                                   std::to_string(known.nodes.size()) + " nodes to come back");
}

std::vector<node_id> coordinator::awaited(time_point now) const {
  if (!is<phases::reconciling>() || now - begun_ >= options_.reconcile_patience) return {};
  return members_.absent();
}

void coordinator::reconcile_look(const std::set<node_id>& process_ended, time_point now) {
  if (!is<phases::reconciling>()) return;
  const bool patient = now - begun_ < options_.reconcile_patience;
  for (auto id : members_.absent()) {
    if (patient && !process_ended.contains(id)) continue;
    reached(probe::missing_after_restart);
    lose(id, "it did not come back to the restarted scheduler", now);
  }
  // The journal may name no node: the scheduler before had just lost all of them.
  if (auto* r = as<phases::reconciling>(); r != nullptr && r->round == 0)
    reconcile_if_complete(now);
  if (is<phases::reconciling>()) issue(orders::look_for_missing{reconcile_pause});
}

void coordinator::reconcile_if_complete(time_point now) {
  auto* reconciling = as<phases::reconciling>();
  if (reconciling == nullptr || !members_.absent().empty()) return;
  if (members_.all().empty()) {
    go_back("no node came back", now);
    return;
  }
  // A replica that ended while the scheduler was away is not of the chain any more (REPLICA-1: the
  // others have what it had).
  auto& views = replicas_.views();
  for (auto shard : replicas_.shards())
    for (auto node : std::vector(views.view(shard).chain))
      if (!replicas_.exists(shard, node)) views.remove(shard, node);
  if (auto dead = views.without_replica(); !dead.empty()) {
    reached(probe::restarted_without_roles);
    go_back(to_string(dead.front()) + " did not come back", now);
    return;
  }
  // Every node hears every view, so that what the scheduler before could not tell is known now.
  install(replicas_.shards());
  for (auto& [id, m] : members_.all()) m.knows_views = true;
  reconciling->applied.clear();
  ++reconciling->round;
  for (const auto& to : replicas_.primaries()) issue(orders::ask_applied{to, reconciling->round});
}

// SCHED-11
void coordinator::applied_reported(const orders::ask_applied& asked, const applied_set& applied,
                                   time_point now) {
  auto* reconciling = as<phases::reconciling>();
  if (reconciling == nullptr || asked.round != reconciling->round) return;
  reconciling->applied.insert_or_assign(asked.to.shard, applied);
  if (const auto completed = reconciling->completed(options_.shards))
    finish_reconciling(*completed, now);
}

void coordinator::applied_unknown(const orders::ask_applied& asked) {
  const auto* reconciling = as<phases::reconciling>();
  if (reconciling == nullptr || asked.round != reconciling->round) return;
  issue(orders::ask_applied{replicas_.primary(asked.to.shard), asked.round});
}

void coordinator::finish_reconciling(const applied_set& completed, time_point now) {
  const bool stop_asked = as<phases::reconciling>()->stop_asked;
  const auto held = std::move(as<phases::reconciling>()->held);
  phase_ = phases::training{};
  // Of a worker that did not come back nothing is known but that its number was given.
  desk_.leave_unknown(next_worker_);
  // The journal may be older than the shards, because its disk was full. The shards have dropped the
  // snapshots of the epochs that were evaluated since. By SCHED-3, if a batch of epoch e was leased,
  // e - 1 epochs have been evaluated.
  for (std::uint32_t e = 1; e < options_.plan.epochs(); ++e)
    if (completed.count(e) > 0) desk_.evaluated(e - 1);
  for (const auto& worker : held)
    for (const auto& batch : worker.batches)
      if (batch.epoch > 0) desk_.evaluated(batch.epoch - 1);
  desk_.begin(completed);
  issue(orders::took_up{restarts_, completed.size()});
  progress_.catch_up(completed, now);
  progress_.start(now);
  desk_.take_up(held, now);
  count_done_meanwhile(now);
  if (!is<phases::training>()) return;
  desk_.keep_result_open();
  checkpoints_.begin(progress_.batches_done(), now);
  notify(notice_kind::started, "the restarted scheduler goes on with " + counted_roles());
  start_evaluator();
  // A learner that was decided and never placed is none; any other may have caught up while the
  // scheduler was away, and says so when it is told its view again.
  auto& views = replicas_.views();
  for (auto shard : replicas_.shards())
    if (auto learner = views.view(shard).learner) {
      reached(probe::restarted_with_open_learner);
      if (!replicas_.exists(shard, *learner)) views.remove(shard, *learner);
      install({shard});
    }
  if (stop_asked) {
    stop(now);
    return;
  }
  relieve_all_that_asked(now);
  try_place(now); // nodes that joined meanwhile, or had not got their workers yet
  desk_.lease_again(stance(), now);
}

void coordinator::count_done_meanwhile(time_point now) {
  for (const auto& d : std::exchange(done_meanwhile_, {})) batch_done(d, now);
}

} // namespace troupe::scheduler
