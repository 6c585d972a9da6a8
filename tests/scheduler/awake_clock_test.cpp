#include "troupe/scheduler/awake_clock.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

awake_clock::time_point at(awake_clock::duration since_start) {
  return awake_clock::time_point(since_start);
}

} // namespace

TEST_CASE("AWAKE-1, AWAKE-2: the time of an absence is left out, and all other time is exact") {
  awake_clock clock{at(0ms), 200ms};
  CHECK(clock.look(at(100ms)) == at(100ms));
  CHECK(clock.look(at(300ms)) == at(300ms));
  CHECK(clock.look(at(10s)) == at(500ms)); // away
  CHECK(clock.look(at(9s)) == at(500ms));  // backwards
  CHECK(clock.look(at(10'050ms)) == at(550ms));
}
