// Whole clusters with replicated shards on virtual time: whatever dies, every batch is applied
// once.
#include "virtual_cluster.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

#include "../tensor/scratch_folder.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;
namespace history = troupe::history;
namespace scheduler = troupe::scheduler;

namespace {

const std::vector<scheduler::consistency> replicated_modes{scheduler::consistency::async(),
                                                           scheduler::consistency::ssp(2),
                                                           scheduler::consistency::bsp(4)};

job replicated_job(const scheduler::consistency& mode, std::uint32_t replicas = 2) {
  auto j = integer_job(mode);
  j.cluster.replicas = replicas;
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
  CHECK(complaints(cluster.check()) == "");
}

std::size_t warnings_with(const virtual_cluster& c, const std::string& text) {
  std::size_t count = 0;
  for (const auto& e : c.events())
    if (const auto* n = std::get_if<notice_event>(&e)) count += n->text.find(text) != n->text.npos;
  return count;
}

void run_until(virtual_cluster& c, caf::timespan when) {
  c.run([&] { return c.now() >= when; });
}

} // namespace

TEST_CASE("REPLICA-1: the node of a primary dies at any instant and the sum is exact without going "
          "back") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = replicated_job(mode);
      virtual_cluster cluster{{j, seed, nullptr, {{2, 0}, {2, 0}, {2, 0}, {0, 4}}}};
      run_until(cluster, 20ms);
      cluster.run(nullptr, seed * 29);
      REQUIRE_FALSE(cluster.result());
      cluster.kill(seed % 3);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(warnings_with(cluster, "lost all its replicas") == 0);
      if (mode.bounded()) CHECK(cluster.check().of(history::rule::staleness).judged > 0);
    }
}

TEST_CASE("a replica is brought up on a new node while training goes on, and takes over") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = replicated_job(mode);
      virtual_cluster cluster{{j, seed, nullptr, {{3, 0}, {3, 0}, {0, 4}}}};
      run_until(cluster, 10ms);
      cluster.run(nullptr, seed * 17);
      cluster.kill(0);
      auto fresh = cluster.add_node(3, 0);
      cluster.run([&] { return warnings_with(cluster, "has a replica on") == 3; });
      REQUIRE_FALSE(cluster.result());
      cluster.kill(1); // all that it held is now on the new one alone
      cluster.run(nullptr, 100);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(warnings_with(cluster, "lost all its replicas") == 0);
      CHECK(cluster.node_end(fresh)->outcome == node_result::status::finished);
    }
}

TEST_CASE("with three replicas two may die, one after the other or together") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = replicated_job(mode, 3);
      virtual_cluster cluster{{j, seed, nullptr, {{3, 1}, {3, 1}, {3, 1}, {0, 1}}}};
      run_until(cluster, 10ms);
      cluster.run(nullptr, seed * 23);
      cluster.kill(seed % 3);
      if (seed % 2 == 0) cluster.run(nullptr, seed * 3);
      cluster.kill((seed + 1) % 3);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(warnings_with(cluster, "lost all its replicas") == 0);
    }
}

TEST_CASE("SCHED-10: all replicas of a shard die and the run goes back to the newest checkpoint") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 15; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      scratch_folder folder;
      auto j = replicated_job(mode);
      j.checkpoint.every_batches = 10;
      virtual_cluster::options o{j, seed, nullptr, {{2, 0}, {2, 0}, {2, 0}, {0, 4}}};
      o.folder = folder.path();
      virtual_cluster cluster{o};
      // The period is looked at twice a second.
      o.batch_time = [](worker_id) -> caf::timespan { return 100ms; };
      cluster.run([&] { return cluster.now() >= 20ms; });
      cluster.run(nullptr, seed * 31);
      cluster.kill(0);
      cluster.kill(1);
      cluster.add_node(2, 0);
      cluster.add_node(2, 0);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(warnings_with(cluster, "lost all its replicas") == 1);
    }
}

TEST_CASE("a stopped primary that goes on after it was replaced acknowledges nothing and is read "
          "by nobody") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = replicated_job(mode);
      auto slow = [](worker_id) -> caf::timespan { return 100ms; };
      virtual_cluster cluster{{j, seed, slow, {{2, 0}, {2, 0}, {2, 0}, {0, 4}}}};
      run_until(cluster, 500ms + seed * 7ms);
      cluster.stop(seed % 3);
      cluster.run([&] { return warnings_with(cluster, "was lost (silent") == 1; });
      run_until(cluster, cluster.now() + seed * 11ms);
      cluster.go_on(seed % 3);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(warnings_with(cluster, "lost all its replicas") == 0);
    }
}

TEST_CASE("SCHED-11: the scheduler dies at any instant, and another goes on from its journal") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      scratch_folder folder;
      auto j = replicated_job(mode);
      virtual_cluster::options o{j, seed, nullptr, {{2, 1}, {2, 1}, {2, 1}, {0, 1}}};
      o.folder = folder.path();
      virtual_cluster cluster{o};
      run_until(cluster, 10ms);
      for (int times = 1; times <= 3; ++times) {
        cluster.run(nullptr, seed * 13);
        cluster.kill_root();
        cluster.run(nullptr, seed * 7);
        cluster.restart_root();
      }
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(warnings_with(cluster, "was lost") == 0);
      CHECK(warnings_with(cluster, "goes on with 4 workers") >= 1);
    }
}

TEST_CASE("anything dies, at any instant, many times, and every sum is exact") {
  for (const auto& mode : replicated_modes)
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      scratch_folder folder;
      std::mt19937_64 random{seed};
      auto j = replicated_job(mode);
      j.train.epochs = 6;
      j.checkpoint.every_seconds = 0.4;
      virtual_cluster::options o{j, seed, nullptr, {{2, 0}, {2, 0}, {2, 0}}};
      for (int w = 0; w < 4; ++w) o.nodes.push_back({0, 1});
      o.folder = folder.path();
      virtual_cluster cluster{o};
      std::vector<std::size_t> living{0, 1, 2, 3, 4, 5, 6};
      run_until(cluster, 10ms);
      for (int kill = 0; kill < 6 && !cluster.result(); ++kill) {
        cluster.run(nullptr, random() % 700);
        if (cluster.result()) break;
        if (random() % 4 == 0) {
          cluster.kill_root();
          cluster.run(nullptr, random() % 300);
          cluster.restart_root();
          continue;
        }
        auto& victim = living[random() % living.size()];
        const bool holds = &victim - living.data() < 3;
        cluster.kill(victim);
        cluster.run(nullptr, random() % 300);
        victim = cluster.add_node(holds ? 2 : 0, holds ? 0 : 1);
      }
      REQUIRE(cluster.run(nullptr, 5'000'000));
      check_exact(cluster, j);
    }
}

TEST_CASE("LEASES: an idle worker computes a straggler's batches too, and the first push wins") {
  auto j = replicated_job(scheduler::consistency::async());
  j.train.epochs = 1;
  auto one_hangs = [](worker_id w) -> caf::timespan { return w.value == 2 ? 100s : 10ms; };
  virtual_cluster cluster{{j, 1, one_hangs, {{3, 0}, {3, 0}, {0, 4}}}};
  REQUIRE(cluster.run());
  CHECK(cluster.now() < 30s); // its leases alone last for two minutes
  check_exact(cluster, j);
}

TEST_CASE("CHECK-3: a worker that hung and left the clocks still reads its own writes") {
  for (const auto& mode : {scheduler::consistency::ssp(2), scheduler::consistency::async()})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = replicated_job(mode);
      auto stuck = [](worker_id w) -> caf::timespan { return w.value == 0 ? 1300ms : 400ms; };
      virtual_cluster cluster{{j, seed, stuck, {{3, 0}, {3, 0}, {0, 4}}, 1s}};
      REQUIRE(cluster.run());
      check_exact(cluster, j);
    }
}
