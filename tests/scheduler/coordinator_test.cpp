#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#include "coordinator_stage.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr worker_id w0{0}, w1{1};
constexpr node_id n0{0}, n1{1}, n2{2};

} // namespace

// -- SCHED-13, and how a run ends -----------------------------------------------------------------

TEST_CASE("SCHED-13: the result is handed over before any node is told to stop") {
  const auto ends_well = [](const order_list& said, run_outcome outcome) {
    REQUIRE(count_of<orders::hand_over_result>(said) == 1);
    CHECK(all_of<orders::hand_over_result>(said)[0].outcome == outcome);
    CHECK(count_of<orders::stop_node>(said) == 2);
    CHECK(first_of<orders::hand_over_result>(said) < first_of<orders::stop_node>(said));
    CHECK(first_of<orders::hand_over_result>(said) < first_of<orders::save_ended>(said));
    CHECK(first_of<orders::stop_node>(said) < first_of<orders::await_goodbyes>(said));
  };
  SECTION("finished") {
    auto s = training(2, coordinator_stage::job(2));
    for (std::uint32_t e = 0; e < 2; ++e)
      for (std::uint32_t i = 0; i < 6; ++i) s.done(w0, {e, i});
    const auto asked = all_of<orders::evaluate>(s.settle());
    REQUIRE(asked.size() == 2);
    s.decisions->epoch_reported(0, 0, s.now);
    CHECK(s.phase() == "training");
    s.settle();
    s.decisions->epoch_reported(0, 1, s.now);
    const auto said = s.settle();
    ends_well(said, run_outcome::finished);
    CHECK(first_of<orders::show_epoch>(said) < first_of<orders::hand_over_result>(said));
    CHECK(all_of<orders::hand_over_result>(said)[0].batches_done == 12);
  }
  SECTION("interrupted: the batches in hand are completed first") {
    auto s = training(2, coordinator_stage::job(2));
    s.decisions->stop(s.now);
    CHECK(s.phase() == "draining");
    CHECK(count_of<orders::evaluate>(s.settle()) == 0);
    for (auto worker : {w0, w1})
      for (auto batch : s.decisions->desk().leases().held_by(worker)) s.done(worker, batch);
    const auto said = s.settle();
    CHECK(leased(said).empty());
    const auto asked = all_of<orders::evaluate>(said);
    REQUIRE(asked.size() == 1);
    CHECK_FALSE(asked[0].epoch.has_value());
    s.decisions->snapshot_taken(s.now);
    ends_well(s.settle(), run_outcome::interrupted);
  }
  SECTION("failed") {
    auto s = training(2, coordinator_stage::job(2));
    s.decisions->batch_done({w0, {0, 0}, 1, std::numeric_limits<double>::quiet_NaN(), {}}, s.now);
    const auto said = s.settle();
    ends_well(said, run_outcome::failed);
    CHECK(all_of<orders::hand_over_result>(said)[0].error.find("NaN at batch 0 of epoch 1") !=
          std::string::npos);
    // Nothing follows, and the last node that goes lets the scheduler go.
    s.decisions->fail("again");
    s.decisions->tick(s.now);
    s.done(w0, {0, 1});
    CHECK(s.settle().empty());
    s.decisions->connection_closed(n0, true, "it ended", s.now);
    CHECK(count_of<orders::leave>(s.settle()) == 0);
    s.decisions->connection_closed(n1, true, "it ended", s.now);
    CHECK(count_of<orders::leave>(s.settle()) == 1);
  }
}

TEST_CASE("a run whose last orders were not carried out can still be ended as failed") {
  auto s = training(2, coordinator_stage::job(2));
  s.decisions->stop(s.now);
  s.decisions->stop_timeout(s.now);
  s.decisions->snapshot_taken(s.now);
  s.settle(); // dropped
  s.decisions->fail("too late");
  CHECK(s.settle().empty());
  s.decisions->break_off("the disk is full");
  const auto said = s.settle();
  CHECK(all_of<orders::hand_over_result>(said).at(0).error == "the disk is full");
  CHECK(count_of<orders::stop_node>(said) == 2);
}

TEST_CASE("a stopped run waits for its batches and for the parameters, each for a while") {
  auto s = training(2, coordinator_stage::job(2));
  s.decisions->stop(s.now);
  CHECK(count_of<orders::await_stop>(s.settle()) == 1);
  s.decisions->stop_timeout(s.now);
  auto said = s.settle();
  CHECK(count_of<orders::evaluate>(said) == 1);
  CHECK(count_of<orders::await_stop>(said) == 1);
  s.decisions->stop_timeout(s.now);
  said = s.settle();
  REQUIRE(count_of<orders::hand_over_result>(said) == 1);
  CHECK(all_of<orders::hand_over_result>(said)[0].outcome == run_outcome::failed);
}

TEST_CASE("a run that is stopped before it trains ends at once") {
  coordinator_stage s{coordinator_stage::job()};
  s.decisions->stop(s.now);
  const auto said = s.settle();
  CHECK(all_of<orders::hand_over_result>(said).at(0).outcome == run_outcome::interrupted);
  CHECK_FALSE(all_of<orders::await_goodbyes>(said).at(0).nodes_left);
}

TEST_CASE("a run that gathers for too long fails and says what is missing") {
  coordinator_stage s{coordinator_stage::job()};
  s.join(1, 2, 1);
  s.settle();
  CHECK(s.phase() == "gathering");
  s.now += 10min;
  s.decisions->tick(s.now);
  const auto said = s.settle();
  CHECK(all_of<orders::hand_over_result>(said).at(0).error ==
        "waited 600 s for nodes to join; still missing: 1 more worker");
}

TEST_CASE("a run whose last worker is lost waits for another, and fails when none comes") {
  auto o = coordinator_stage::job(1, 1);
  coordinator_stage s{o};
  s.join(1, 2, 0);
  s.join(1, 0, 1);
  s.settle();
  REQUIRE(s.phase() == "training");
  s.decisions->connection_closed(n1, true, "it ended", s.now);
  s.decisions->tick(s.now);
  const auto warnings = lines_of(s.settle(), notice_kind::warning);
  CHECK(std::ranges::count_if(
            warnings, [](const auto& w) { return w.starts_with("no worker is left"); }) == 1);
  s.join(1, 0, 1);
  CHECK(count_of<orders::add_workers>(s.settle()) == 1);
  s.decisions->tick(s.now);
  s.decisions->connection_closed(n2, true, "it ended", s.now);
  s.decisions->tick(s.now);
  s.now += 10min;
  s.decisions->tick(s.now);
  CHECK(all_of<orders::hand_over_result>(s.settle()).at(0).error ==
        "no worker is left, and none has come");
}

// -- checkpoints ----------------------------------------------------------------------------------

TEST_CASE("a checkpoint is taken of all shards at once, and a new view gives it up") {
  auto o = coordinator_stage::job(2);
  o.checkpoints = {.kept = true, .every_batches = 1};
  auto s = training(2, o);
  s.done(w0, {0, 0});
  s.settle();
  s.decisions->tick(s.now);
  auto said = s.settle();
  REQUIRE(count_of<orders::open_checkpoint>(said) == 1);
  CHECK(count_of<orders::take_image>(said) == 2);
  s.decisions->connection_closed(n1, true, "it ended", s.now);
  CHECK(count_of<orders::give_up_checkpoint>(s.settle()) == 1);
  s.decisions->checkpoint_ended({1, 0}, "a view changed", s.now);
  said = s.settle();
  CHECK(count_of<orders::checkpoint_failed>(said) == 1);
  CHECK_FALSE(s.decisions->status(s.now).last_checkpoint.has_value());
}

TEST_CASE("workers of hogwild rest until the images of a checkpoint are taken") {
  auto o = coordinator_stage::job(1, 1);
  o.mode = consistency::hogwild();
  o.checkpoints = {.kept = true, .every_batches = 1};
  auto s = training(1, o);
  s.done(w0, {0, 0});
  s.settle();
  s.decisions->tick(s.now);
  CHECK(count_of<orders::open_checkpoint>(s.settle()) == 0); // leases are open
  for (auto batch : s.decisions->desk().leases().held_by(w0)) s.done(w0, batch);
  auto said = s.settle();
  CHECK(count_of<orders::open_checkpoint>(said) == 1);
  CHECK(leased(said).empty());
  s.decisions->images_arrived(1, s.now);
  CHECK_FALSE(leased(s.settle()).empty());
}

// -- the status -----------------------------------------------------------------------------------

TEST_CASE("the status names what every node holds") {
  auto s = training(2, coordinator_stage::job(2));
  s.now += 2s;
  const auto status = s.decisions->status(s.now);
  CHECK(status.phase == "training");
  CHECK(status.epoch == 1);
  CHECK(status.batches_total == 12);
  CHECK(status.uptime == 2s);
  REQUIRE(status.nodes.size() == 2);
  CHECK(status.nodes[0].silent == 2s);
  CHECK(status.nodes[0].replicas.size() == 2);
  REQUIRE(status.nodes[1].workers.size() == 1);
  CHECK(status.nodes[1].workers[0].leases.size() == 2);
  REQUIRE(status.shards.size() == 2);
  CHECK(status.shards[1].chain.size() == 2);
  s.decisions->connection_closed(n1, true, "it ended", s.now);
  CHECK(s.decisions->status(s.now).lost.at(0).why == "it ended");
}
