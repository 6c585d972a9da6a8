#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr worker_id w1{1};
constexpr node_id n0{0}, n1{1}, n2{2};
constexpr shard_id s0{0}, s1{1};

} // namespace

// -- SCHED-6 --------------------------------------------------------------------------------------

TEST_CASE("SCHED-6: a node is lost at once when its connection closed and its process has ended") {
  auto s = training(2, coordinator_stage::job(2));
  s.decisions->connection_closed(n1, true, "its connection closed", s.now);
  CHECK(count_of<orders::node_lost>(s.settle()) == 1);
  CHECK_FALSE(s.decisions->members().contains(n1));
}

TEST_CASE("SCHED-6: a node that may still run is lost when its read lease has run out, unless it "
          "comes back") {
  for (const bool back : {false, true}) {
    INFO("comes back: " << back);
    auto s = training(2, coordinator_stage::job(2));
    s.decisions->heard(n1, s.now);
    s.now += 250ms;
    REQUIRE(s.decisions->asks_whether_ended(n1, s.now));
    s.decisions->connection_closed(n1, false, "its connection closed", s.now);
    const auto waits = all_of<orders::suspect>(s.settle());
    REQUIRE(waits.size() == 1);
    CHECK(waits[0].after == 1000ms);
    CHECK(s.decisions->members().contains(n1));
    if (back) s.come_back({n1, 2, 1}, {s0, s1}, {{w1, 0, {}}});
    s.settle();
    s.now += waits[0].after;
    s.decisions->still_suspected(n1, waits[0].connection, s.now);
    CHECK(s.decisions->members().contains(n1) == back);
  }
}

TEST_CASE("SCHED-6: a closed connection of a node whose read lease has run out loses it at once") {
  auto s = training(2, coordinator_stage::job(2));
  s.decisions->heard(n1, s.now);
  s.now += 1250ms;
  CHECK_FALSE(s.decisions->asks_whether_ended(n1, s.now));
  s.decisions->connection_closed(n1, false, "its connection closed", s.now);
  CHECK_FALSE(s.decisions->members().contains(n1));
}

TEST_CASE("SCHED-6: a silent node is lost, and time in which the scheduler did not run does not "
          "count") {
  auto s = training(2, coordinator_stage::job(2));
  s.now += 1h; // the scheduler was stopped
  s.decisions->look(s.now);
  CHECK(s.decisions->members().contains(n1));
  for (int i = 0; i < 30; ++i) {
    s.now += 100ms;
    s.decisions->heard(n0, s.now);
    s.decisions->look(s.now);
  }
  const auto said = s.settle();
  CHECK_FALSE(s.decisions->members().contains(n1));
  CHECK(s.decisions->members().contains(n0));
  REQUIRE(lines_of(said, notice_kind::node_lost).size() == 1);
  CHECK(lines_of(said, notice_kind::node_lost)[0].find("silent for") != std::string::npos);
}

// -- SCHED-7 --------------------------------------------------------------------------------------

TEST_CASE("SCHED-7: a lost node is told so, and nothing that it or its workers say counts") {
  auto s = training(3, coordinator_stage::job(2, 3));
  const auto workers = s.decisions->desk().on(n2);
  REQUIRE(workers.size() == 1);
  const auto held = s.decisions->desk().leases().held_by(workers[0]);
  REQUIRE(held.size() == 2);
  s.decisions->connection_closed(n2, true, "its connection closed", s.now);
  s.settle();
  const auto answer = s.decisions->heard(n2, s.now);
  CHECK_FALSE(answer.seen);
  CHECK(answer.lost == std::optional<std::string>("its connection closed"));
  CHECK(s.decisions->heard(node_id{77}, s.now).lost ==
        std::optional<std::string>("node 77 is no member"));

  const auto done = s.decisions->progress().batches_done();
  s.done(workers[0], held[0]);
  s.decisions->actor_failed(n2, "node 2 failed", s.now);
  s.decisions->role_failed({n2, true, 0, "worker 0 failed"}, s.now);
  CHECK(s.come_back({n2, 2, 1}, {}, {}).has_value());
  CHECK(s.settle().empty());
  CHECK(s.decisions->progress().batches_done() == done);
  CHECK(s.phase() == "training");
}

TEST_CASE(
    "SCHED-7: a failure that a lost node reports does not end the run of the one that is left") {
  auto s = training(2, coordinator_stage::job(2));
  s.decisions->connection_closed(n1, true, "its connection closed", s.now);
  s.settle();
  s.decisions->actor_failed(n1, "out of memory", s.now);
  CHECK(s.settle().empty());
  s.decisions->actor_failed(n0, "out of memory", s.now); // there is no other node to go on with
  CHECK(all_of<orders::hand_over_result>(s.settle()).at(0).error == "out of memory");
}

// -- SCHED-9 --------------------------------------------------------------------------------------

TEST_CASE(
    "SCHED-9, LEASE-2: a drained primary is relieved when the read lease of its last answered "
    "heartbeat has run out") {
  auto s = training(3, coordinator_stage::job(2));
  const auto primary = *s.decisions->replicas().primary(s0).node;
  s.decisions->heard(primary, s.now);
  CHECK_FALSE(s.decisions->drain(primary, s.now).has_value());
  s.settle();
  for (auto shard : {s0, s1}) {
    const auto& view = s.decisions->replicas().views().view(shard);
    if (view.learner) s.decisions->caught_up(shard, view.number, *view.learner, s.now);
  }
  // Its worker has nothing more to do.
  for (const auto& [worker, w] : std::map(s.decisions->desk().workers()))
    if (w.node == primary)
      for (auto batch : s.decisions->desk().leases().held_by(worker)) s.done(worker, batch);
  auto said = s.settle();
  CHECK_FALSE(s.decisions->heard(primary, s.now + 100ms).seen); // not extended any more
  const auto until = s.now + 1250ms;
  for (s.now += 100ms; s.now < until; s.now += 100ms) {
    for (auto other : {n0, n1, n2})
      if (other != primary) s.decisions->heard(other, s.now);
    s.decisions->look(s.now);
    said = s.settle();
    CHECK(count_of<orders::send_view>(said) == 0);
    CHECK(count_of<orders::stop_node>(said) == 0);
  }
  s.now = until;
  s.decisions->look(s.now);
  said = s.settle();
  CHECK(count_of<orders::stop_node>(said) == 1);
  REQUIRE(count_of<orders::send_view>(said) > 0);
  for (const auto& view : all_of<orders::send_view>(said))
    CHECK(std::ranges::count(view.view.chain, primary) == 0);
}

TEST_CASE("SCHED-9: a node that has to stay after all is answered again") {
  auto s = training(3, coordinator_stage::job(2));
  const auto primary = *s.decisions->replicas().primary(s0).node;
  REQUIRE_FALSE(s.decisions->drain(primary, s.now).has_value());
  s.settle();
  for (auto shard : {s0, s1}) {
    const auto& view = s.decisions->replicas().views().view(shard);
    if (view.learner) s.decisions->caught_up(shard, view.number, *view.learner, s.now);
  }
  for (const auto& [worker, w] : std::map(s.decisions->desk().workers()))
    if (w.node == primary)
      for (auto batch : s.decisions->desk().leases().held_by(worker)) s.done(worker, batch);
  s.settle();
  REQUIRE_FALSE(s.decisions->heard(primary, s.now).seen);
  const auto other = primary == n1 ? n2 : n1;
  s.decisions->connection_closed(other, true, "it ended", s.now);
  s.decisions->look(s.now);
  CHECK(s.decisions->heard(primary, s.now).seen);
}

TEST_CASE("a drain that cannot end is refused, and the reason says why") {
  auto s = training(2, coordinator_stage::job(2));
  CHECK(s.decisions->drain(n0, s.now)->find("nowhere to go") != std::string::npos);
  auto alone = training(1, coordinator_stage::job(1, 1));
  CHECK(alone.decisions->drain(n0, s.now)->find("nothing would be left") != std::string::npos);
  coordinator_stage early{coordinator_stage::job()};
  early.join(1, 2, 1);
  CHECK(early.decisions->drain(n0, s.now)->find("while the job trains") != std::string::npos);
}

// -- SCHED-12 -------------------------------------------------------------------------------------

TEST_CASE(
    "SCHED-12: a node that comes back over another connection is given anew whatever it lacks") {
  auto s = training(2, coordinator_stage::job(2));
  REQUIRE(s.decisions->desk().leases().held_count(w1) == 2);
  // One of its two leases never arrived.
  const auto held = s.decisions->desk().leases().held_by(w1);
  s.come_back({n1, 2, 1}, {s0, s1}, {{w1, 0, {held[0]}}});
  const auto said = s.settle();
  std::set<shard_id> told;
  for (const auto& v : all_of<orders::send_view>(said)) {
    CHECK(v.only == n1);
    told.insert(v.shard);
  }
  CHECK(told == std::set{s0, s1});
  CHECK(count_of<orders::lease_returned>(said) == 2);
  REQUIRE(count_of<orders::lease_adopted>(said) == 1);
  CHECK(all_of<orders::lease_adopted>(said)[0].batch == held[0]);
  CHECK(leased(said).contains(held[1])); // given anew, to any worker
}

TEST_CASE("SCHED-12: roles that failed while the connection was broken are placed anew") {
  auto s = training(3, coordinator_stage::job(2));
  const auto holds = s.decisions->replicas().on(n1);
  REQUIRE_FALSE(holds.empty());
  const bool had_worker = !s.decisions->desk().on(n1).empty();
  s.come_back({n1, 2, 1}, {}, {});
  const auto said = s.settle();
  CHECK(count_of<orders::report_failure>(said) == holds.size() + (had_worker ? 1 : 0));
  CHECK(count_of<orders::place_learner>(said) > 0);
  CHECK(count_of<orders::add_workers>(said) == (had_worker ? 1 : 0));
}

TEST_CASE("SCHED-12: a node that comes back while it was given a role joins again") {
  auto s = training(2, coordinator_stage::job(2));
  s.decisions->role_failed({n1, true, 1, "worker 1 failed"}, s.now);
  REQUIRE(count_of<orders::add_workers>(s.decisions->take_orders()) == 1);
  const auto refused = s.come_back({n1, 2, 1}, {s0, s1}, {});
  REQUIRE(refused.has_value());
  CHECK(refused->find("join again") != std::string::npos);
  CHECK_FALSE(s.decisions->members().contains(n1));
}

// -- failures -------------------------------------------------------------------------------------

TEST_CASE("a failure before training fails the run, one while training loses the node") {
  coordinator_stage early{coordinator_stage::job()};
  early.join(2, 2, 1);
  early.settle();
  auto s = training(3, coordinator_stage::job(2));
  s.decisions->actor_failed(n2, "out of memory", s.now);
  CHECK(lines_of(s.settle(), notice_kind::node_lost).at(0) ==
        "node 2 was lost (it failed: out of memory)");
  coordinator_stage gathering{coordinator_stage::job()};
  gathering.join(1, 2, 1);
  gathering.settle();
  gathering.decisions->actor_failed(n0, "out of memory", gathering.now);
  CHECK(all_of<orders::hand_over_result>(gathering.settle()).at(0).error == "out of memory");
}

TEST_CASE("failures that come too often end the run with the first of them") {
  auto o = coordinator_stage::job(2);
  o.failures = {2, 1min};
  auto s = training(3, o);
  for (int i = 0; i < 3; ++i) {
    const auto workers = s.decisions->desk().workers();
    REQUIRE_FALSE(workers.empty());
    const auto& [worker, w] = *workers.begin();
    s.decisions->role_failed({w.node, true, worker.value, "cause " + std::to_string(i)}, s.now);
    const auto said = s.settle();
    CHECK((count_of<orders::hand_over_result>(said) == 1) == (i == 2));
    if (i == 2)
      CHECK(all_of<orders::hand_over_result>(said)[0].error.ends_with(
          "the first was: worker 0 failed: cause 0"));
  }
}

TEST_CASE("a replica that differs from the one before it is replaced") {
  auto s = training(3, coordinator_stage::job(2));
  const auto view = s.decisions->replicas().views().view(s0);
  REQUIRE(view.chain.size() == 2);
  s.decisions->diverged(s0, view_number{99}, view.chain[1], s.now);
  CHECK(s.settle().empty());
  s.decisions->diverged(s0, view.number, view.chain[1], s.now);
  const auto said = s.settle();
  CHECK(all_of<orders::drop_replica>(said).at(0).node == view.chain[1]);
  CHECK(count_of<orders::place_learner>(said) == 1);
}

// -- spare offers ---------------------------------------------------------------------------------

TEST_CASE("a lost worker is replaced by a spare offer, up to the number of the job") {
  auto s = training(4, coordinator_stage::job(2, 2)); // 4 offers of a worker for 2
  const auto workers = [&] { return s.decisions->desk().workers().size(); };
  REQUIRE(workers() == 2);
  s.decisions->tick(s.now);
  CHECK(count_of<orders::add_workers>(s.settle()) == 0);
  std::vector<node_id> holders;
  for (const auto& [id, w] : s.decisions->desk().workers()) holders.push_back(w.node);
  for (auto node : holders) s.decisions->connection_closed(node, true, "it ended", s.now);
  s.settle();
  s.decisions->tick(s.now);
  s.settle();
  for (int i = 0; i < 3; ++i) {
    s.decisions->tick(s.now);
    s.settle();
  }
  CHECK(s.phase() == "training");
  CHECK(workers() == 2);
}
