// A scheduler that was killed and started again, and what may have happened meanwhile.
#include "recorded_cluster.hpp"

#include <set>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace troupe::chaos {

using namespace std::chrono_literals;

namespace {

// In the first view; null when the node holds none. A handle within the node's process.
actors::shard_actor replica_on(recorded_cluster& c, std::size_t node, actors::shard_id shard) {
  caf::scoped_actor self{c.node_process(node).system()};
  actors::shard_actor found;
  bool answered = false;
  self->send(actors::node_actor{c.node_root(node)},
             actors::find_replica{actors::protocol_version, "chaos", shard, {1}});
  c.run_until([&] {
    if (answered || !self->has_next_message()) return answered;
    self->receive(
        [&](const actors::replica_found& f) {
          found = f.replica;
          answered = true;
        },
        [&](const caf::error&) { answered = true; });
    return answered;
  });
  return found;
}

nlohmann::json status_of(const recorded_cluster& c) { return nlohmann::json::parse(*c.status()); }

std::size_t port_of(const nlohmann::json& node) {
  const auto address = node["address"].get<std::string>();
  return std::stoul(address.substr(address.find(':') + 1));
}

} // namespace

TEST_CASE("a scheduler that dies before training begins is started again and nodes join it anew") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    auto j = longer_job(scheduler::consistency::async(), 2);
    const bool placing = seed % 2 == 0; // else others are still to come
    auto o = options_for(j, seed, {{2, 1}, {2, 1}});
    if (placing) o.nodes.insert(o.nodes.end(), {{2, 1}, {0, 1}});
    recorded_cluster c(o);
    c.run_until([&] { return count_notices(c, " joined from") == o.nodes.size(); });
    c.run_steps(20 + seed); // they have their numbers
    REQUIRE(count_notices(c, "training with") == 0);
    c.kill_scheduler();
    c.run_steps(seed % 5 * 10);
    c.restart_scheduler();
    if (!placing) {
      c.add_node({2, 1});
      c.add_node({0, 1});
    }
    REQUIRE(c.run(ever));
    check_exact_and_history(c, j);
  }
}

TEST_CASE("REPLICA-1: a replica that dies while the scheduler is away is replaced afterwards, and "
          "nothing is lost") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      auto o = options_for(j, seed, {{2, 1}, {2, 1}, {2, 1}, {0, 1}});
      recorded_cluster c(o);
      c.run_until(nullptr, 10ms);
      c.run_steps(seed * 13);
      actors::shard_actor victim;
      for (std::size_t node = seed % 3; !victim; ++node)
        victim = replica_on(c, node % 3, actors::shard_id{0});
      REQUIRE_FALSE(c.result());
      c.kill_scheduler();
      caf::anon_send_exit(victim, caf::exit_reason::kill);
      victim = nullptr;
      c.run_steps(seed * 7);
      c.restart_scheduler();
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "lost all its replicas") == 0);
      CHECK(count_notices(c, "did not come back") == 0);
      CHECK(count_notices(c, "has a replica on") >= 1);
    }
}

TEST_CASE("a learner that caught up while the scheduler was away joins the chain") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      auto o = options_for(j, seed, {{3, 0}, {3, 0}, {0, 4}});
      recorded_cluster c(o);
      c.run_until(nullptr, 10ms);
      c.kill(0);
      c.add_node({3, 0});
      c.run_until([&] { return count_notices(c, "node 3 joined") == 1; });
      c.run_steps(seed * 9);
      c.kill_scheduler();
      c.run_steps(200);
      c.restart_scheduler();
      c.run_until([&] { return count_notices(c, "has a replica on") == 3; });
      CHECK(count_notices(c, "has a replica on") == 3);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
    }
}

TEST_CASE("SCHED-7: what a worker reports that takes no part is not counted") {
  for (const auto& mode : modes) {
    INFO(to_string(mode));
    auto j = longer_job(mode, 2);
    recorded_cluster c(options_for(j, 1, {{3, 0}, {3, 0}, {0, 4}}));
    c.run_until(nullptr, 30ms);
    REQUIRE_FALSE(c.result());
    // As after a checkpoint was gone back to: no shard of this run has it.
    for (std::uint32_t index = 0; index < 32; ++index)
      caf::anon_send(c.root(), actors::batch_done{actors::worker_id{77}, {2, index}, 5, 0});
    REQUIRE(c.run(ever));
    check_exact_and_history(c, j);
  }
}

TEST_CASE(
    "NODE-4: a lost node joins again once, though the scheduler was started again meanwhile") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    auto j = longer_job(scheduler::consistency::async(), 2);
    auto slow = [](actors::worker_id) -> sim_time { return 200ms; };
    auto o = options_for(j, seed, {{3, 0}, {3, 0}, {0, 3}, {0, 1}}, slow);
    recorded_cluster c(o);
    c.run_until(nullptr, 500ms + seed * 5ms);
    c.stop(3);
    c.run_until([&] { return count_notices(c, "was lost (silent") == 1; });
    c.kill_scheduler();
    c.run_until(nullptr, c.now() + seed * 3ms);
    c.restart_scheduler();
    c.run_until(nullptr, c.now() + 300ms);
    c.go_on(3);
    REQUIRE(c.run(ever));
    check_exact_and_history(c, j);
    CHECK(count_notices(c, " joined from") == 5);
  }
}

TEST_CASE("NODE-4: a node that hears twice that it was lost joins again once") {
  auto j = longer_job(scheduler::consistency::async(), 2);
  recorded_cluster c(options_for(j, 1, {{3, 0}, {3, 0}, {0, 3}, {0, 1}}));
  c.run_until(nullptr, 30ms);
  const auto status = status_of(c);
  const auto& last = status["nodes"].back();
  const auto node = port_of(last) - 1;
  for (int times = 1; times <= 2; ++times)
    caf::anon_send(c.node_root(node), actors::was_lost{"silent"});
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
  CHECK(count_notices(c, " joined from") == 5);
}

TEST_CASE("a node that comes back after a restarted scheduler has begun again is a member once") {
  auto j = longer_job(scheduler::consistency::async(), 2);
  j.train.epochs = 20;
  auto o = options_for(j, 1, {{3, 0}, {3, 0}, {0, 4}, {3, 0}});
  recorded_cluster c(o);
  c.run_until(nullptr, 50ms);
  std::vector<std::size_t> holders;
  const auto before = status_of(c);
  for (const auto& n : before["nodes"])
    if (!n["replicas"].empty()) holders.push_back(port_of(n) - 1);
  c.stop(2);
  c.kill_scheduler();
  for (auto node : holders) c.kill(node);
  c.restart_scheduler();
  for (std::size_t i = 0; i < holders.size(); ++i) c.add_node({3, 0});
  c.run_until([&] { return count_notices(c, "lost all its replicas") == 1; });
  c.go_on(2);
  c.run_until([&] { return count_notices(c, "training with") == 2; });
  REQUIRE_FALSE(c.result());
  std::set<std::string> addresses;
  const auto status = status_of(c);
  for (const auto& n : status["nodes"]) addresses.insert(n["address"]);
  CHECK(addresses.size() == status["nodes"].size());
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
}

} // namespace troupe::chaos
