#include "troupe/scheduler/checkpoint_schedule.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

using action = checkpoint_schedule::action;

checkpoint_schedule::time_point at(std::chrono::milliseconds since_start) {
  return checkpoint_schedule::time_point(since_start);
}

checkpoint_schedule schedule(checkpoint_schedule::options o,
                             consistency mode = consistency::async()) {
  o.kept = true;
  checkpoint_schedule s{o, batch_plan{{10, 1, 2}}, mode};
  s.begin(0, at(0ms));
  return s;
}

} // namespace

TEST_CASE("SCHEDULE-1: one checkpoint is open at a time, and numbers only rise") {
  auto s = schedule({.every_batches = 1});
  s.count_from(5);
  s.count_from(3);
  REQUIRE(s.look(1, at(1ms)) == action::take);
  CHECK(s.open(1, at(1ms)) == 5);
  CHECK(s.opened() == 5u);
  CHECK(s.look(9, at(2ms)) == action::none);
  CHECK_FALSE(s.ended(4));
  CHECK(s.ended(5));
  CHECK_FALSE(s.opened().has_value());
  CHECK_FALSE(s.ended(5));
  CHECK(s.open(2, at(3ms)) == 6);
  s.forget();
  CHECK_FALSE(s.opened().has_value());
  CHECK(s.open(2, at(3ms)) == 7);
}

TEST_CASE("SCHEDULE-1: a checkpoint that does not become whole is given up") {
  auto s = schedule({.every_batches = 1, .patience = 10s});
  s.open(1, at(1s));
  CHECK(s.look(9, at(10999ms)) == action::none);
  CHECK(s.look(9, at(11s)) == action::give_up);
}

TEST_CASE("SCHEDULE-2: a checkpoint is due after so many batches, or after a time with batches") {
  auto by_batches = schedule({.every_batches = 3});
  CHECK(by_batches.look(2, at(1h)) == action::none);
  CHECK(by_batches.look(3, at(1ms)) == action::take);
  by_batches.open(3, at(1ms));
  by_batches.ended(1);
  CHECK(by_batches.look(5, at(2ms)) == action::none);
  CHECK(by_batches.look(6, at(2ms)) == action::take);

  auto by_time = schedule({.every_seconds = 2});
  CHECK(by_time.look(0, at(5s)) == action::none); // nothing new to store
  CHECK(by_time.look(1, at(1999ms)) == action::none);
  CHECK(by_time.look(1, at(2s)) == action::take);

  auto never = schedule({});
  CHECK(never.look(10, at(1h)) == action::none);
  checkpoint_schedule not_kept{{.every_batches = 1}, batch_plan{{10, 1, 2}}, consistency::async()};
  CHECK(not_kept.look(10, at(1h)) == action::none);
}

TEST_CASE("SCHEDULE-3: in bsp images stand before the first step of which nothing was leased") {
  const auto s = schedule({}, consistency::bsp(4)); // steps of 4, 4 and 2 batches, twice
  CHECK(s.step_for(batch_id{0, 0}) == 1u);
  CHECK(s.step_for(batch_id{0, 5}) == 2u);
  CHECK(s.step_for(batch_id{1, 0}) == 4u);
  CHECK(s.step_for(batch_id{1, 7}) == 5u);
  CHECK_FALSE(s.step_for(batch_id{1, 8}).has_value()); // the last step
  CHECK_FALSE(s.step_for(std::nullopt).has_value());
  CHECK(schedule({}, consistency::ssp(1)).step_for(std::nullopt) == 0u);
}

TEST_CASE(
    "SCHEDULE-4: in hogwild, workers rest from when a checkpoint is due until it has its images") {
  auto s = schedule({.every_batches = 1}, consistency::hogwild());
  CHECK_FALSE(s.resting());
  CHECK(s.look(1, at(1ms)) == action::take);
  CHECK(s.resting());
  CHECK(s.look(9, at(2ms)) == action::none);
  const auto number = s.open(1, at(2ms));
  CHECK(s.resting());
  CHECK_FALSE(s.images_arrived(number + 1));
  CHECK(s.resting());
  CHECK(s.images_arrived(number));
  CHECK_FALSE(s.resting());
  CHECK_FALSE(s.images_arrived(number));
  CHECK(s.opened() == number);

  auto others = schedule({.every_batches = 1}, consistency::bsp(4));
  others.look(1, at(1ms));
  CHECK_FALSE(others.resting());
  others.open(1, at(1ms));
  CHECK_FALSE(others.resting());
}
