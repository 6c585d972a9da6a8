#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr worker_id w0{0}, w1{1};
constexpr node_id n0{0}, n1{1};
constexpr shard_id s0{0}, s1{1};

/// SCHED-8, over a list of orders: every view that a node is sent is in the journal by then.
bool views_are_saved_first(const order_list& orders) {
  std::map<shard_id, view_number> saved;
  for (const auto& o : orders) {
    if (const auto* save = std::get_if<orders::save_views>(&o))
      for (const auto& [shard, view] : save->views) saved[shard] = view.number;
    if (const auto* send = std::get_if<orders::send_view>(&o))
      if (!saved.contains(send->shard) || saved.at(send->shard) < send->view.number) return false;
  }
  return true;
}

} // namespace

// -- SCHED-8 --------------------------------------------------------------------------------------

TEST_CASE("SCHED-8: a view is in the journal before any node is told of it") {
  coordinator_stage s{coordinator_stage::job(2)};
  s.join(3, 2, 1);
  auto said = s.settle();
  CHECK(count_of<orders::send_view>(said) == 2);
  CHECK(views_are_saved_first(said));
  // A loss, a learner for each shard that lost a replica, and the learner's promotion.
  s.decisions->connection_closed(n0, true, "it ended", s.now);
  said = s.settle();
  CHECK(count_of<orders::place_learner>(said) > 0);
  for (auto shard : {s0, s1}) {
    const auto& view = s.decisions->replicas().views().view(shard);
    if (view.learner) s.decisions->caught_up(shard, view.number, *view.learner, s.now);
  }
  const auto more = s.settle();
  CHECK(count_of<orders::send_view>(more) > 0);
  CHECK(views_are_saved_first(said));
  CHECK(views_are_saved_first(more));
}

TEST_CASE("SCHED-8: while replicas wait for the images of a checkpoint, the journal names none") {
  auto o = coordinator_stage::job();
  o.checkpoints.kept = true;
  auto s = training(2, o);
  s.stored = loaded_checkpoint{3, 0, set_of(o.plan, {{0, 0}})};
  s.decisions->role_failed({n0, false, 0, "shard 0 failed"}, s.now);
  s.decisions->role_failed({n0, false, 1, "shard 1 failed"}, s.now);
  s.decisions->role_failed({n1, false, 1, "shard 1 failed"}, s.now);
  const auto said = s.settle();
  REQUIRE(s.phase() == "training");
  std::map<shard_id, bool> names_replicas;
  bool sent_before_images = false, images = false;
  for (const auto& order : said) {
    if (const auto* save = std::get_if<orders::save_views>(&order))
      for (const auto& [shard, view] : save->views) names_replicas[shard] = !view.chain.empty();
    if (std::holds_alternative<orders::place_workers>(order)) images = true;
    if (std::holds_alternative<orders::send_view>(order) && !images) {
      sent_before_images = true;
      CHECK_FALSE(names_replicas[s0]);
      CHECK_FALSE(names_replicas[s1]);
    }
  }
  CHECK(sent_before_images);
  CHECK(names_replicas[s0]);
  CHECK(names_replicas[s1]);
}

// -- SCHED-10 -------------------------------------------------------------------------------------

TEST_CASE(
    "SCHED-10: all replicas of a shard are lost: the run goes back to the checkpoint, with new "
    "workers, and leases exactly what not every shard has") {
  auto o = coordinator_stage::job();
  o.checkpoints.kept = true;
  o.leases.lease_ahead = 100;
  auto s = training(3, o);
  s.stored = loaded_checkpoint{3, 0, set_of(o.plan, {{0, 0}, {0, 2}, {1, 1}})};
  s.decisions->connection_closed(n0, true, "it ended", s.now);
  auto said = s.settle();
  REQUIRE(s.phase() == "training");
  CHECK(count_of<orders::went_back>(said) == 2);
  CHECK(first_of<orders::went_back>(said) < first_of<orders::clear_roles>(said));
  const auto cleared = all_of<orders::clear_roles>(said);
  REQUIRE(cleared.size() == 2); // of all nodes that are left
  for (const auto& r : all_of<orders::place_replicas>(said)) CHECK(r.empty);
  CHECK(count_of<orders::send_images>(said) == 1);
  for (const auto& r : all_of<orders::place_workers>(said))
    for (auto worker : r.workers) CHECK(worker.value >= 2);
  CHECK_FALSE(s.decisions->desk().knows(w0));
  std::set<batch_id> expected;
  for (std::uint32_t e = 0; e < 2; ++e)
    for (std::uint32_t i = 0; i < 6; ++i) expected.insert({e, i});
  for (auto b : {batch_id{0, 0}, batch_id{0, 2}, batch_id{1, 1}}) expected.erase(b);
  CHECK(leased(said) == expected);
  // What an earlier worker reports does not count.
  s.done(w1, {0, 1});
  CHECK(s.decisions->progress().batches_done() == 3);
}

TEST_CASE("SCHED-10: without a checkpoint the run begins again from the start") {
  auto s = training(3, coordinator_stage::job());
  for (std::uint32_t i = 0; i < 2; ++i) s.done(w0, {0, i});
  s.settle();
  const auto primary = *s.decisions->replicas().primary(s0).node;
  s.decisions->connection_closed(primary, true, "it ended", s.now);
  const auto said = s.settle();
  REQUIRE(s.phase() == "training");
  const auto began = all_of<orders::training_began>(said);
  REQUIRE(began.size() == 1);
  CHECK(began[0].checkpoint == 0);
  CHECK(began[0].completed == 0);
  CHECK(s.decisions->progress().batches_done() == 0);
  CHECK(leased(said).contains({0, 0}));
}

TEST_CASE("SCHED-10: answers of before the run went back have no effect") {
  auto s = training(2, coordinator_stage::job());
  s.decisions->role_failed({n0, true, 0, "worker 0 failed"}, s.now);
  const auto asked = all_of<orders::add_workers>(s.decisions->take_orders());
  REQUIRE(asked.size() == 1);
  const auto primary = *s.decisions->replicas().primary(s0).node;
  s.decisions->role_failed({primary, false, 0, "shard 0 failed"}, s.now);
  s.settle();
  REQUIRE(s.phase() == "training");
  CHECK_FALSE(s.decisions->workers_added(asked[0], 1, s.now));
  CHECK_FALSE(s.decisions->desk().knows(asked[0].workers[0]));
  s.decisions->epoch_reported(0, 0, s.now);
  CHECK(s.settle().empty());
}

TEST_CASE("SCHED-10: after a while the run goes on with fewer replicas and workers than it had") {
  auto s = training(2, coordinator_stage::job(2, 2));
  s.decisions->connection_closed(n1, true, "it ended", s.now);
  s.settle();
  s.decisions->role_failed({n0, false, 0, "shard 0 failed"}, s.now);
  s.settle();
  CHECK(s.phase() == "gathering");
  s.now += 3s;
  s.decisions->tick(s.now);
  s.settle();
  CHECK(s.phase() == "training");
  CHECK(s.decisions->desk().workers().size() == 1);
}
