// How a run is stopped (SCHED-14), and how a node whose process was asked to end leaves (SCHED-15).
#include "troupe/scheduler/coordinator.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr worker_id w0{0}, w1{1};
constexpr node_id n0{0}, n1{1}, n2{2};

coordinator_options with_checkpoints(consistency mode = consistency::async()) {
  auto o = coordinator_stage::job(2);
  o.mode = mode;
  o.checkpoints = {.kept = true};
  return o;
}

// The batches that the workers hold, in no order that a mode could rely on.
order_list complete_all(coordinator_stage& s) {
  order_list all;
  for (bool any = true; any;) {
    any = false;
    for (auto worker : {w1, w0})
      for (auto batch : s.decisions->desk().leases().held_by(worker)) {
        any = true;
        s.done(worker, batch);
        const auto said = s.settle();
        all.insert(all.end(), said.begin(), said.end());
      }
  }
  return all;
}

orders::hand_over_result result_in(const order_list& said) {
  const auto results = all_of<orders::hand_over_result>(said);
  REQUIRE(results.size() == 1);
  return results[0];
}

} // namespace

TEST_CASE(
    "SCHED-14: a stopped run ends when it has its parameters and a checkpoint, in any order") {
  auto s = training(2, with_checkpoints());
  s.decisions->stop(s.now);
  s.settle();
  const auto said = complete_all(s);
  REQUIRE(count_of<orders::evaluate>(said) == 1);
  REQUIRE(count_of<orders::open_checkpoint>(said) == 1);
  CHECK(count_of<orders::take_image>(said) == 2);
  SECTION("the parameters first") {
    s.decisions->snapshot_taken(s.now);
    CHECK(count_of<orders::hand_over_result>(s.settle()) == 0);
    s.decisions->checkpoint_ended({1, 4}, "", s.now);
  }
  SECTION("the checkpoint first") {
    s.decisions->checkpoint_ended({1, 4}, "", s.now);
    CHECK(count_of<orders::hand_over_result>(s.settle()) == 0);
    s.decisions->snapshot_taken(s.now);
  }
  SECTION("a disk that is full ends the run as well") {
    s.decisions->checkpoint_ended({1, 0}, "no space left", s.now);
    s.decisions->snapshot_taken(s.now);
  }
  const auto result = result_in(s.settle());
  CHECK(result.outcome == run_outcome::interrupted);
  CHECK(result.with_parameters);
  CHECK(result.batches_done == 4);
}

TEST_CASE("SCHED-14: the checkpoint of a stopped run in bsp is of whole steps") {
  // Steps of 4 batches, 2 in the last of an epoch. The workers hold 2 batches each.
  auto s = training(2, with_checkpoints(consistency::bsp(4)));
  SECTION("a step that was begun is completed") {
    s.done(w0, {0, 0});
    s.settle(); // w0 got the first batch of step 1
    s.decisions->stop(s.now);
    const auto more = leased(s.settle());
    CHECK(more == std::set<batch_id>{}); // all hold as much as they may
    const auto said = complete_all(s);
    CHECK(leased(said) == std::set<batch_id>{{0, 5}});
    REQUIRE(count_of<orders::open_checkpoint>(said) == 1);
    CHECK(all_of<orders::open_checkpoint>(said)[0].step == 2);
    CHECK(s.decisions->progress().batches_done() == 6);
  }
  SECTION("no step is begun") {
    s.decisions->stop(s.now);
    s.settle();
    const auto said = complete_all(s);
    CHECK(leased(said).empty());
    CHECK(all_of<orders::open_checkpoint>(said).at(0).step == 1);
  }
  SECTION("a batch of a worker that is lost meanwhile goes to another") {
    s.decisions->stop(s.now);
    s.settle();
    s.decisions->role_failed({n1, true, 1, "it broke"}, s.now);
    CHECK(leased(s.settle()) == std::set<batch_id>{{0, 1}, {0, 3}});
    CHECK(all_of<orders::open_checkpoint>(complete_all(s)).at(0).step == 1);
  }
  SECTION("a worker that stands still leaves no checkpoint of half a step") {
    s.decisions->stop(s.now);
    s.settle();
    s.decisions->stop_timeout(s.now);
    CHECK(count_of<orders::open_checkpoint>(s.settle()) == 0);
    s.decisions->snapshot_taken(s.now);
    CHECK(result_in(s.settle()).outcome == run_outcome::interrupted);
  }
}

TEST_CASE("SCHED-14: a checkpoint that is under way is finished, and then one of now is taken") {
  auto o = with_checkpoints();
  o.checkpoints.every_batches = 1;
  auto s = training(2, o);
  s.done(w0, {0, 0});
  s.settle();
  s.decisions->tick(s.now);
  REQUIRE(count_of<orders::open_checkpoint>(s.settle()) == 1);
  s.decisions->stop(s.now);
  auto said = complete_all(s);
  CHECK(count_of<orders::open_checkpoint>(said) == 0);
  s.decisions->checkpoint_ended({1, 1}, "", s.now);
  said = s.settle();
  REQUIRE(count_of<orders::open_checkpoint>(said) == 1);
  CHECK(all_of<orders::open_checkpoint>(said)[0].number == 2);
}

TEST_CASE("SCHED-14: a new view while a run stops: the checkpoint is begun again") {
  auto s = training(3, with_checkpoints());
  s.decisions->stop(s.now);
  s.settle();
  REQUIRE(count_of<orders::open_checkpoint>(complete_all(s)) == 1);
  s.decisions->connection_closed(n0, true, "it ended", s.now);
  CHECK(count_of<orders::give_up_checkpoint>(s.settle()) == 1);
  s.decisions->checkpoint_ended({1, 0}, "it was given up", s.now);
  CHECK(count_of<orders::open_checkpoint>(s.settle()) == 1);
  s.decisions->snapshot_taken(s.now);
  CHECK(count_of<orders::hand_over_result>(s.settle()) == 0);
  s.decisions->checkpoint_ended({2, 4}, "", s.now);
  CHECK(result_in(s.settle()).with_parameters);
}

TEST_CASE("SCHED-14: a checkpoint that does not end holds a stopped run up for a while only") {
  auto s = training(2, with_checkpoints());
  s.decisions->stop(s.now);
  s.settle();
  complete_all(s);
  s.decisions->snapshot_taken(s.now);
  int waits = 0;
  for (; waits < 20; ++waits) {
    s.decisions->stop_timeout(s.now);
    if (count_of<orders::hand_over_result>(s.settle()) > 0) break;
  }
  CHECK(waits == 3);
}

TEST_CASE("SCHED-14: a run that has lost its shards ends as interrupted, without parameters") {
  auto s = training(2, with_checkpoints());
  const auto lose_all = [&] {
    s.decisions->connection_closed(n0, true, "it ended", s.now);
    s.decisions->connection_closed(n1, true, "it ended", s.now);
  };
  SECTION("stopped before") {
    s.decisions->stop(s.now);
    lose_all();
  }
  SECTION("stopped afterwards") {
    lose_all();
    s.decisions->stop(s.now);
  }
  const auto result = result_in(s.settle());
  CHECK(result.outcome == run_outcome::interrupted);
  CHECK_FALSE(result.with_parameters);
}

TEST_CASE("SCHED-14: a scheduler that is stopped right after its restart waits for its nodes") {
  coordinator_stage s{with_checkpoints()};
  known_run known;
  known.next_node = 1;
  known.next_worker = 2;
  known.nodes = {{n0, 2, 2}};
  for (std::uint32_t shard = 0; shard < 2; ++shard)
    known.views.push_back({view_number{1}, {n0}, {}});
  s.decisions->take_up(known, s.now);
  s.settle();
  s.decisions->stop(s.now);
  CHECK(count_of<orders::hand_over_result>(s.settle()) == 0);
  SECTION("and saves what they have") {
    s.applied.assign(2, set_of(s.options.plan, {{0, 0}}));
    s.come_back({n0, 2, 2}, {shard_id{0}, shard_id{1}}, {{w0, 1, {{0, 1}}}});
    s.settle();
    CHECK(s.phase() == "draining");
    s.done(w0, {0, 1});
    CHECK(count_of<orders::open_checkpoint>(s.settle()) == 1);
  }
  SECTION("for a while") {
    s.decisions->stop_timeout(s.now);
    CHECK(result_in(s.settle()).outcome == run_outcome::interrupted);
  }
}

TEST_CASE("SCHED-15: a node that was asked to end is drained where its replicas have a place") {
  auto s = training(3, with_checkpoints());
  s.decisions->leave_asked(n2, s.now);
  const auto said = s.settle();
  CHECK(s.decisions->members().is_leaving(n2));
  CHECK(count_of<orders::open_checkpoint>(said) == 0);
}

TEST_CASE("SCHED-15: a node whose roles have no other place ends after a checkpoint") {
  auto s = training(2, with_checkpoints());
  s.decisions->leave_asked(n1, s.now);
  s.decisions->leave_asked(n1, s.now); // asked twice is asked once
  CHECK(count_of<orders::stop_node>(s.settle()) == 0);
  s.decisions->tick(s.now);
  REQUIRE(count_of<orders::open_checkpoint>(s.settle()) == 1);
  SECTION("that is whole") {
    s.decisions->checkpoint_ended({1, 0}, "", s.now);
    const auto stopped = all_of<orders::stop_node>(s.settle());
    REQUIRE(stopped.size() == 1);
    CHECK(stopped[0].node == n1);
  }
  SECTION("after another one, if the first fails") {
    s.decisions->checkpoint_ended({1, 0}, "no space left", s.now);
    CHECK(count_of<orders::stop_node>(s.settle()) == 0);
    s.decisions->tick(s.now);
    CHECK(count_of<orders::open_checkpoint>(s.settle()) == 1);
  }
  SECTION("but with the run, if that stops meanwhile") {
    s.decisions->stop(s.now);
    complete_all(s);
    s.decisions->snapshot_taken(s.now);
    s.decisions->checkpoint_ended({1, 0}, "", s.now);
    const auto said = s.settle();
    CHECK(count_of<orders::open_checkpoint>(said) == 1); // of now
  }
}

TEST_CASE("SCHED-15: no role is placed on a node that was asked to end") {
  coordinator_stage s{with_checkpoints()};
  s.join(2, 2, 1);
  s.decisions->leave_asked(n1, s.now);
  const auto said = s.settle();
  CHECK(all_of<orders::stop_node>(said).at(0).node == n1);
}

TEST_CASE("SCHED-15: a node that asks while the run stops ends with the run") {
  auto s = training(2, with_checkpoints());
  s.decisions->stop(s.now);
  s.decisions->leave_asked(n1, s.now);
  CHECK(count_of<orders::stop_node>(s.settle()) == 0);
}
