#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr worker_id w0{0}, w1{1};
constexpr node_id n0{0}, n1{1}, n2{2};
constexpr shard_id s0{0}, s1{1};

} // namespace

// -- SCHED-11 -------------------------------------------------------------------------------------

namespace {

/// A restarted scheduler, with two nodes that are expected to come back.
coordinator_stage restarted(const coordinator_options& o) {
  coordinator_stage s{o};
  known_run known;
  known.next_node = 2;
  known.next_worker = 2;
  known.nodes = {{n0, 2, 1}, {n1, 2, 1}};
  known.views = {{{4}, {n0}, {}}, {{7}, {n0}, {}}};
  known.restarts = 1;
  s.applied = {applied_set{o.plan}, applied_set{o.plan}};
  s.decisions->take_up(known, s.now);
  s.decisions->begin();
  return s;
}

} // namespace

TEST_CASE("SCHED-11: a restarted scheduler leases nothing before it knows what every shard has and "
          "every worker holds") {
  const auto o = coordinator_stage::job();
  auto s = restarted(o);
  s.applied[0] = set_of(o.plan, {{0, 0}, {0, 1}, {0, 2}});
  s.applied[1] = set_of(o.plan, {{0, 0}, {0, 2}});
  auto said = s.decisions->take_orders();
  s.decisions->tick(s.now);
  s.come_back({n0, 2, 1}, {s0, s1}, {{w0, 3, {{0, 1}, {0, 3}}}});
  CHECK(leased(s.decisions->take_orders()).empty());
  s.decisions->batch_done({w1, {0, 4}, 3, 0.5, {}}, s.now); // kept until all is known
  s.come_back({n1, 2, 1}, {}, {{w1, 2, {{0, 4}, {0, 5}}}});
  said = s.decisions->take_orders();
  const auto questions = all_of<orders::ask_applied>(said);
  REQUIRE(questions.size() == 2);
  s.decisions->applied_unknown(questions[1]); // asked once more
  CHECK(count_of<orders::ask_applied>(s.decisions->take_orders()) == 1);
  s.decisions->applied_reported(questions[0], s.applied[0], s.now);
  CHECK(s.decisions->take_orders().empty());
  s.decisions->applied_reported(questions[1], s.applied[1], s.now);
  said = s.settle();
  CHECK(s.phase() == "training");
  CHECK(first_of<orders::took_up>(said) < first_of<orders::give_leases>(said));
  CHECK(all_of<orders::took_up>(said).at(0).completed == 2); // what every shard has
  const auto& leases = s.decisions->desk().leases();
  CHECK(leases.holder({0, 1}) == w0);
  CHECK(leases.holder({0, 3}) == w0);
  CHECK(leases.holder({0, 5}) == w1);
  CHECK(leases.completed({0, 4}));
  CHECK_FALSE(leased(said).contains({0, 1}));
  CHECK_FALSE(leased(said).contains({0, 3}));
}

TEST_CASE("SCHED-11: nodes that do not come back are lost: at once when they ended, else in time") {
  auto s = restarted(coordinator_stage::job());
  s.settle();
  CHECK(s.decisions->awaited(s.now) == std::vector{n0, n1});
  s.decisions->reconcile_look({n1}, s.now);
  CHECK(s.decisions->members().absent() == std::vector{n0});
  s.now += 5s;
  CHECK(s.decisions->awaited(s.now).empty());
  s.decisions->reconcile_look({}, s.now);
  // No node is left, so no replica either.
  CHECK(s.phase() == "gathering");
}

TEST_CASE("SCHED-11: a shard without a replica after a restart takes the run back") {
  auto s = restarted(coordinator_stage::job());
  s.come_back({n0, 2, 1}, {s1}, {});
  s.come_back({n1, 2, 1}, {}, {});
  const auto said = s.settle();
  CHECK(count_of<orders::went_back>(said) == 2);
  CHECK(s.phase() == "training");
}

TEST_CASE("a restarted scheduler gives no number twice") {
  auto s = restarted(coordinator_stage::job());
  CHECK(s.decisions->node_joined(2, 1, s.now) == n2);
  coordinator_stage again{coordinator_stage::job()};
  known_run known;
  known.next_node = 5;
  known.next_worker = 9;
  known.nodes = {{node_id{4}, 2, 1}};
  again.decisions->begin_again(known);
  CHECK(all_of<orders::save_node_gone>(again.decisions->take_orders()).at(0).node == node_id{4});
  CHECK(again.decisions->node_joined(2, 1, s.now) == node_id{5});
}

TEST_CASE("a scheduler whose journal is older than the shards does not ask for dropped snapshots") {
  auto o = coordinator_stage::job();
  o.plan = batch_plan{{2, 1, 6}}; // 2 batches in each of 6 epochs
  auto s = restarted(o);          // the journal knows of no evaluated epoch
  applied_set done{o.plan};
  for (std::uint32_t e = 0; e < 4; ++e)
    for (std::uint32_t i = 0; i < 2; ++i) done.insert({e, i});
  s.applied = {done, done};
  s.come_back({n0, 2, 1}, {s0, s1}, {{w0, 3, {}}});
  s.come_back({n1, 2, 1}, {}, {{w1, 2, {}}});
  std::vector<std::uint32_t> asked;
  for (const auto& e : all_of<orders::evaluate>(s.settle())) asked.push_back(e.epoch.value());
  CHECK(asked == std::vector<std::uint32_t>{2, 3}); // the two that the shards keep
  for (auto epoch : asked) s.decisions->epoch_reported(0, epoch, s.now);
  CHECK(leased(s.settle()).contains({4, 0}));
}

TEST_CASE("SCHED-10: a scheduler that was killed before it resumed a checkpoint goes on from it") {
  auto o = coordinator_stage::job();
  o.checkpoints.kept = true; // and not told to resume: only the first scheduler was
  coordinator_stage s{o};
  s.stored = loaded_checkpoint{3, 0, set_of(o.plan, {{0, 0}, {0, 1}})};
  known_run known;
  known.next_node = 4;
  known.next_worker = 6;
  s.decisions->begin_again(known);
  s.decisions->begin();
  s.join(2, 2, 1);
  const auto said = s.settle();
  CHECK(s.phase() == "training");
  CHECK(all_of<orders::training_began>(said).at(0).checkpoint == 3);
  CHECK_FALSE(leased(said).contains({0, 0}));
  // SCHED-8: that numbers of views are given is in the journal before any is sent.
  CHECK(first_of<orders::save_views>(said) < first_of<orders::send_view>(said));
}

TEST_CASE("a run without a checkpoint is resumed from its start, but not one with a damaged one") {
  auto o = coordinator_stage::job();
  o.checkpoints.kept = true;
  o.resume = true;
  coordinator_stage s{o};
  s.decisions->begin();
  s.join(2, 2, 1);
  SECTION("none") {
    const auto said = s.settle();
    CHECK(s.phase() == "training");
    CHECK(lines_of(said, notice_kind::warning).at(0) ==
          "the run has no checkpoint yet and begins from the start");
    CHECK(leased(said).contains({0, 0}));
  }
  SECTION("a damaged one") {
    s.decisions->take_orders();
    s.decisions->checkpoint_loaded(
        {.found = {}, .refused = {"000001: checksum differs"}, .damaged = true, .error = {}},
        s.now);
    const auto said = s.settle();
    CHECK(all_of<orders::hand_over_result>(said).at(0).error ==
          "there is no complete checkpoint to go on from");
  }
}
