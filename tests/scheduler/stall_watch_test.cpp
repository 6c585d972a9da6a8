#include "troupe/scheduler/stall_watch.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;
using alarm_kind = stall_watch::alarm;

namespace {

// Looks every half second, for so long; how often each alarm was given.
struct looking {
  explicit looking(stall_watch::options o) : watch(o) {}
  void pass(stall_watch::duration time) {
    for (const auto until = now + time; now < until;) {
      now += 500ms;
      const auto a = watch.look(now);
      told += a == alarm_kind::tell;
      given_up += a == alarm_kind::give_up;
    }
  }
  stall_watch watch;
  stall_watch::time_point now{1h};
  int told = 0;
  int given_up = 0;
};

} // namespace

TEST_CASE("STALL-1: a standstill is told once, and the next one again") {
  looking l({.tell_after = 10s});
  l.pass(10s);
  CHECK(l.told == 0); // the first look begins
  l.pass(500ms);
  CHECK(l.told == 1);
  l.pass(1h);
  CHECK(l.told == 1);
  CHECK(l.watch.moved() == 1h + 10s);
  CHECK(l.watch.still() == 0s);
  l.pass(9500ms);
  CHECK(l.watch.moved() == 0s); // it had not been told
  l.pass(10s);
  CHECK(l.told == 2);
}

TEST_CASE("STALL-2: a run with a limit is given up, any other is not") {
  looking limited({.limit = 30s});
  limited.pass(30s);
  CHECK(limited.given_up == 0);
  limited.pass(500ms);
  CHECK(limited.given_up == 1);
  looking patient({});
  patient.pass(24h);
  CHECK(patient.given_up == 0);
}

TEST_CASE("STALL-3: time in which the scheduler did not run is no standstill") {
  looking l({.tell_after = 10s, .limit = 60s});
  l.pass(5s);
  l.now += 1h;
  l.pass(500ms);
  CHECK(l.told + l.given_up == 0);
  CHECK(l.watch.still() <= 6s);
}
