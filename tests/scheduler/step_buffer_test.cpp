#include "troupe/scheduler/step_buffer.hpp"

#include <memory>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

// 5 batches an epoch in steps of 2, 2 and 1; 2 epochs.
step_plan small_plan() { return {batch_plan({.samples = 5, .batch_size = 1, .epochs = 2}), 2}; }

} // namespace

TEST_CASE("a step is taken in batch order once it is whole (STEP-1)") {
  step_buffer<int> buffer(small_plan());
  CHECK_FALSE(buffer.ready());
  CHECK(buffer.insert({0, 1}, 11));
  CHECK_FALSE(buffer.ready());
  CHECK_THROWS_AS(buffer.take(), std::logic_error);
  CHECK(buffer.insert({0, 0}, 10));
  CHECK(buffer.ready());
  CHECK(buffer.held() == 2);
  CHECK(buffer.take() == std::vector<int>{10, 11});
  CHECK(buffer.current_step() == 1);
  CHECK(buffer.held() == 0);
  CHECK_FALSE(buffer.ready());
}

TEST_CASE("a repeated batch is refused, before and after its step is taken (STEP-2)") {
  step_buffer<int> buffer(small_plan());
  CHECK(buffer.insert({0, 0}, 10));
  CHECK_FALSE(buffer.insert({0, 0}, 99));
  CHECK(buffer.held() == 1);
  CHECK(buffer.insert({0, 1}, 11));
  CHECK(buffer.take() == std::vector<int>{10, 11});
  CHECK_FALSE(buffer.insert({0, 0}, 99));
  CHECK_FALSE(buffer.insert({0, 1}, 99));
  CHECK(buffer.held() == 0);
}

TEST_CASE("a later step waits for the earlier ones (STEP-1)") {
  step_buffer<int> buffer(small_plan());
  CHECK(buffer.insert({0, 2}, 12));
  CHECK(buffer.insert({0, 3}, 13));
  CHECK(buffer.insert({0, 4}, 14));
  CHECK_FALSE(buffer.ready());
  CHECK_THROWS_AS(buffer.take(), std::logic_error);
  CHECK(buffer.held() == 3);
  buffer.insert({0, 0}, 10);
  buffer.insert({0, 1}, 11);
  CHECK(buffer.take() == std::vector<int>{10, 11});
  CHECK(buffer.ready());
  CHECK(buffer.take() == std::vector<int>{12, 13});
  CHECK(buffer.take() == std::vector<int>{14});
}

TEST_CASE("a pull for a step may be answered when every step before it was taken (STEP-3)") {
  step_buffer<int> buffer(small_plan());
  CHECK(buffer.may_read(0));
  CHECK_FALSE(buffer.may_read(1));
  buffer.insert({0, 0}, 10);
  buffer.insert({0, 1}, 11);
  CHECK_FALSE(buffer.may_read(1)); // whole, but not yet taken
  buffer.take();
  CHECK(buffer.may_read(0));
  CHECK(buffer.may_read(1));
  CHECK_FALSE(buffer.may_read(2));
}

TEST_CASE("payloads are moved, never copied, and may have no default value") {
  struct payload {
    explicit payload(int v) : value(std::make_unique<int>(v)) {}
    std::unique_ptr<int> value;
  };
  step_buffer<payload> buffer(small_plan());
  buffer.insert({0, 1}, payload(11));
  buffer.insert({0, 0}, payload(10));
  const auto taken = buffer.take();
  REQUIRE(taken.size() == 2);
  CHECK(*taken[0].value == 10);
  CHECK(*taken[1].value == 11);
}

TEST_CASE("a batch that is not of the job is refused") {
  step_buffer<int> buffer(small_plan());
  CHECK_THROWS_AS(buffer.insert({2, 0}, 0), std::invalid_argument);
  CHECK_THROWS_AS(buffer.insert({0, 5}, 0), std::invalid_argument);
  CHECK(buffer.held() == 0);
}

TEST_CASE("any order of arrival, with repeats, gives every batch once and in order (STEP-1, "
          "STEP-2)") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    fixed_seed_generator random(seed);
    const step_plan steps(
        batch_plan({.samples = 1 + random.below(17), .batch_size = 1, .epochs = 3}),
        1 + static_cast<std::uint32_t>(random.below(5)));
    const auto total = steps.batches().total_batches();
    std::vector<std::uint64_t> arrivals;
    for (std::uint64_t i = 0; i < total; ++i) arrivals.insert(arrivals.end(), 2, i);
    random.shuffle(arrivals);
    step_buffer<std::uint64_t> buffer(steps);
    std::uint64_t kept = 0, next = 0;
    for (const auto ordinal : arrivals) {
      kept += buffer.insert(steps.batches().batch_at(ordinal), ordinal);
      while (buffer.ready()) {
        const auto step = buffer.current_step();
        const auto taken = buffer.take();
        REQUIRE(taken.size() == steps.batch_count(step));
        for (const auto value : taken) REQUIRE(value == next++);
      }
      REQUIRE(buffer.held() == kept - next);
    }
    CHECK(kept == total);
    CHECK(next == total);
    CHECK(buffer.current_step() == steps.total_steps());
    CHECK(buffer.may_read(steps.total_steps()));
    CHECK_FALSE(buffer.ready());
    CHECK_THROWS_AS(buffer.take(), std::logic_error);
  }
}

TEST_CASE("a buffer that goes on takes the steps below as taken (STEP-2, STEP-3)") {
  step_buffer<int> buffer(small_plan(), 2);
  CHECK(buffer.current_step() == 2);
  CHECK(buffer.may_read(2));
  CHECK_FALSE(buffer.may_read(3));
  CHECK_FALSE(buffer.insert({0, 3}, 13)); // of step 1
  CHECK(buffer.insert({1, 0}, 20));
  CHECK(buffer.insert({1, 1}, 21));
  CHECK_FALSE(buffer.ready());
  CHECK(buffer.insert({0, 4}, 14));
  CHECK(buffer.take() == std::vector<int>{14});
  CHECK(buffer.take() == std::vector<int>{20, 21});
  CHECK(buffer.current_step() == 4);
}

TEST_CASE("what is kept is visited in batch order, over all steps, and nothing else") {
  step_buffer<int> buffer(small_plan());
  using list = std::vector<std::pair<batch_id, int>>;
  const auto kept = [&] {
    list result;
    buffer.for_each([&](batch_id id, int payload) { result.emplace_back(id, payload); });
    return result;
  };
  CHECK(kept().empty());
  buffer.insert({1, 3}, 23);
  buffer.insert({0, 4}, 14);
  buffer.insert({0, 1}, 11);
  buffer.insert({1, 2}, 22);
  CHECK(kept() == list{{{0, 1}, 11}, {{0, 4}, 14}, {{1, 2}, 22}, {{1, 3}, 23}});
  buffer.insert({0, 0}, 10);
  buffer.take();
  CHECK(kept() == list{{{0, 4}, 14}, {{1, 2}, 22}, {{1, 3}, 23}});
}
