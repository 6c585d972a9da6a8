#include "troupe/scheduler/heartbeat_log.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;
using kind = heartbeat_log::order::kind;

namespace {

constexpr heartbeat_log::options quarter_second{.period = 250ms, .patience = 60s};

heartbeat_log::time_point at(heartbeat_log::duration since_start) {
  return heartbeat_log::time_point(since_start);
}

std::uint64_t beat(heartbeat_log& log, heartbeat_log::duration when) {
  const auto order = log.next(at(when));
  CHECK(order.what == kind::beat);
  return order.number;
}

} // namespace

TEST_CASE("heartbeats are numbered from 1") {
  heartbeat_log log{at(0s), quarter_second};
  CHECK(beat(log, 0ms) == 1);
  CHECK(beat(log, 250ms) == 2);
  log.turn_to_another(at(300ms));
  CHECK(beat(log, 500ms) == 3);
}

TEST_CASE("PULSE-2: a scheduler is given up after the patience, once") {
  heartbeat_log log{at(0s), quarter_second};
  auto now = 0ms;
  for (; now < 60s; now += 250ms) beat(log, now);
  const auto order = log.next(at(now));
  CHECK(order.what == kind::give_up);
  CHECK(order.silence == 60s);
  CHECK(log.next(at(now + 250ms)).what == kind::nothing);
  CHECK_FALSE(log.end());
}

TEST_CASE(
    "PULSE-2: silence is counted from the last answer to any heartbeat, or another scheduler") {
  heartbeat_log log{at(0s), quarter_second};
  const bool answered = GENERATE(true, false);
  for (auto now = 0ms; now < 50s; now += 250ms) beat(log, now);
  if (answered)
    CHECK_FALSE(log.answered(1'000'000, at(50s))); // the number does not matter
  else
    log.turn_to_another(at(50s));
  for (auto now = 50'250ms; now < 110s; now += 250ms) beat(log, now);
  CHECK(log.next(at(110s)).what == kind::give_up);
}

TEST_CASE("PULSE-2: a process that was stopped for longer sends a heartbeat first") {
  heartbeat_log log{at(0s), quarter_second};
  for (auto now = 0ms; now < 10s; now += 250ms) beat(log, now);
  CHECK(log.next(at(100s)).what == kind::beat); // 90 s later, of which half a second counts
  auto now = 100'250ms;
  while (log.next(at(now)).what == kind::beat) now += 250ms;
  CHECK(now > 149s);
  CHECK(now < 151s);
}

TEST_CASE("PULSE-3: an answer allows reads from the time its heartbeat was sent") {
  heartbeat_log log{at(0s), quarter_second};
  const auto first = beat(log, 0ms), second = beat(log, 250ms), third = beat(log, 500ms);
  CHECK(log.answered(first, at(600ms)) == at(0ms));
  CHECK(log.answered(third, at(700ms)) == at(500ms));
  CHECK_FALSE(log.answered(second, at(710ms))); // overtaken
  CHECK_FALSE(log.answered(third, at(720ms)));  // doubled
  CHECK_FALSE(log.answered(99, at(730ms)));     // never sent
  CHECK(log.answered(beat(log, 750ms), at(900ms)) == at(750ms));
}

TEST_CASE("PULSE-3: so many heartbeats are kept, and an answer to an older one allows nothing") {
  heartbeat_log log{at(0s), quarter_second};
  const auto first = beat(log, 0ms), second = beat(log, 250ms);
  for (std::size_t i = 0; i + 1 < heartbeat_log::unanswered_max; ++i)
    beat(log, 500ms + 250ms * static_cast<int>(i));
  CHECK_FALSE(log.answered(first, at(17s)));
  CHECK(log.answered(second, at(17s)) == at(250ms));
}

TEST_CASE("a pulse that has ended sends no heartbeat and gives nobody up") {
  heartbeat_log log{at(0s), quarter_second};
  beat(log, 0ms);
  CHECK(log.end());
  CHECK_FALSE(log.end());
  CHECK(log.next(at(250ms)).what == kind::nothing);
  CHECK(log.next(at(100s)).what == kind::nothing);
}
