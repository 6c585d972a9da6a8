#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "order_search.hpp"
#include "troupe/scheduler/coordinator.hpp"

/// A coordinator and a world that does what it orders at once. Time moves by `now` alone.
struct coordinator_stage {
  using duration = std::chrono::steady_clock::duration;
  using time_point = troupe::scheduler::coordinator::time_point;

  explicit coordinator_stage(troupe::scheduler::coordinator_options o)
      : options(std::move(o)),
        decisions(std::make_unique<troupe::scheduler::coordinator>(options, now)) {}

  /// 12 batches of one sample in two epochs, two shards, no checkpoints.
  static troupe::scheduler::coordinator_options job(std::uint32_t replicas = 1,
                                                    std::uint32_t workers = 2) {
    troupe::scheduler::coordinator_options o;
    o.plan = troupe::scheduler::batch_plan{{6, 1, 2}};
    o.shards = 2;
    o.replicas = replicas;
    o.workers = workers;
    o.leases.lease_ahead = 2;
    o.nodes.read_lease = std::chrono::milliseconds(1250);
    return o;
  }

  /// Joins so many nodes, each of which offers this.
  void join(std::size_t nodes, std::uint32_t shards, std::uint32_t workers) {
    for (std::size_t i = 0; i < nodes; ++i) decisions->node_joined(shards, workers, now);
  }

  /// A node comes back over another connection. Returns why it is no member, if it is none.
  std::optional<std::string> come_back(const troupe::scheduler::node_offer& offer,
                                       const std::vector<troupe::scheduler::shard_id>& replicas,
                                       const std::vector<troupe::scheduler::held_leases>& leases) {
    troupe::scheduler::returning_node node{offer, replicas, leases};
    return decisions->node_returned(node, now);
  }

  /// Takes the orders given so far and answers them, and the orders that follow, until none is
  /// left. All of them.
  troupe::scheduler::order_list settle() {
    troupe::scheduler::order_list all;
    for (auto next = decisions->take_orders(); !next.empty(); next = decisions->take_orders()) {
      all.insert(all.end(), next.begin(), next.end());
      for (const auto& o : next) answer(o);
    }
    return all;
  }

  /// What one order leads to in a world without failures.
  void answer(const troupe::scheduler::order& o) {
    namespace orders = troupe::scheduler::orders;
    auto& d = *decisions;
    if (const auto* r = std::get_if<orders::place_replicas>(&o))
      d.replicas_placed(*r, r->shards.size());
    if (const auto* r = std::get_if<orders::place_learner>(&o)) d.learner_placed(*r, 1);
    if (const auto* r = std::get_if<orders::place_workers>(&o))
      d.workers_placed(*r, r->workers.size(), now);
    if (const auto* r = std::get_if<orders::add_workers>(&o))
      d.workers_added(*r, r->workers.size(), now);
    if (const auto* r = std::get_if<orders::clear_roles>(&o)) d.roles_cleared(*r, now);
    if (const auto* r = std::get_if<orders::enter_clock>(&o)) d.clock_entered(*r, r->clock, now);
    if (const auto* r = std::get_if<orders::load_checkpoint>(&o))
      d.checkpoint_loaded(
          {.generation = r->generation, .found = stored, .refused = {}, .error = {}}, now);
    if (const auto* r = std::get_if<orders::send_images>(&o)) d.images_sent(r->generation);
    if (const auto* r = std::get_if<orders::ask_applied>(&o))
      d.applied_reported(*r, applied.at(r->to.shard.value), now);
    if (const auto* r = std::get_if<orders::report_failure>(&o)) d.role_failed(r->role, now);
    if (std::holds_alternative<orders::place_soon>(o)) d.try_place(now);
  }

  void done(troupe::scheduler::worker_id worker, troupe::scheduler::batch_id batch) {
    decisions->batch_done({worker, batch, ++clock, 0.5, {}}, now);
  }

  std::string phase() const { return decisions->status(now).phase; }

  troupe::scheduler::coordinator_options options;
  time_point now{std::chrono::hours(1)};
  std::unique_ptr<troupe::scheduler::coordinator> decisions;
  std::optional<troupe::scheduler::loaded_checkpoint> stored; ///< what the archive finds
  std::vector<troupe::scheduler::applied_set> applied;        ///< by shard, after a restart
  troupe::scheduler::clock_value clock = 0;
};

/// So many nodes with room for both shards and a worker each, which train.
inline coordinator_stage training(std::size_t nodes, troupe::scheduler::coordinator_options o) {
  coordinator_stage s{std::move(o)};
  s.join(nodes, 2, 1);
  s.settle();
  if (s.phase() != "training") throw std::logic_error("expected training, found " + s.phase());
  return s;
}

/// The lines of one kind for the user.
inline std::vector<std::string> lines_of(const troupe::scheduler::order_list& orders,
                                         troupe::scheduler::notice_kind kind) {
  std::vector<std::string> result;
  for (const auto& n : all_of<troupe::scheduler::orders::notify>(orders))
    if (n.kind == kind) result.push_back(n.text);
  return result;
}

/// The batches given to any worker.
inline std::set<troupe::scheduler::batch_id> leased(const troupe::scheduler::order_list& orders) {
  std::set<troupe::scheduler::batch_id> result;
  for (const auto& lease : all_of<troupe::scheduler::orders::give_leases>(orders))
    result.insert(lease.batches.begin(), lease.batches.end());
  return result;
}

inline troupe::scheduler::applied_set
set_of(const troupe::scheduler::batch_plan& plan,
       std::initializer_list<troupe::scheduler::batch_id> batches) {
  troupe::scheduler::applied_set result{plan};
  for (auto b : batches) result.insert(b);
  return result;
}
