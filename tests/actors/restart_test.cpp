// A scheduler that was killed and started again, and what may have happened meanwhile.
#include "virtual_cluster.hpp"

#include <algorithm>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "../tensor/scratch_folder.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;
namespace scheduler = troupe::scheduler;

namespace {

const std::vector<scheduler::consistency> replicated_modes{scheduler::consistency::async(),
                                                           scheduler::consistency::ssp(2),
                                                           scheduler::consistency::bsp(4)};

job replicated_job(const scheduler::consistency& mode) {
  auto j = integer_job(mode);
  j.cluster.replicas = 2;
  j.checkpoint.every_seconds = 0;
  return j;
}

void check_exact(const virtual_cluster& cluster, const job& j) {
  REQUIRE(cluster.result());
  INFO(cluster.result()->error);
  REQUIRE(cluster.result()->outcome == run_result::status::finished);
  auto scale = j.train.consistency.applies_on_arrival() ? 1 : 0.25f;
  REQUIRE(std::ranges::equal(cluster.result()->parameters,
                             expected_parameters(j, j.data.samples, scale)));
}

std::size_t notices_with(const virtual_cluster& c, const std::string& text) {
  std::size_t count = 0;
  for (const auto& e : c.events())
    if (const auto* n = std::get_if<notice_event>(&e)) count += n->text.find(text) != n->text.npos;
  return count;
}

void run_until(virtual_cluster& c, caf::timespan when) {
  c.run([&] { return c.now() >= when; });
}

// In the first view; null when the node holds none.
shard_actor replica_on(virtual_cluster& c, std::size_t node, shard_id shard) {
  caf::scoped_actor self{c.system()};
  shard_actor found;
  bool answered = false;
  self->send(node_actor{c.nodes().at(node)}, find_replica{protocol_version, "test", shard, {1}});
  c.run([&] {
    if (answered || !self->has_next_message()) return answered;
    self->receive(
        [&](const replica_found& f) {
          found = f.replica;
          answered = true;
        },
        [&](const caf::error&) { answered = true; });
    return answered;
  });
  return found;
}

nlohmann::json status_of(virtual_cluster& c) {
  caf::scoped_actor self{c.system()};
  nlohmann::json found;
  self->send(scheduler_actor{c.root()}, status_request{});
  c.run([&] {
    if (self->has_next_message())
      self->receive([&](const status_report& r) { found = nlohmann::json::parse(r.json); });
    return !found.is_null();
  });
  return found;
}

std::size_t port_of(const nlohmann::json& node) {
  const auto address = node["address"].get<std::string>();
  return std::stoul(address.substr(address.find(':') + 1));
}

} // namespace

TEST_CASE("a scheduler that dies before training begins is started again and nodes join it anew") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    scratch_folder folder;
    auto j = replicated_job(scheduler::consistency::async());
    const bool placing = seed % 2 == 0; // else others are still to come
    virtual_cluster::options o{j, seed, nullptr, {{2, 1}, {2, 1}}};
    if (placing) o.nodes.insert(o.nodes.end(), {{2, 1}, {0, 1}});
    o.folder = folder.path();
    virtual_cluster cluster{o};
    cluster.run([&] { return notices_with(cluster, " joined from") == o.nodes.size(); });
    cluster.run(nullptr, 20 + seed); // they have their numbers
    REQUIRE(notices_with(cluster, "training with") == 0);
    cluster.kill_root();
    cluster.run(nullptr, seed % 5 * 10);
    cluster.restart_root();
    if (!placing) {
      cluster.add_node(2, 1);
      cluster.add_node(0, 1);
    }
    REQUIRE(cluster.run());
    check_exact(cluster, j);
  }
}

TEST_CASE("REPLICA-1: a replica that dies while the scheduler is away is replaced afterwards, and "
          "nothing is lost") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      scratch_folder folder;
      auto j = replicated_job(mode);
      virtual_cluster::options o{j, seed, nullptr, {{2, 1}, {2, 1}, {2, 1}, {0, 1}}};
      o.folder = folder.path();
      virtual_cluster cluster{o};
      run_until(cluster, 10ms);
      cluster.run(nullptr, seed * 13);
      shard_actor victim;
      for (std::size_t node = seed % 3; !victim; ++node)
        victim = replica_on(cluster, node % 3, shard_id{0});
      REQUIRE_FALSE(cluster.result());
      cluster.kill_root();
      caf::anon_send_exit(victim, caf::exit_reason::kill);
      victim = nullptr;
      cluster.run(nullptr, seed * 7);
      cluster.restart_root();
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(notices_with(cluster, "lost all its replicas") == 0);
      CHECK(notices_with(cluster, "did not come back") == 0);
      CHECK(notices_with(cluster, "has a replica on") >= 1);
    }
}

TEST_CASE("a learner that caught up while the scheduler was away joins the chain") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      scratch_folder folder;
      auto j = replicated_job(mode);
      virtual_cluster::options o{j, seed, nullptr, {{3, 0}, {3, 0}, {0, 4}}};
      o.folder = folder.path();
      virtual_cluster cluster{o};
      run_until(cluster, 10ms);
      cluster.kill(0);
      cluster.add_node(3, 0);
      cluster.run([&] { return notices_with(cluster, "node 3 joined") == 1; });
      cluster.run(nullptr, seed * 9);
      cluster.kill_root();
      cluster.run(nullptr, 200);
      cluster.restart_root();
      cluster.run([&] { return notices_with(cluster, "has a replica on") == 3; });
      CHECK(notices_with(cluster, "has a replica on") == 3);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
    }
}

TEST_CASE("SCHED-7: what a worker reports that takes no part is not counted") {
  for (const auto& mode : replicated_modes) {
    INFO(to_string(mode));
    auto j = replicated_job(mode);
    virtual_cluster cluster{{j, 1, nullptr, {{3, 0}, {3, 0}, {0, 4}}}};
    run_until(cluster, 30ms);
    REQUIRE_FALSE(cluster.result());
    // As after a checkpoint was gone back to: no shard of this run has it.
    for (std::uint32_t index = 0; index < 32; ++index)
      caf::anon_send(cluster.root(), batch_done{worker_id{77}, {2, index}, 5, 0});
    REQUIRE(cluster.run());
    check_exact(cluster, j);
  }
}

TEST_CASE(
    "NODE-4: a lost node joins again once, though the scheduler was started again meanwhile") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    scratch_folder folder;
    auto j = replicated_job(scheduler::consistency::async());
    auto slow = [](worker_id) -> caf::timespan { return 200ms; };
    virtual_cluster::options o{j, seed, slow, {{3, 0}, {3, 0}, {0, 3}, {0, 1}}};
    o.folder = folder.path();
    virtual_cluster cluster{o};
    run_until(cluster, 500ms + seed * 5ms);
    cluster.stop(3);
    cluster.run([&] { return notices_with(cluster, "was lost (silent") == 1; });
    cluster.kill_root();
    run_until(cluster, cluster.now() + seed * 3ms);
    cluster.restart_root();
    run_until(cluster, cluster.now() + 300ms);
    cluster.go_on(3);
    REQUIRE(cluster.run());
    check_exact(cluster, j);
    CHECK(notices_with(cluster, " joined from") == 5);
  }
}

TEST_CASE("NODE-4: a node that hears twice that it was lost joins again once") {
  auto j = replicated_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, nullptr, {{3, 0}, {3, 0}, {0, 3}, {0, 1}}}};
  run_until(cluster, 30ms);
  const auto status = status_of(cluster);
  const auto& last = status["nodes"].back();
  const auto node = port_of(last) - 1;
  for (int times = 1; times <= 2; ++times)
    caf::anon_send(cluster.nodes().at(node), was_lost{"silent"});
  REQUIRE(cluster.run());
  check_exact(cluster, j);
  CHECK(notices_with(cluster, " joined from") == 5);
}

TEST_CASE("a node that comes back after a restarted scheduler has begun again is a member once") {
  scratch_folder folder;
  auto j = replicated_job(scheduler::consistency::async());
  j.train.epochs = 20;
  virtual_cluster::options o{j, 1, nullptr, {{3, 0}, {3, 0}, {0, 4}, {3, 0}}};
  o.folder = folder.path();
  virtual_cluster cluster{o};
  run_until(cluster, 50ms);
  std::vector<std::size_t> holders;
  const auto before = status_of(cluster);
  for (const auto& n : before["nodes"])
    if (!n["replicas"].empty()) holders.push_back(port_of(n) - 1);
  cluster.stop(2);
  cluster.kill_root();
  for (auto node : holders) cluster.kill(node);
  cluster.restart_root();
  for (std::size_t i = 0; i < holders.size(); ++i) cluster.add_node(3, 0);
  cluster.run([&] { return notices_with(cluster, "lost all its replicas") == 1; });
  cluster.go_on(2);
  cluster.run([&] { return notices_with(cluster, "training with") == 2; });
  REQUIRE_FALSE(cluster.result());
  std::set<std::string> addresses;
  const auto status = status_of(cluster);
  for (const auto& n : status["nodes"]) addresses.insert(n["address"]);
  CHECK(addresses.size() == status["nodes"].size());
  REQUIRE(cluster.run());
  check_exact(cluster, j);
}
