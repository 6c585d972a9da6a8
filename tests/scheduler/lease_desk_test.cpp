#include "troupe/scheduler/lease_desk.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "order_search.hpp"

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr worker_id w0{0}, w1{1};
constexpr node_id n0{0}, n1{1};

lease_desk::time_point at(std::chrono::milliseconds since_start) {
  return lease_desk::time_point(since_start);
}

/// Two nodes with a worker each; the first is primary of both shards.
struct desk_stage {
  membership members{{}, at(0ms)};
  replica_table replicas{2, 1};
  order_list orders;
  lease_desk desk;

  explicit desk_stage(batch_plan::options plan, lease_desk::options o = {},
                      consistency mode = consistency::async())
      : desk(o, batch_plan{plan}, mode, members, replicas, orders) {
    members.join(2, 1, at(0ms));
    members.join(0, 1, at(0ms));
    replicas.views().place({{n0}, {n0}});
    for (auto shard : replicas.shards()) replicas.add(shard, n0);
    desk.add(w0, n0, true);
    desk.add(w1, n1, true);
  }

  order_list taken() { return std::exchange(orders, {}); }

  order_list lease(std::chrono::milliseconds now = 0ms) {
    desk.lease_again(leasing::open, at(now));
    return taken();
  }

  bool complete(worker_id worker, batch_id batch, clock_value clock,
                std::chrono::milliseconds now = 0ms) {
    return desk.complete({worker, batch, clock, 0.5, {}}, at(now));
  }

  /// Every shard has let the worker in at the clock asked for.
  order_list let_in(const order_list& asked, std::chrono::milliseconds now = 0ms) {
    for (const auto& e : all_of<orders::enter_clock>(asked))
      desk.clock_entered(e.worker, e.entry, e.clock, e.clock, leasing::open, at(now));
    return taken();
  }
};

std::vector<batch_id> batches(std::uint32_t epoch, std::uint32_t first, std::uint32_t end) {
  std::vector<batch_id> result;
  for (auto i = first; i < end; ++i) result.push_back({epoch, i});
  return result;
}

} // namespace

TEST_CASE("SCHED-1: a batch is leased while it is not completed and no worker holds it") {
  desk_stage s{{12, 1, 1}, {.lease_ahead = 3}};
  auto given = s.lease();
  CHECK(leased_to(given, w0) == batches(0, 0, 3));
  CHECK(leased_to(given, w1) == batches(0, 3, 6));
  CHECK(s.complete(w0, {0, 0}, 1));
  CHECK_FALSE(s.complete(w0, {0, 0}, 1));
  CHECK(s.desk.lose(w1) == 3);
  given = s.lease();
  // What the lost worker held, and neither what w0 holds nor what is completed.
  CHECK(leased_to(given, w0) == batches(0, 3, 6));
  for (std::uint32_t i = 1; i < 6; ++i) s.complete(w0, {0, i}, i + 1);
  CHECK(leased_to(s.lease(), w0) == batches(0, 6, 9));
}

TEST_CASE("SCHED-2: a worker without a lease leaves the clocks, and enters them on every shard "
          "before it is leased to again") {
  desk_stage s{{3, 1, 1}, {.lease_ahead = 2}};
  auto given = s.lease();
  REQUIRE(leased_to(given, w0) == batches(0, 0, 2));
  REQUIRE(leased_to(given, w1) == batches(0, 2, 3));
  s.complete(w1, {0, 2}, 1);
  s.taken();
  const auto left = all_of<orders::leave_clock>(s.lease());
  REQUIRE(left.size() == 2); // one for each shard
  CHECK(left[0].worker == w1);
  CHECK_FALSE(left[0].gone);
  CHECK(left[0].to.node == n0);
  CHECK_FALSE(s.desk.workers().at(w1).in_clocks);

  s.complete(w0, {0, 0}, 1);
  s.desk.lose(w0); // its other batch comes back
  s.taken();
  given = s.lease();
  CHECK(leased_to(given, w1).empty());
  const auto entries = all_of<orders::enter_clock>(given);
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].clock == 1);
  s.desk.clock_entered(w1, entries[0].entry, 1, 1, leasing::open, at(0ms));
  CHECK(s.taken().empty()); // the other shard has not let it in yet
  s.desk.clock_entered(w1, entries[1].entry, 1, 1, leasing::open, at(0ms));
  CHECK(leased_to(s.taken(), w1) == batches(0, 1, 2));
}

TEST_CASE("SCHED-2: a worker enters the clocks when it has reported all that it was ever given") {
  for (const bool clocks_decide : {true, false}) {
    INFO("clocks decide: " << clocks_decide);
    desk_stage s{{4, 1, 1},
                 {.lease_ahead = 2, .lease_timeout = 1s},
                 clocks_decide ? consistency::ssp(1) : consistency::bsp(4)};
    s.lease();
    s.complete(w0, {0, 0}, 1, 900ms);
    s.desk.expire(at(1000ms)); // of w1
    s.taken();
    s.complete(w1, {0, 2}, 1, 1100ms); // one of two: it works again
    const auto asked = s.lease(1100ms);
    if (!clocks_decide) {
      CHECK(count_of<orders::enter_clock>(asked) == 2);
      continue;
    }
    CHECK(count_of<orders::enter_clock>(asked) == 0);
    s.complete(w1, {0, 3}, 2, 1200ms);
    s.desk.lose(w0);
    CHECK(count_of<orders::enter_clock>(s.lease(1200ms)) == 2);
  }
}

TEST_CASE("SCHED-2: a worker that one shard let in further ahead enters there on all of them") {
  desk_stage s{{4, 1, 1}, {.lease_ahead = 2}};
  s.desk.add(worker_id{2}, n1, false);
  auto entries = all_of<orders::enter_clock>(s.lease());
  entries.erase(entries.begin(), std::find_if(entries.begin(), entries.end(), [](const auto& e) {
                  return e.worker == worker_id{2};
                }));
  CHECK(entries.empty()); // all batches are leased: it has nothing to enter for
  s.desk.lose(w0);
  entries = all_of<orders::enter_clock>(s.lease());
  REQUIRE(entries.size() == 2);
  s.desk.clock_entered(worker_id{2}, entries[0].entry, 0, 7, leasing::open, at(0ms));
  s.desk.clock_entered(worker_id{2}, entries[1].entry, 0, 0, leasing::open, at(0ms));
  entries = all_of<orders::enter_clock>(s.taken());
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].clock == 7);
  s.desk.clock_not_entered(worker_id{2}, entries[0].entry); // where it has entered it leaves
  CHECK(count_of<orders::leave_clock>(s.taken()) == 2);
}

TEST_CASE("SCHED-3: leases run at most one epoch ahead of the last evaluated one") {
  desk_stage s{{3, 1, 4}, {.lease_ahead = 100}};
  s.desk.lose(w1);
  s.taken();
  auto expected = batches(0, 0, 3);
  const auto second = batches(1, 0, 3);
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK(leased_to(s.lease(), w0) == expected);
  s.desk.evaluated(1);
  CHECK(leased_to(s.lease(), w0) == batches(2, 0, 3));
  CHECK(leased_to(s.lease(), w0).empty());
}

TEST_CASE("SCHED-4: a worker whose leases ran out gets none until it completes a batch") {
  desk_stage s{{20, 1, 1}, {.lease_ahead = 2, .lease_timeout = 1s}};
  s.lease();
  s.complete(w0, {0, 0}, 1, 900ms);
  s.desk.expire(at(1000ms));
  auto said = s.taken();
  CHECK(count_of<orders::lease_returned>(said) == 2);
  CHECK(count_of<orders::leave_clock>(said) == 2);
  CHECK(s.desk.workers().at(w1).suspended);
  said = s.lease(1000ms);
  CHECK(leased_to(said, w1).empty());
  CHECK(count_of<orders::enter_clock>(said) == 0);
  CHECK(leased_to(said, w0) == batches(0, 2, 4)); // the others have what it held

  s.complete(w1, {0, 2}, 1, 1100ms);
  s.complete(w1, {0, 3}, 2, 1200ms);
  said = s.lease(1200ms);
  CHECK(count_of<orders::enter_clock>(said) == 2);
  CHECK_FALSE(leased_to(s.let_in(said, 1200ms), w1).empty());
}

TEST_CASE("SCHED-4: when the leases of all workers ran out, the one revived least often goes on") {
  desk_stage s{{20, 1, 1}, {.lease_ahead = 2, .lease_timeout = 1s}, consistency::bsp(4)};
  s.lease();
  s.complete(w0, {0, 0}, 1, 100ms);
  s.desk.expire(at(3s));
  s.taken();
  // w0 completed something more recently.
  auto said = s.lease(3s);
  CHECK_FALSE(s.desk.workers().at(w0).suspended);
  CHECK(s.desk.workers().at(w1).suspended);
  CHECK_FALSE(leased_to(s.let_in(said, 3s), w0).empty());
  s.desk.expire(at(9s));
  s.taken();
  s.lease(9s);
  CHECK(s.desk.workers().at(w0).suspended);
  CHECK_FALSE(s.desk.workers().at(w1).suspended);
}

TEST_CASE("SCHED-5: a batch that came back is leased at once, beyond lease_ahead if need be") {
  desk_stage s{{20, 1, 1}, {.lease_ahead = 3}};
  s.lease();
  REQUIRE(s.desk.leases().held_count(w0) == 3);
  s.desk.lose(w1);
  const auto given = s.lease();
  CHECK(leased_to(given, w0) == batches(0, 3, 6));
  CHECK(s.desk.leases().held_count(w0) == 6);
  CHECK(s.desk.leases().returned_count() == 0);
}

TEST_CASE("what came back goes to the workers that hold least (SCHED-5)") {
  desk_stage s{{40, 1, 1}, {.lease_ahead = 4}};
  const worker_id w2{2};
  s.desk.add(w2, n1, true);
  s.lease();
  s.complete(w1, {0, 4}, 1);
  s.complete(w1, {0, 5}, 2);
  s.desk.lose(w2);
  s.taken();
  s.desk.lease_again(leasing::open, at(0ms));
  CHECK(s.desk.leases().held_count(w0) == 5);
  CHECK(s.desk.leases().held_count(w1) == 5);
}

TEST_CASE("nothing is leased while workers rest, when a run is stopped, or before it trains") {
  for (auto stance : {leasing::closed, leasing::finishing, leasing::resting}) {
    desk_stage s{{4, 1, 1}};
    s.desk.lease_again(stance, at(0ms));
    s.desk.lease_evenly(stance, at(0ms));
    const auto said = s.taken();
    CHECK(count_of<orders::give_leases>(said) == 0);
    // Before training no shard can be told anything.
    CHECK((count_of<orders::leave_clock>(said) > 0) == (stance != leasing::closed));
  }
}

TEST_CASE("a worker on a node that is to leave gets no lease and no backup") {
  desk_stage s{{20, 1, 1}, {.lease_ahead = 2, .straggler_after = 1s}};
  s.members.drain(n1);
  const auto given = s.lease(5s);
  CHECK(leased_to(given, w0).size() == 2);
  CHECK(leased_to(given, w1).empty());
}

TEST_CASE("an idle worker gets the batch that keeps the others waiting, one at a time") {
  desk_stage s{{2, 1, 1}, {.lease_ahead = 1, .straggler_after = 1s}};
  s.lease();
  s.complete(w1, {0, 1}, 1, 100ms);
  s.taken();
  auto said = s.lease(500ms);
  CHECK(count_of<orders::give_leases>(said) == 0); // w0 is not late yet
  said = s.lease(1100ms);
  const auto entries = count_of<orders::enter_clock>(said);
  CHECK(entries == 2);
  const auto backup = all_of<orders::give_leases>(s.let_in(said, 1100ms));
  REQUIRE(backup.size() == 1);
  CHECK(backup[0].backup);
  CHECK(backup[0].worker == w1);
  CHECK(backup[0].batches == batches(0, 0, 1));
  CHECK(s.lease(5s).empty());
  CHECK(s.complete(w1, {0, 0}, 2, 5s));
  CHECK_FALSE(s.complete(w0, {0, 0}, 1, 6s));
}

TEST_CASE("a new primary is told who is gone and who left the clocks") {
  desk_stage s{{4, 1, 1}};
  s.desk.add(worker_id{2}, n1, false);
  s.desk.forget(w0);
  s.taken();
  s.desk.tell_who_left({shard_id{1}, n1});
  const auto told = all_of<orders::leave_clock>(s.taken());
  REQUIRE(told.size() == 2);
  CHECK(told[0].worker == w0);
  CHECK(told[0].gone);
  CHECK(told[1].worker == worker_id{2});
  CHECK_FALSE(told[1].gone);
  CHECK(told[1].to.shard == shard_id{1});
}

TEST_CASE(
    "complete epochs are evaluated once each, in order, and the last once more for a result") {
  desk_stage s{{1, 1, 3}};
  s.desk.begin_evaluation();
  s.complete(w0, {1, 0}, 1);
  s.desk.evaluate_complete_epochs();
  CHECK(count_of<orders::evaluate>(s.taken()) == 0);
  s.complete(w0, {0, 0}, 2);
  s.desk.evaluate_complete_epochs();
  s.desk.evaluate_complete_epochs();
  const auto asked = all_of<orders::evaluate>(s.taken());
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].epoch == 0u);
  CHECK(asked[1].epoch == 1u);
  s.desk.evaluated(3);
  s.desk.keep_result_open();
  CHECK(s.desk.evaluated_epochs() == 2);
}
