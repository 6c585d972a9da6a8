// A node that hangs, and one that comes back, on virtual time.
#include <catch2/catch.hpp>

#include "virtual_cluster.hpp"

using namespace troupe;
using namespace troupe::actors;
namespace scheduler = troupe::scheduler;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> notices(const virtual_cluster& c, notice_event::kind kind) {
  std::vector<std::string> result;
  for (const auto& e : c.events())
    if (const auto* n = std::get_if<notice_event>(&e); n != nullptr && n->type == kind)
      result.push_back(n->text);
  return result;
}

void run_until(virtual_cluster& c, caf::timespan time) {
  c.run([&] { return c.now() >= time; });
  REQUIRE_FALSE(c.result());
}

bool run_until_lost(virtual_cluster& c) {
  c.run([&] { return !notices(c, notice_event::kind::node_lost).empty(); });
  return !notices(c, notice_event::kind::node_lost).empty();
}

void check_exact(const virtual_cluster& c, const job& j) {
  REQUIRE(c.result());
  INFO(c.result()->error);
  REQUIRE(c.result()->outcome == run_result::status::finished);
  const float scale = j.train.consistency.applies_on_arrival() ? 1 : 0.25f;
  CHECK(std::ranges::equal(c.result()->parameters, expected_parameters(j, j.data.samples, scale)));
  CHECK(complaints(c.check()) == "");
}

const auto half_second = [](worker_id) -> caf::timespan { return 500ms; };

} // namespace

TEST_CASE("SCHED-6: a worker's node that hangs is lost within 2 s, and costs nothing but time") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4)})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = integer_job(mode);
      virtual_cluster cluster{{j, seed, half_second, {{3, 1}, {0, 2}, {0, 1}}}};
      run_until(cluster, 1s + seed * 137ms); // any instant between two heartbeats
      const auto stopped_at = cluster.now();
      cluster.stop(1);
      REQUIRE(run_until_lost(cluster));
      const auto noticed_after = cluster.now() - stopped_at;
      CHECK(noticed_after > 1s);
      CHECK(noticed_after < 2s);
      CHECK_THAT(notices(cluster, notice_event::kind::node_lost).at(0),
                 Catch::Contains("was lost (silent for 1") && Catch::Contains(" ms)"));
      CHECK(notices(cluster, notice_event::kind::worker_lost).size() == 2);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
    }
}

TEST_CASE("SCHED-6, SCHED-10: the only replica's node hangs, and the run begins again on another") {
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, half_second, {{1, 0}, {3, 0}, {0, 4}}}};
  run_until(cluster, 3s);
  cluster.stop(0);
  REQUIRE(cluster.run());
  check_exact(cluster, j);
  auto told = notices(cluster, notice_event::kind::warning);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::Contains("has lost all its replicas"));
  CHECK(notices(cluster, notice_event::kind::started).size() == 2);
}

TEST_CASE("a node that hangs before its roles are placed is not counted on") {
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, nullptr, {{3, 2}, {0, 2}, {0, 2}}}};
  cluster.stop(2); // it never even says hello
  cluster.stop(1);
  run_until(cluster, 5s);
  cluster.go_on(1);
  REQUIRE(cluster.run());
  check_exact(cluster, j);
}

TEST_CASE("SCHED-7, NODE-4: a lost node that comes back is told so and joins again as another") {
  for (const auto& mode : {scheduler::consistency::async(), scheduler::consistency::ssp(1),
                           scheduler::consistency::bsp(4)})
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto j = integer_job(mode);
      virtual_cluster cluster{{j, seed, half_second, {{3, 1}, {0, 2}, {0, 1}}}};
      run_until(cluster, 1s + seed * 137ms);
      cluster.stop(1);
      REQUIRE(run_until_lost(cluster));
      run_until(cluster, cluster.now() + seed * 150ms);
      cluster.go_on(1);
      REQUIRE(cluster.run());
      check_exact(cluster, j);
      CHECK(notices(cluster, notice_event::kind::node_lost).size() == 1);
      CHECK(notices(cluster, notice_event::kind::node_joined).size() == 4);
    }
}

TEST_CASE("SCHED-7: a failure that a lost node reports does not end the run") {
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, half_second, {{3, 2}, {0, 2}}}};
  run_until(cluster, 1s);
  cluster.stop(1);
  // As a child's report: waits in the node's mailbox, and is passed on before the node hears more.
  caf::anon_send(cluster.nodes()[1], actor_failed{"worker 2 failed: late"});
  REQUIRE(run_until_lost(cluster));
  cluster.go_on(1);
  REQUIRE(cluster.run());
  check_exact(cluster, j);
}

TEST_CASE("a stop of 1 s, and a wait of 1 s for the processor, is no loss") {
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, half_second, {{3, 2}, {0, 2}}}};
  for (int i = 0; i < 3; ++i) {
    run_until(cluster, cluster.now() + 600ms);
    cluster.stop(1);
    run_until(cluster, cluster.now() + 1s);
    cluster.go_on(1);
  }
  REQUIRE(cluster.run());
  check_exact(cluster, j);
  CHECK(notices(cluster, notice_event::kind::node_lost).empty());
}

TEST_CASE("AWAKE-1: a scheduler that did not run for 8 s takes nobody for lost, nor is it") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    auto j = integer_job(scheduler::consistency::async());
    virtual_cluster cluster{{j, seed, half_second, {{3, 2}, {0, 2}}}};
    run_until(cluster, 2s + seed * 17ms); // a look comes next, or a heartbeat
    cluster.stop_root();
    cluster.run([&] { return cluster.now() >= 10s; });
    cluster.root_goes_on();
    REQUIRE(cluster.run());
    check_exact(cluster, j);
    CHECK(notices(cluster, notice_event::kind::node_lost).empty());
  }
}

TEST_CASE("PULSE-2: nodes give up a scheduler that is silent for a minute") {
  auto j = integer_job(scheduler::consistency::async());
  virtual_cluster cluster{{j, 1, half_second, {{3, 2}, {0, 2}}}};
  run_until(cluster, 2s);
  cluster.stop_root();
  cluster.run([&] { return cluster.node_end(0) && cluster.node_end(1); });
  for (std::size_t node : {0, 1}) {
    REQUIRE(cluster.node_end(node));
    CHECK_THAT(cluster.node_end(node)->error,
               Catch::StartsWith("the scheduler was lost (silent for 60"));
  }
  CHECK(cluster.now() >= 61750ms);
  CHECK(cluster.now() <= 62500ms);
}

TEST_CASE("PULSE-2: a node that was stopped for longer than that asks before it gives up") {
  auto j = integer_job(scheduler::consistency::async());
  j.train.epochs = 100;
  virtual_cluster cluster{{j, 1, half_second, {{3, 2}, {0, 2}}}};
  run_until(cluster, 2s);
  cluster.stop(1);
  run_until(cluster, 90s);
  cluster.go_on(1);
  cluster.run([&] { return notices(cluster, notice_event::kind::node_joined).size() == 3; });
  CHECK_FALSE(cluster.node_end(1));
}
