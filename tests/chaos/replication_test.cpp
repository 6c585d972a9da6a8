// Whole clusters with replicated shards on virtual time: whatever dies, every batch is applied
// once.
#include "recorded_cluster.hpp"

#include <random>

#include <catch2/catch.hpp>

namespace troupe::chaos {

using namespace std::chrono_literals;

TEST_CASE("REPLICA-1: the node of a primary dies at any instant and the sum is exact without going "
          "back") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      recorded_cluster c(options_for(j, seed, {{2, 0}, {2, 0}, {2, 0}, {0, 4}}));
      c.run_until(nullptr, 20ms);
      c.run_steps(seed * 29);
      REQUIRE_FALSE(c.result());
      c.kill(seed % 3);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "lost all its replicas") == 0);
      if (mode.bounded()) CHECK(c.check().of(history::rule::staleness).judged > 0);
    }
}

TEST_CASE("a replica is brought up on a new node while training goes on, and takes over") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      recorded_cluster c(options_for(j, seed, {{3, 0}, {3, 0}, {0, 4}}));
      c.run_until(nullptr, 10ms);
      c.run_steps(seed * 17);
      c.kill(0);
      auto fresh = c.add_node({3, 0});
      c.run_until([&] { return count_notices(c, "has a replica on") == 3; });
      REQUIRE_FALSE(c.result());
      c.kill(1); // all that it held is now on the new one alone
      c.run_steps(100);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "lost all its replicas") == 0);
      c.sim().run_for(1s); // the nodes end a moment later
      REQUIRE(c.node_end(fresh));
      CHECK(c.node_end(fresh)->outcome == node_result::status::finished);
    }
}

TEST_CASE("with three replicas two may die, one after the other or together") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 3);
      recorded_cluster c(options_for(j, seed, {{3, 1}, {3, 1}, {3, 1}, {0, 1}}));
      c.run_until(nullptr, 10ms);
      c.run_steps(seed * 23);
      c.kill(seed % 3);
      if (seed % 2 == 0) c.run_steps(seed * 3);
      c.kill((seed + 1) % 3);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "lost all its replicas") == 0);
    }
}

TEST_CASE("SCHED-10: all replicas of a shard die and the run goes back to the newest checkpoint") {
  std::size_t restored = 0;
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 15; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      j.checkpoint.every_batches = 10;
      // Slow, because the period is looked at twice a second.
      const auto slow = [](actors::worker_id) -> sim_time { return 100ms; };
      recorded_cluster c(options_for(j, seed, {{2, 0}, {2, 0}, {2, 0}, {0, 4}}, slow));
      c.run_until(nullptr, 450ms);
      c.run_steps(seed * 31);
      REQUIRE_FALSE(c.result());
      c.kill(0);
      c.kill(1);
      c.add_node({2, 0});
      c.add_node({2, 0});
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "lost all its replicas") == 1);
      restored += count_notices(c, "going on from checkpoint");
    }
  CHECK(restored > 0);
}

TEST_CASE("a stopped primary that goes on after it was replaced acknowledges nothing and is read "
          "by nobody") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      auto slow = [](actors::worker_id) -> sim_time { return 100ms; };
      recorded_cluster c(options_for(j, seed, {{2, 0}, {2, 0}, {2, 0}, {0, 4}}, slow));
      c.run_until(nullptr, 500ms + seed * 7ms);
      c.stop(seed % 3);
      c.run_until([&] { return count_notices(c, "was lost (silent") == 1; });
      c.run_until(nullptr, c.now() + seed * 11ms);
      c.go_on(seed % 3);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "lost all its replicas") == 0);
    }
}

TEST_CASE("SCHED-11: the scheduler dies at any instant, and another goes on from its journal") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      auto o = options_for(j, seed, {{2, 1}, {2, 1}, {2, 1}, {0, 1}});
      recorded_cluster c(o);
      c.run_until(nullptr, 10ms);
      for (int times = 1; times <= 3; ++times) {
        c.run_steps(seed * 13);
        c.kill_scheduler();
        c.run_steps(seed * 7);
        c.restart_scheduler();
      }
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(count_notices(c, "was lost") == 0);
      CHECK(count_notices(c, "goes on with 4 workers") >= 1);
    }
}

TEST_CASE("anything dies, at any instant, many times, and every sum is exact") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      std::mt19937_64 random{seed};
      auto j = longer_job(mode, 2);
      j.train.epochs = 6;
      j.checkpoint.every_seconds = 0.4;
      auto o = options_for(j, seed, {{2, 0}, {2, 0}, {2, 0}});
      for (int w = 0; w < 4; ++w) o.nodes.push_back({0, 1});
      recorded_cluster c(o);
      std::vector<std::size_t> living{0, 1, 2, 3, 4, 5, 6};
      c.run_until(nullptr, 10ms);
      for (int kill = 0; kill < 6 && !c.result(); ++kill) {
        c.run_steps(random() % 700);
        if (c.result()) break;
        if (random() % 4 == 0) {
          c.kill_scheduler();
          c.run_steps(random() % 300);
          c.restart_scheduler();
          continue;
        }
        auto& victim = living[random() % living.size()];
        const bool holds = &victim - living.data() < 3;
        c.kill(victim);
        c.run_steps(random() % 300);
        victim = c.add_node({holds ? 2u : 0u, holds ? 0u : 1u});
      }
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
    }
}

TEST_CASE("LEASES: an idle worker computes a straggler's batches too, and the first push wins") {
  auto j = longer_job(scheduler::consistency::async(), 2);
  j.train.epochs = 1;
  auto one_hangs = [](actors::worker_id w) -> sim_time { return w.value == 2 ? 100s : 10ms; };
  recorded_cluster c(options_for(j, 1, {{3, 0}, {3, 0}, {0, 4}}, one_hangs));
  REQUIRE(c.run(ever));
  CHECK(c.now() < 30s); // its leases alone last for two minutes
  check_exact_and_history(c, j);
}

TEST_CASE("CHECK-3: a worker that hung and left the clocks still reads its own writes") {
  for (const auto& mode : {scheduler::consistency::ssp(2), scheduler::consistency::async()})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode, 2);
      auto stuck = [](actors::worker_id w) -> sim_time { return w.value == 0 ? 1300ms : 400ms; };
      j.train.lease_timeout_seconds = 1;
      recorded_cluster c(options_for(j, seed, {{3, 0}, {3, 0}, {0, 4}}, stuck));
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
    }
}

} // namespace troupe::chaos
