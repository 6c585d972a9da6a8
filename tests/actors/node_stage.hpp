#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "silent_peers.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/workload.hpp"

/// One node, with its pulse and its roles. Its scheduler and the other nodes are the test's.
namespace troupe::actors {

/// Welcomes nodes, answers heartbeats, and remembers what it was sent.
struct staged_scheduler {
  job work;
  std::uint32_t next_number = 0;
  bool answers_heartbeats = true;
  std::function<void()> on_hello; ///< may be null

  std::string workload; ///< that the nodes must have
  std::vector<hello> hellos;
  std::vector<heartbeat> beats;
  std::vector<batch_done> done;
  std::vector<role_failed> failed_roles;
  std::vector<actor_failed> failures;
  std::vector<reach_report> reports;
  std::vector<node_unfit> unfit;

  scheduler_actor spawn(caf::actor_system& system) {
    return system.spawn([this](scheduler_actor::pointer) { return behavior(); });
  }

 private:
  scheduler_actor::behavior_type behavior() {
    return {[this](const hello& h) {
              hellos.push_back(h);
              if (on_hello) on_hello();
              const auto number = h.known_as == no_node ? node_id{next_number++} : h.known_as;
              return welcome{number, "test", to_json(work).dump(), workload};
            },
            [this](const batch_done& d) { done.push_back(d); },
            [](const epoch_evaluated&) {},
            [](const stop_training&) {},
            [this](const actor_failed& f) { failures.push_back(f); },
            [this](const role_failed& f) { failed_roles.push_back(f); },
            [](const caught_up&) {},
            [](const diverged&) {},
            [this](const heartbeat& h) {
              beats.push_back(h);
              if (answers_heartbeats) caf::anon_send(h.from, heartbeat_seen{h.number});
            },
            [](const status_request&) { return status_report{}; },
            [](const leave_request&) {},
            [this](const reach_report& r) { reports.push_back(r); },
            [this](const node_unfit& u) { unfit.push_back(u); },
            [](const drain_request&) { return drain_accepted{}; }};
  }
};

/// Another node: remembers greetings and searches, and finds what it is said to hold.
struct staged_peer {
  std::map<shard_id, shard_actor> replicas;
  std::vector<greet> greetings;
  std::vector<find_replica> searches;

  node_actor spawn(caf::actor_system& system) {
    return system.spawn([this](node_actor::pointer) { return behavior(); });
  }

 private:
  node_actor::behavior_type behavior() {
    return {[](const place_replicas&) { return replicas_placed{}; },
            [](const place_workers&) { return workers_placed{}; },
            [](const install_view&) {},
            [](const drop_replica&) {},
            [](const clear_roles&) { return roles_cleared{}; },
            [this](const greet& g) { greetings.push_back(g); },
            [this](const find_replica& f) -> caf::result<replica_found> {
              searches.push_back(f);
              auto held = replicas.find(f.shard);
              if (held == replicas.end()) return make_error(errc::no_such_shard);
              return replica_found{held->second};
            },
            [](const stop_node&) {},
            [](const actor_failed&) {}};
  }
};

/// A job of 1 shard and 1 worker, whose batches take 10 ms.
class node_stage : public test_system {
 public:
  staged_scheduler root;
  staged_peer peer;
  scheduler_actor root_handle;
  node_impl_actor node;
  std::vector<compute_actor> computes; ///< in the order they were started
  std::optional<node_result> result;   ///< once the node has ended
  /// How the node connects to another one, and to its scheduler again. The test's to set.
  std::function<caf::expected<node_actor>(const contact&)> connect;
  std::function<caf::expected<scheduler_actor>()> reconnect;
  std::function<compute_actor(caf::actor_system&, cpu_compute_options)> spawn_compute;
  std::function<workload(const job&)> make_workload; ///< null: as the job says

  static constexpr shard_id shard_0{0};
  static constexpr worker_id worker_0{0};

  /// The node is welcomed under this number.
  void join(std::uint32_t number = 0) {
    root.work =
        job_from_json({{"model", {{"kind", "integer_sum"}, {"parameters", 100}}},
                       {"data", {{"format", "integers"}, {"samples", 320}, {"held_out", 0}}},
                       {"train",
                        {{"epochs", 3},
                         {"batch_size", 10},
                         {"consistency", "async"},
                         {"optimizer", {{"learning_rate", 1}}}}}});
    root.next_number = number;
    root_handle = keep(root.spawn(system()));
    node_actor_options o;
    o.scheduler = root_handle;
    o.shards = o.workers = 1;
    o.make_workload = make_workload ? make_workload : &troupe::make_workload;
    if (connect) o.connect = connect;
    if (reconnect) o.reconnect = reconnect;
    o.spawn_compute = [this](caf::actor_system& system, worker_id, cpu_compute_options c) {
      c.takes = [] { return std::chrono::milliseconds(10); };
      computes.push_back(spawn_compute ? spawn_compute(system, c)
                                       : compute_actor{system.spawn(cpu_compute, c)});
      return computes.back();
    };
    o.on_end = [this](node_result r) { result = std::move(r); };
    node = keep(system().spawn(actors::node, std::move(o)));
    caf::anon_send(node, begin_node{{"node", 1}});
    settle();
  }
  ~node_stage() {
    if (node) caf::anon_send_exit(node, caf::exit_reason::kill);
    settle();
    node = nullptr;
    computes.clear();
    peer = {};
    root.hellos.clear();
    root.beats.clear();
    root_handle = nullptr;
    settle();
  }

  /// In steps that no timer is longer than.
  void pass_in_steps(caf::timespan time, caf::timespan step = std::chrono::milliseconds(10)) {
    for (caf::timespan passed{}; passed < time; passed += step) pass(step);
  }

  /// The answer to a request; none: there is no answer yet, or an error.
  template <class Answer, class Request>
  std::optional<Answer> ask(const caf::actor& to, Request request) {
    caf::scoped_actor asker{system()};
    std::optional<Answer> answer;
    asker->send(to, std::move(request));
    settle();
    if (asker->has_next_message())
      asker->receive([&](const Answer& a) { answer = a; }, [](const caf::error&) {});
    return answer;
  }

  shard_actor place_replica(bool empty = false) {
    auto placed = ask<replicas_placed>(caf::actor_cast<caf::actor>(node),
                                       place_replicas{{shard_0}, 1, empty});
    return placed ? placed->replicas.at(0) : shard_actor{};
  }
  worker_actor place_worker() {
    auto placed = ask<workers_placed>(caf::actor_cast<caf::actor>(node), place_workers{{worker_0}});
    return placed ? placed->workers.at(0) : worker_actor{};
  }
  void install(std::uint64_t view, std::vector<std::uint32_t> chain) {
    install_view v{shard_0, {view}, {}, {}};
    for (auto number : chain)
      v.chain.push_back({{number}, {"node", static_cast<std::uint16_t>(number + 1)}});
    caf::anon_send(node, v);
    settle();
  }
  void lease(const worker_actor& worker, std::uint32_t first, std::uint32_t count) {
    batch_lease l;
    for (auto i = first; i < first + count; ++i) l.batches.push_back({0, i});
    caf::anon_send(worker, l);
    settle();
  }
  /// Called when the actor ends.
  template <class Handle>
  void when_ended(const Handle& handle, std::function<void()> then) {
    caf::actor_cast<caf::actor>(handle)->attach_functor([then] { then(); });
  }
};

} // namespace troupe::actors
