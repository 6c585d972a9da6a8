// What an operator sees, and what a run waits for while nothing moves.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

namespace {

template <class Ids>
std::string listed(const Ids& ids) {
  std::string text;
  for (const auto& id : ids) text += (text.empty() ? "" : ", ") + to_string(id);
  return text;
}

std::string whole_seconds(stall_watch::duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

} // namespace

// STALL-1, STALL-2
void coordinator::look_for_stall(time_point now) {
  if (over()) return;
  switch (stall_.look(now)) {
  case stall_watch::alarm::none:
    return;
  case stall_watch::alarm::tell:
    reached(probe::stood_still);
    notify(notice_kind::warning,
           "nothing has moved for " + whole_seconds(stall_.still()) + ": " + waits_for());
    return;
  case stall_watch::alarm::give_up:
    fail("nothing has moved for " + whole_seconds(stall_.still()) + ": " + waits_for());
  }
}

void coordinator::moved() {
  if (const auto still = stall_.moved(); still > duration{})
    notify(notice_kind::placed, "it goes on, after " + whole_seconds(still));
}

std::string coordinator::waits_for() const { return what_waits() + who_cannot_reach_whom(); }

std::string coordinator::what_waits() const {
  struct words {
    const coordinator& c;
    std::string operator()(const phases::gathering& g) const {
      if (g.loading) return "the checkpoints are being read";
      if (!g.clearing.empty()) return "roles are being dropped by " + listed(g.clearing);
      return "the run waits for nodes; still missing: " + g.missing;
    }
    std::string operator()(const phases::placing& p) const {
      if (p.awaited.empty()) return "the shards wait for the images of the checkpoint";
      return "roles are being started by " + listed(p.awaited);
    }
    std::string operator()(const phases::reconciling& r) const {
      if (const auto absent = c.members_.absent(); !absent.empty())
        return "the restarted scheduler waits for " + listed(absent) + " to come back";
      std::vector<shard_id> silent;
      for (auto shard : c.replicas_.shards())
        if (!r.applied.contains(shard)) silent.push_back(shard);
      return "the restarted scheduler waits for the state of " + listed(silent);
    }
    std::string operator()(const phases::training&) const { return c.training_waits_for(); }
    std::string operator()(const phases::stopping& s) const {
      if (!s.settled) return c.training_waits_for();
      return s.snapshot_taken ? "the checkpoint of the interrupted run is being written"
                              : "the parameters of the interrupted run are being fetched";
    }
    std::string operator()(const phases::ended&) const { return "the run is over"; }
  };
  return std::visit(words{*this}, phase_);
}

// The holders of leases wait for parameters or for acknowledgements: the shards that they need are
// named with their nodes, because the operator has to look there.
std::string coordinator::training_waits_for() const {
  if (desk_.workers().empty()) return "no worker is left; the run waits for a node that runs one";
  std::vector<worker_id> holders;
  for (const auto& [id, w] : desk_.workers())
    if (desk_.leases().held_count(id) > 0) holders.push_back(id);
  if (holders.empty())
    return "no batch may be leased before epoch " + std::to_string(desk_.evaluated_epochs() + 1) +
           " is evaluated; its parameters come from the primaries of all shards";
  std::string text = "batches are held by ";
  for (std::size_t i = 0; i < holders.size() && i < 4; ++i)
    text += (i > 0 ? ", " : "") + to_string(holders[i]) + " on " +
            to_string(desk_.workers().at(holders[i]).node);
  if (holders.size() > 4) text += " and " + std::to_string(holders.size() - 4) + " more";
  for (auto shard : replicas_.shards()) {
    const auto& view = replicas_.views().view(shard);
    text += "; " + to_string(shard) + " is on " + listed(view.chain);
  }
  return text;
}

cluster_status coordinator::status(time_point now) const {
  constexpr const char* names[] = {"gathering", "placing",  "reconciling",
                                   "training",  "draining", "ended"};
  static_assert(std::size(names) == std::variant_size_v<run_phase>);
  cluster_status s;
  s.phase = names[phase_.index()];
  s.epoch = progress_.current_epoch() + 1;
  s.epochs = options_.plan.epochs();
  s.batches_done = progress_.batches_done();
  s.batches_total = progress_.batches_total();
  s.restarts = restarts_;
  s.uptime = now - begun_;
  s.still = stall_.still();
  if (stall_.told()) s.waits_for = waits_for();
  if (const auto& last = checkpoints_.last())
    s.last_checkpoint = {last->number, last->batches, now - checkpoints_.marked_at()};
  for (const auto& [id, by_worker] : desk_.spent()) s.spent += by_worker;
  const auto& views = replicas_.views();
  for (const auto& [id, m] : members_.all()) {
    cluster_status::node node{.node = id,
                              .silent = now - m.heard_at,
                              .phi = m.detector.phi(members_.awake()),
                              .interval = m.detector.mean(),
                              .draining = members_.is_leaving(id),
                              .restarts = m.failures};
    for (auto shard : replicas_.shards()) {
      const auto& v = views.view(shard);
      std::string role;
      if (!v.chain.empty() && v.chain.front() == id)
        role = "primary";
      else if (std::ranges::find(v.chain, id) != v.chain.end())
        role = "backup";
      else if (v.learner == id)
        role = "learner";
      if (!role.empty()) node.replicas.push_back({shard, role, v.number});
    }
    for (const auto& [worker, w] : desk_.workers()) {
      if (w.node != id) continue;
      const auto spent = desk_.spent().find(worker);
      node.workers.push_back({worker, w.clock, desk_.leases().held_by(worker), w.suspended,
                              spent != desk_.spent().end() ? spent->second : time_shares{}});
    }
    s.nodes.push_back(std::move(node));
  }
  for (const auto& [id, why] : members_.lost()) s.lost.push_back({id, why});
  for (auto shard : replicas_.shards()) {
    const auto& v = views.view(shard);
    s.shards.push_back({shard, v.number, v.chain, v.learner});
  }
  return s;
}

} // namespace troupe::scheduler
