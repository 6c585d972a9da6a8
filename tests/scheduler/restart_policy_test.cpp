#include "troupe/values/restart_policy.hpp"

#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace std::chrono_literals;
using troupe::scheduler::restart_backoff;
using troupe::scheduler::restart_intensity;

namespace {

using time_point = restart_intensity::time_point;

time_point at(std::chrono::nanoseconds t) { return time_point{} + t; }

restart_backoff::random always(double u) {
  return [u] { return u; };
}

} // namespace

TEST_CASE("as many restarts as the intensity are admitted, one more is not") { // INTENSITY-1
  restart_intensity three({.restarts = 3, .period = 5s});
  CHECK(three.admit(at(0s)));
  CHECK(three.admit(at(1s)));
  CHECK(three.admit(at(2s)));
  CHECK(three.count() == 3);
  CHECK_FALSE(three.admit(at(3s)));
  CHECK(three.count() == 4);
}

TEST_CASE("an intensity of zero admits nothing") {
  restart_intensity none({.restarts = 0, .period = 5s});
  CHECK_FALSE(none.admit(at(0s)));
  CHECK_FALSE(none.admit(at(100s)));
}

TEST_CASE("a restart of exactly a period ago still counts, an older one does not") { // INTENSITY-1
  restart_intensity one({.restarts = 1, .period = 5s});
  CHECK(one.admit(at(0s)));
  CHECK_FALSE(one.admit(at(5s)));
  restart_intensity other({.restarts = 1, .period = 5s});
  CHECK(other.admit(at(0s)));
  CHECK(other.admit(at(5s + 1ns)));
}

TEST_CASE("a refused restart counts like an admitted one") { // INTENSITY-2
  restart_intensity one({.restarts = 1, .period = 5s});
  CHECK(one.admit(at(0s)));
  CHECK_FALSE(one.admit(at(4s)));
  CHECK_FALSE(one.admit(at(8s)));
  CHECK(one.admit(at(14s)));
}

TEST_CASE("a time before the one before counts as at the same time") {
  restart_intensity one({.restarts = 1, .period = 5s});
  CHECK(one.admit(at(10s)));
  CHECK_FALSE(one.admit(at(0s)));
}

TEST_CASE(
    "the intensity agrees with a count over all calls, in bounded memory") { // INTENSITY-1, -3
  const std::uint64_t seed = 20;
  CAPTURE(seed);
  fixed_seed_generator random(seed);
  restart_intensity four({.restarts = 4, .period = 50ms});
  std::vector<time_point> all;
  auto now = at(0s);
  int admitted = 0, refused = 0;
  for (int i = 0; i < 5000; ++i) {
    now += std::chrono::milliseconds(random.below(25));
    all.push_back(now);
    int within = 0;
    for (auto t : all) within += now - t <= 50ms ? 1 : 0;
    REQUIRE(four.admit(now) == (within <= 4));
    REQUIRE(four.count() <= 5);
    ++(within <= 4 ? admitted : refused);
  }
  CHECK(admitted > 500);
  CHECK(refused > 500);
}

TEST_CASE("delays double up to the longest") { // BACKOFF-1, BACKOFF-3
  restart_backoff b({.first = 10ms, .max = 75ms, .jitter = 0, .quiet = 10s});
  std::vector<restart_backoff::duration> delays;
  for (int i = 0; i < 6; ++i) delays.push_back(b.next(at(0s), always(0.7)));
  CHECK(delays == std::vector<restart_backoff::duration>{10ms, 20ms, 40ms, 75ms, 75ms, 75ms});
  CHECK(b.row() == 6);
}

TEST_CASE("jitter takes off its share of a delay times the number drawn") { // BACKOFF-1
  const auto first_delay = [](double jitter, double u) {
    restart_backoff b({.first = 100ms, .max = 1s, .jitter = jitter, .quiet = 1s});
    return b.next(at(0s), always(u));
  };
  CHECK(first_delay(0.5, 0) == 100ms);
  CHECK(first_delay(0.5, 0.5) == 75ms);
  CHECK(first_delay(0.5, 1) == 50ms);
  CHECK(first_delay(1, 1) == 0ms);
  CHECK(first_delay(0, 1) == 100ms);
}

TEST_CASE("jitter does not add up: the next delay doubles the whole one") { // BACKOFF-1
  restart_backoff b({.first = 100ms, .max = 1s, .jitter = 0.5, .quiet = 1s});
  CHECK(b.next(at(0s), always(1)) == 50ms);
  CHECK(b.next(at(0s), always(0)) == 200ms);
  CHECK(b.next(at(0s), always(1)) == 200ms);
}

TEST_CASE("every delay draws once") {
  restart_backoff b({.first = 100ms, .max = 1s, .jitter = 0.5, .quiet = 1s});
  int draws = 0;
  for (int i = 0; i < 7; ++i)
    b.next(at(0s), [&] {
      ++draws;
      return 0.5;
    });
  CHECK(draws == 7);
}

TEST_CASE("a quiet period after the end of a delay begins a new row") { // BACKOFF-2
  const restart_backoff::options o{.first = 1s, .max = 60s, .jitter = 0, .quiet = 10s};
  restart_backoff b(o);
  CHECK(b.next(at(0s), always(0)) == 1s); // back at 1 s
  CHECK(b.next(at(11s), always(0)) == 1s);
  CHECK(b.row() == 1);
  restart_backoff c(o);
  CHECK(c.next(at(0s), always(0)) == 1s);
  CHECK(c.next(at(10s), always(0)) == 2s); // 9 s after it was back
  CHECK(c.row() == 2);
}

TEST_CASE("a delay longer than the quiet period does not end the row by itself") { // BACKOFF-2
  restart_backoff b({.first = 20s, .max = 60s, .jitter = 0, .quiet = 10s});
  CHECK(b.next(at(0s), always(0)) == 20s);
  CHECK(b.next(at(20s), always(0)) == 40s);
  CHECK(b.next(at(60s), always(0)) == 60s);
}

TEST_CASE("a thousand failures in a row overflow nothing") { // BACKOFF-3
  const auto longest = std::chrono::hours(24 * 365);
  restart_backoff b({.first = 1ns, .max = longest, .jitter = 0, .quiet = 1s});
  auto before = restart_backoff::duration::zero();
  for (int i = 0; i < 1000; ++i) {
    const auto delay = b.next(at(0s), always(0.5));
    REQUIRE(delay >= before);
    REQUIRE(delay <= longest);
    before = delay;
  }
  CHECK(before == longest);
}

TEST_CASE("a first delay of zero never waits") {
  restart_backoff b({.first = 0ms, .max = 1s, .jitter = 0.5, .quiet = 1s});
  for (int i = 0; i < 5; ++i) CHECK(b.next(at(0s), always(0.3)) == 0ms);
}

TEST_CASE("restart options that cannot be meant are refused") {
  CHECK_THROWS_AS(restart_intensity({.restarts = 1, .period = 0s}), std::invalid_argument);
  CHECK_THROWS_AS(restart_backoff({.first = 2s, .max = 1s}), std::invalid_argument);
  CHECK_THROWS_AS(restart_backoff({.first = -1s, .max = 1s}), std::invalid_argument);
  CHECK_THROWS_AS(restart_backoff({.jitter = 1.01}), std::invalid_argument);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(restart_backoff({.jitter = nan}), std::invalid_argument);
  CHECK_THROWS_AS(restart_backoff({.quiet = 0s}), std::invalid_argument);
  restart_backoff b({});
  CHECK_THROWS_AS(b.next(at(0s), always(nan)), std::invalid_argument);
  CHECK_THROWS_AS(b.next(at(0s), always(-0.1)), std::invalid_argument);
}
