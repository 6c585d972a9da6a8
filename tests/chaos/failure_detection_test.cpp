// A node that hangs, and one that comes back, on virtual time.
#include <catch2/catch.hpp>

#include "recorded_cluster.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;

namespace {

void run_until(recorded_cluster& c, sim_time time) {
  c.run_until([&] { return c.now() >= time; });
  REQUIRE_FALSE(c.result());
}

bool run_until_lost(recorded_cluster& c) {
  c.run_until([&] { return !notices(c, notice_event::kind::node_lost).empty(); });
  return !notices(c, notice_event::kind::node_lost).empty();
}

const auto half_second = [](actors::worker_id) -> sim_time { return 500ms; };

} // namespace

TEST_CASE("SCHED-6: a worker's node that hangs is lost within 2 s, and costs nothing but time") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4)})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode);
      recorded_cluster c(options_for(j, seed, {{3, 1}, {0, 2}, {0, 1}}, half_second));
      run_until(c, 1s + seed * 137ms); // any instant between two heartbeats
      const auto stopped_at = c.now();
      c.stop(1);
      REQUIRE(run_until_lost(c));
      const auto noticed_after = c.now() - stopped_at;
      CHECK(noticed_after > 1s);
      CHECK(noticed_after < 2s);
      CHECK_THAT(notices(c, notice_event::kind::node_lost).at(0),
                 Catch::Contains("was lost (silent for 1") && Catch::Contains(" ms)"));
      CHECK(notices(c, notice_event::kind::worker_lost).size() == 2);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
    }
}

TEST_CASE("SCHED-6, SCHED-10: the only replica's node hangs, and the run begins again on another") {
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{1, 0}, {3, 0}, {0, 4}}, half_second));
  run_until(c, 3s);
  c.stop(0);
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
  auto told = notices(c, notice_event::kind::warning);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::Contains("has lost all its replicas"));
  CHECK(notices(c, notice_event::kind::started).size() == 2);
}

TEST_CASE("a node that hangs before its roles are placed is not counted on") {
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{3, 2}, {0, 2}, {0, 2}}));
  c.stop(2); // it never even says hello
  c.stop(1);
  run_until(c, 5s);
  c.go_on(1);
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
}

TEST_CASE("SCHED-7, NODE-4: a lost node that comes back is told so and joins again as another") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4)})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = longer_job(mode);
      recorded_cluster c(options_for(j, seed, {{3, 1}, {0, 2}, {0, 1}}, half_second));
      run_until(c, 1s + seed * 137ms);
      c.stop(1);
      REQUIRE(run_until_lost(c));
      run_until(c, c.now() + seed * 150ms);
      c.go_on(1);
      REQUIRE(c.run(ever));
      check_exact_and_history(c, j);
      CHECK(notices(c, notice_event::kind::node_lost).size() == 1);
      CHECK(notices(c, notice_event::kind::node_joined).size() == 4);
    }
}

TEST_CASE("SCHED-7: a failure that a lost node reports does not end the run") {
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{3, 2}, {0, 2}}, half_second));
  run_until(c, 1s);
  c.stop(1);
  // As a child's report: waits in the node's mailbox, and is passed on before the node hears more.
  caf::anon_send(c.node_root(1), actors::actor_failed{"worker 2 failed: late"});
  REQUIRE(run_until_lost(c));
  c.go_on(1);
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
}

TEST_CASE("a stop of 1 s, and a wait of 1 s for the processor, is no loss") {
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{3, 2}, {0, 2}}, half_second));
  for (int i = 0; i < 3; ++i) {
    run_until(c, c.now() + 600ms);
    c.stop(1);
    run_until(c, c.now() + 1s);
    c.go_on(1);
  }
  REQUIRE(c.run(ever));
  check_exact_and_history(c, j);
  CHECK(notices(c, notice_event::kind::node_lost).empty());
}

TEST_CASE("AWAKE-1: a scheduler that did not run for 8 s takes nobody for lost, nor is it") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    auto j = longer_job(scheduler::consistency::async());
    recorded_cluster c(options_for(j, seed, {{3, 2}, {0, 2}}, half_second));
    run_until(c, 2s + seed * 17ms); // a look comes next, or a heartbeat
    c.stop_scheduler();
    c.run_until([&] { return c.now() >= 10s; });
    c.scheduler_goes_on();
    REQUIRE(c.run(ever));
    check_exact_and_history(c, j);
    CHECK(notices(c, notice_event::kind::node_lost).empty());
  }
}

TEST_CASE("PULSE-2: nodes give up a scheduler that is silent for a minute") {
  auto j = longer_job(scheduler::consistency::async());
  recorded_cluster c(options_for(j, 1, {{3, 2}, {0, 2}}, half_second));
  run_until(c, 2s);
  c.stop_scheduler();
  c.run_until([&] { return c.node_end(0) && c.node_end(1); });
  for (std::size_t node : {0, 1}) {
    REQUIRE(c.node_end(node));
    CHECK_THAT(c.node_end(node)->error, Catch::StartsWith("the scheduler was lost (silent for 60"));
  }
  CHECK(c.now() >= 61750ms);
  CHECK(c.now() <= 62500ms);
}

TEST_CASE("PULSE-2: a node that was stopped for longer than that asks before it gives up") {
  auto j = longer_job(scheduler::consistency::async());
  j.train.epochs = 100;
  recorded_cluster c(options_for(j, 1, {{3, 2}, {0, 2}}, half_second));
  run_until(c, 2s);
  c.stop(1);
  run_until(c, 90s);
  c.go_on(1);
  c.run_until([&] { return notices(c, notice_event::kind::node_joined).size() == 3; });
  CHECK_FALSE(c.node_end(1));
}

} // namespace troupe::chaos
