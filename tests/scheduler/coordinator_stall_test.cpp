// A run in which nothing moves says what it waits for.
#include "troupe/scheduler/coordinator.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

constexpr worker_id w0{0};
constexpr node_id n0{0}, n1{1};

// Ticks every half second, for so long; every line that came.
std::vector<std::string> pass(coordinator_stage& s, coordinator_stage::duration time) {
  std::vector<std::string> lines;
  for (const auto until = s.now + time; s.now < until;) {
    s.now += 500ms;
    s.decisions->tick(s.now);
    for (const auto& line : lines_of(s.settle(), notice_kind::warning)) lines.push_back(line);
  }
  return lines;
}

} // namespace

TEST_CASE("STALL-1: a run that trains says who holds batches, and where the shards are") {
  auto s = training(2, coordinator_stage::job(2));
  const auto lines = pass(s, 30s);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0],
             Contains("nothing has moved for 10 s: batches are held by worker 0 on node 0"));
  CHECK_THAT(lines[0], Contains("shard 1 is on node"));
  CHECK_THAT(s.decisions->status(s.now).waits_for, Contains("worker 1 on node 1"));
  s.done(w0, {0, 0});
  CHECK_THAT(lines_of(s.settle(), notice_kind::placed).at(0), Contains("it goes on, after 29 s"));
  CHECK(s.decisions->status(s.now).waits_for.empty());
}

TEST_CASE("STALL-1: a run that gathers says what is missing") {
  coordinator_stage s{coordinator_stage::job(2)};
  s.join(1, 2, 1);
  s.settle();
  const auto lines = pass(s, 11s);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("still missing: ") && Contains("1 more worker"));
}

TEST_CASE("STALL-1: a run whose roles are being started names the nodes that have not answered") {
  coordinator_stage s{coordinator_stage::job()};
  s.join(2, 1, 1);
  s.decisions->try_place(s.now);
  s.decisions->take_orders(); // nobody answers
  const auto lines = pass(s, 11s);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("roles are being started by node 0, node 1"));
}

TEST_CASE("STALL-1: a restarted scheduler names the nodes that it waits for") {
  auto o = coordinator_stage::job();
  o.reconcile_patience = 1min;
  coordinator_stage s{o};
  known_run known;
  known.nodes = {{n0, 2, 1}, {n1, 2, 1}};
  known.views = {{{4}, {n0}, {}}, {{7}, {n0}, {}}};
  s.decisions->take_up(known, s.now);
  s.settle();
  const auto lines = pass(s, 11s);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("waits for node 0, node 1 to come back"));
}

TEST_CASE("STALL-1: a run that waits for an evaluation says so") {
  auto s = training(2, coordinator_stage::job(2));
  for (std::uint32_t e = 0; e < 2; ++e)
    for (std::uint32_t i = 0; i < 6; ++i) s.done(w0, {e, i});
  s.settle(); // nobody evaluates
  const auto lines = pass(s, 11s);
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("before epoch 1 is evaluated"));
}

TEST_CASE("STALL-2: a job may limit how long it stands still") {
  auto o = coordinator_stage::job(2);
  o.stall.limit = 30s;
  auto s = training(2, o);
  pass(s, 29s);
  CHECK(s.phase() == "training");
  for (int i = 0; i < 4; ++i) {
    s.now += 500ms;
    s.decisions->tick(s.now);
  }
  const auto results = all_of<orders::hand_over_result>(s.settle());
  REQUIRE(results.size() == 1);
  CHECK(results[0].outcome == run_outcome::failed);
  CHECK_THAT(results[0].error, Contains("nothing has moved for 30 s: batches are held by"));
}
