#include "troupe/scheduler/step_plan.hpp"

#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

namespace {

step_plan steps_of(std::size_t samples, std::size_t batch_size, std::uint32_t epochs,
                   std::uint32_t batches_per_step) {
  return {batch_plan({.samples = samples, .batch_size = batch_size, .epochs = epochs}),
          batches_per_step};
}

} // namespace

TEST_CASE("every batch is in exactly one step, in order, and no step straddles an epoch (STEPS-1, "
          "STEPS-2)") {
  for (const std::size_t samples : {1, 2, 5, 12, 13}) {
    for (const std::uint32_t g : {1u, 2u, 3u, 5u, 100u}) {
      const auto steps = steps_of(samples, 1, 3, g);
      const auto& plan = steps.batches();
      std::uint64_t next = 0;
      for (std::uint64_t k = 0; k < steps.total_steps(); ++k) {
        const auto in_step = steps.batches_in(k);
        REQUIRE_FALSE(in_step.empty());
        REQUIRE(in_step.size() <= g);
        REQUIRE(in_step.size() == steps.batch_count(k));
        REQUIRE(in_step.front() == steps.first_batch(k));
        for (const auto id : in_step) {
          REQUIRE(plan.ordinal(id) == next++);
          REQUIRE(steps.step_of(id) == k);
          REQUIRE(id.epoch == in_step.front().epoch);
        }
      }
      REQUIRE(next == plan.total_batches());
    }
  }
}

TEST_CASE("the last step of an epoch may have fewer batches and samples") {
  const auto steps = steps_of(19, 2, 2, 4); // 10 batches, the last with 1 sample; 3 steps an epoch
  CHECK(steps.batches_per_step() == 4);
  CHECK(steps.steps_per_epoch() == 3);
  CHECK(steps.total_steps() == 6);
  CHECK(steps.batch_count(1) == 4);
  CHECK(steps.batch_count(2) == 2);
  CHECK(steps.samples_in(1) == 8);
  CHECK(steps.samples_in(5) == 3);
  CHECK(steps.last_step_of_epoch(0) == 2);
  CHECK(steps.last_step_of_epoch(1) == 5);
  CHECK(steps.batches_in(5) == std::vector<batch_id>{{1, 8}, {1, 9}});
}

TEST_CASE("a step larger than an epoch is the epoch") {
  const auto steps = steps_of(5, 2, 2, std::numeric_limits<std::uint32_t>::max());
  CHECK(steps.steps_per_epoch() == 1);
  CHECK(steps.batch_count(1) == 3);
  CHECK(steps.samples_in(1) == 5);
}

TEST_CASE("what is not of the job is refused") {
  CHECK_THROWS_AS(steps_of(5, 2, 2, 0), std::invalid_argument);
  const auto steps = steps_of(5, 2, 2, 2);
  CHECK_THROWS_AS(steps.step_of({2, 0}), std::invalid_argument);
  CHECK_THROWS_AS(steps.step_of({0, 3}), std::invalid_argument);
  CHECK_THROWS_AS(steps.first_batch(4), std::invalid_argument);
  CHECK_THROWS_AS(steps.batch_count(4), std::invalid_argument);
  CHECK_THROWS_AS(steps.batches_in(4), std::invalid_argument);
  CHECK_THROWS_AS(steps.samples_in(4), std::invalid_argument);
  CHECK_THROWS_AS(steps.last_step_of_epoch(2), std::invalid_argument);
  CHECK(steps_of(5, 2, 0, 2).total_steps() == 0);
}
