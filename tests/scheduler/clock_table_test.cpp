#include "troupe/scheduler/clock_table.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

constexpr worker_id w0{0}, w1{1}, w2{2};

} // namespace

TEST_CASE("an empty table holds nobody back") {
  clock_table clocks;
  CHECK_FALSE(clocks.oldest().has_value());
  CHECK(clocks.may_read(consistency::ssp(0), 1000));
  CHECK(clocks.staleness(1000) == 0);
  CHECK_FALSE(clocks.leave(w0));
  CHECK(clocks.live_workers().empty());
}

TEST_CASE("a push at clock c makes the applied clock c + 1") {
  clock_table clocks;
  clocks.enter(w0, 0);
  CHECK(clocks.applied(w0) == 0);
  CHECK(clocks.advance(w0, 0));
  CHECK(clocks.applied(w0) == 1);
  CHECK(clocks.advance(w0, 0)); // a repeated push
  CHECK(clocks.applied(w0) == 1);
}

TEST_CASE("an unknown worker's push is ignored") {
  clock_table clocks;
  CHECK_FALSE(clocks.advance(w0, 0));
  CHECK_FALSE(clocks.live(w0));
  CHECK_FALSE(clocks.applied(w0).has_value());
}

TEST_CASE("a worker's applied clock never moves back, nor by leaving and entering (CLOCKS-1)") {
  clock_table clocks;
  clocks.enter(w0, 5);
  clocks.enter(w0, 3);
  CHECK(clocks.applied(w0) == 5);
  clocks.enter(w0, 8);
  CHECK(clocks.applied(w0) == 8);
  CHECK(clocks.oldest() == 8);
  CHECK(clocks.advance(w0, 2));
  CHECK(clocks.applied(w0) == 8);
  CHECK(clocks.leave(w0));
  clocks.enter(w0, 0);
  CHECK(clocks.applied(w0) == 8);
  clocks.leave(w0);
  clocks.enter(w0, 20);
  CHECK(clocks.applied(w0) == 20);
  CHECK(clocks.oldest() == 20);
}

TEST_CASE("a push that overtakes an earlier one does not count until that one is applied "
          "(CLOCKS-2)") {
  clock_table clocks;
  clocks.enter(w0, 0);
  clocks.advance(w0, 2);
  clocks.advance(w0, 1);
  CHECK(clocks.applied(w0) == 0);
  CHECK_FALSE(clocks.may_read(consistency::ssp(2), 3));
  clocks.advance(w0, 0);
  CHECK(clocks.applied(w0) == 3);
  CHECK(clocks.may_read(consistency::ssp(2), 3));
  clocks.advance(w0, 5);
  clocks.advance(w0, 7);
  clocks.enter(w0, 5); // starts over behind the gap
  CHECK(clocks.applied(w0) == 6);
  clocks.enter(w0, 7);
  CHECK(clocks.applied(w0) == 8);
  clocks.advance(w0, 9);
  clocks.enter(w0, 20); // what was ahead then lies behind now
  clocks.advance(w0, 21);
  clocks.advance(w0, 20);
  CHECK(clocks.applied(w0) == 22);
}

TEST_CASE("in ssp a pull waits for the slowest live worker, the reader included (CLOCKS-3)") {
  clock_table clocks;
  clocks.enter(w0, 0);
  clocks.enter(w1, 4);
  const auto ssp = consistency::ssp(3);
  CHECK(clocks.may_read(ssp, 3));
  CHECK_FALSE(clocks.may_read(ssp, 4));
  CHECK_FALSE(clocks.may_read(ssp, 4)); // its own pushes count like any other's
  clocks.advance(w0, 0);
  CHECK(clocks.may_read(ssp, 4));
  CHECK(clocks.staleness(4) == 3);
  CHECK(clocks.staleness(1) == 0);
  CHECK(clocks.staleness(0) == 0);
}

TEST_CASE("a reader that is not live holds nobody back, but waits for the others (CLOCKS-3)") {
  clock_table clocks;
  clocks.enter(w0, 1);
  CHECK(clocks.may_read(consistency::ssp(0), 1));
  CHECK_FALSE(clocks.may_read(consistency::ssp(0), 2));
  CHECK(clocks.may_read(consistency::ssp(0), 1));
}

TEST_CASE("a worker that leaves holds nobody back, and one that enters behind does (CLOCKS-4)") {
  clock_table clocks;
  clocks.enter(w0, 0);
  clocks.enter(w1, 10);
  clocks.enter(w2, 10);
  CHECK_FALSE(clocks.may_read(consistency::ssp(3), 10));
  CHECK(clocks.leave(w0));
  CHECK(clocks.may_read(consistency::ssp(3), 10));
  CHECK(clocks.oldest() == 10); // two at 10: one leaving does not take both away
  clocks.leave(w1);
  CHECK(clocks.oldest() == 10);
  clocks.enter(w0, 2);
  CHECK(clocks.oldest() == 2);
  CHECK(clocks.live_workers() == std::vector<worker_id>{w0, w2});
  CHECK(clocks.live_workers().size() == 2);
}

TEST_CASE("a push applied while its worker was away leaves no gap (CLOCKS-5)") {
  clock_table clocks;
  clocks.enter(w0, 5);
  clocks.enter(w1, 7);
  clocks.leave(w0);
  CHECK_FALSE(clocks.advance(w0, 5));
  CHECK_FALSE(clocks.advance(w0, 7));
  CHECK(clocks.oldest() == 7); // of the live ones
  CHECK_FALSE(clocks.applied(w0).has_value());
  clocks.enter(w0, 5);
  CHECK(clocks.applied(w0) == 6);
  CHECK(clocks.oldest() == 6);
  clocks.advance(w0, 6);
  CHECK(clocks.applied(w0) == 8);
  CHECK(clocks.oldest() == 7);
}

TEST_CASE("async and hogwild never wait, and bsp is not a question for clocks") {
  clock_table clocks;
  clocks.enter(w0, 0);
  CHECK(clocks.may_read(consistency::async(), 1'000'000));
  CHECK(clocks.may_read(consistency::hogwild(), 1'000'000));
  CHECK(clocks.staleness(1'000'000) == 1'000'000);
  CHECK_THROWS_AS(clocks.may_read(consistency::bsp(2), 0), std::logic_error);
}

TEST_CASE("a bound at the largest number does not wrap around") {
  const auto most = std::numeric_limits<clock_value>::max();
  clock_table clocks;
  clocks.enter(w0, 5);
  CHECK(clocks.may_read(consistency::ssp(most), most));
  CHECK(clocks.may_read(consistency::ssp(most - 5), most));
  CHECK_FALSE(clocks.may_read(consistency::ssp(most - 6), most));
}

TEST_CASE("a table made from the contents of another equals it and goes on as it (CLOCKS-6)") {
  clock_table clocks;
  CHECK(clock_table(clocks.contents()) == clocks);
  clocks.enter(w0, 5);
  clocks.enter(w1, 7);
  clocks.enter(w2, 0);
  clocks.advance(w0, 8); // 5, 6, 7 are missing
  clocks.advance(w0, 6);
  clocks.leave(w1);
  clocks.advance(w1, 9);
  using worker = clock_table::content::worker;
  const auto contents = clocks.contents();
  CHECK(contents.workers == std::vector<worker>{{w0, 5, true, {6, 8}}, //
                                                {w1, 7, false, {9}},
                                                {w2, 0, true, {}}});

  clock_table back(contents);
  CHECK(back == clocks);
  CHECK(back.contents() == contents);
  CHECK(back.oldest() == 0);
  CHECK(back.live_workers() == std::vector<worker_id>{w0, w2});
  CHECK_FALSE(back.applied(w1).has_value());
  back.leave(w2);
  CHECK(back.oldest() == 5);
  CHECK_FALSE(back == clocks);
  back.advance(w0, 5);
  CHECK(back.applied(w0) == 7);
  back.advance(w0, 7);
  CHECK(back.applied(w0) == 9);
  back.enter(w1, 0);
  back.advance(w1, 7);
  back.advance(w1, 8);
  CHECK(back.applied(w1) == 10);
}

TEST_CASE("contents that no table can have are refused") {
  using content = clock_table::content;
  const auto refused = [](const content& c) {
    CHECK_THROWS_AS(clock_table(c), std::invalid_argument);
  };
  refused({{{w0, 5, true, {5}}}});     // it would have been counted
  refused({{{w0, 5, true, {3}}}});     // and so would this
  refused({{{w0, 5, true, {8, 7}}}});  // not in order
  refused({{{w0, 5, false, {8, 8}}}}); // twice
  refused({{{w1, 0, true, {}}, {w0, 0, true, {}}}});
  refused({{{w1, 0, true, {}}, {w1, 0, false, {}}}});
  CHECK_NOTHROW(clock_table(content{{{w0, 5, true, {7, 8}}, {w1, 0, false, {}}}}));
}

namespace {

// What a reader is promised, judged from the pushes themselves: every live worker has had all its
// pushes from its first clock up to c - s - 1 applied.
struct history {
  std::set<worker_id> live;
  std::map<worker_id, clock_value> first; // the clock each counts from, also while away
  std::map<worker_id, std::set<clock_value>> applied;

  clock_value reached(worker_id w) const {
    auto c = first.at(w);
    const auto it = applied.find(w);
    while (it != applied.end() && it->second.contains(c)) ++c;
    return c;
  }
  bool bound_holds(clock_value c, clock_value s) const {
    return std::all_of(live.begin(), live.end(), [&](worker_id w) { return reached(w) + s >= c; });
  }
};

} // namespace

TEST_CASE(
    "no admitted read breaks the bound, and none that keeps it is refused, whatever the order "
    "of pushes, joins and departures (CLOCKS-1 to CLOCKS-6)") {
  std::size_t admitted = 0, refused = 0, overtaken = 0, late = 0; // rare paths are counted
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    fixed_seed_generator random(seed);
    const clock_value s = random.below(5);
    const auto mode = consistency::ssp(s);
    clock_table clocks;
    history truth;
    std::map<worker_id, clock_value> pushed;              // next clock to push at
    std::map<worker_id, std::vector<clock_value>> on_way; // pushed, not applied
    std::map<worker_id, clock_value> seen;                // applied clock seen last, for CLOCKS-1
    for (int step = 0; step < 1500; ++step) {
      const worker_id w{static_cast<std::uint32_t>(random.below(4))};
      const bool live = truth.live.contains(w);
      switch (random.below(10)) {
      case 0: { // joins, or comes back: at the front, or to go on with what it has on its way
        if (live) break;
        const bool known = truth.first.contains(w);
        auto first = std::max(pushed[w], clocks.oldest().value_or(0));
        if (known && random.below(2)) first = truth.first[w] + random.below(pushed[w] + 1);
        clocks.enter(w, first);
        truth.live.insert(w);
        truth.first[w] = known ? std::max(first, truth.reached(w)) : first;
        pushed[w] = std::max(pushed[w], truth.reached(w));
        break;
      }
      case 1:
        if (random.below(8) > 0) break;
        REQUIRE(clocks.leave(w) == live);
        truth.live.erase(w);
        break;
      case 2:
      case 3:
      case 4:
      case 5: // an applied push, not always the oldest on its way, sometimes twice
        if (on_way[w].empty()) break;
        {
          auto& queue = on_way[w];
          const auto pick = random.below(std::min<std::size_t>(queue.size(), 3));
          overtaken += pick > 0;
          late += !live;
          const auto c = queue[pick];
          if (random.below(5) > 0) queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(pick));
          REQUIRE(clocks.advance(w, c) == live);
          truth.applied[w].insert(c);
        }
        break;
      default: { // a pull; when admitted, the worker goes on and pushes
        if (!live) break;
        const auto c = pushed[w];
        const bool may = clocks.may_read(mode, c);
        REQUIRE(may == truth.bound_holds(c, s));
        ++(may ? admitted : refused);
        if (!may) break;
        REQUIRE(clocks.staleness(c) <= s);
        on_way[w].push_back(c);
        ++pushed[w];
      }
      }
      for (const auto worker : truth.live) {
        const auto applied = clocks.applied(worker);
        REQUIRE(applied == truth.reached(worker));
        REQUIRE(*applied >= seen[worker]);
        seen[worker] = *applied;
      }
      if (step % 64 == 0) { // stored and taken up again on the way, it makes no difference
        clock_table restored(clocks.contents());
        REQUIRE(restored == clocks);
        clocks = std::move(restored);
      }
    }
  }
  CHECK(admitted > 1000);
  CHECK(refused > 1000);
  CHECK(overtaken > 100);
  CHECK(late > 100);
}

TEST_CASE("CLOCKS-5: how far the pushes of a worker have come is known while it is away") {
  clock_table clocks;
  CHECK_FALSE(clocks.pushes_below(w0).has_value());
  clocks.enter(w0, 3);
  clocks.advance(w0, 3);
  CHECK(clocks.pushes_below(w0) == 4);
  clocks.leave(w0);
  CHECK(clocks.pushes_below(w0) == 4);
  clocks.advance(w0, 5); // ahead of a gap
  CHECK(clocks.pushes_below(w0) == 4);
  clocks.advance(w0, 4);
  CHECK(clocks.pushes_below(w0) == 6);
}
