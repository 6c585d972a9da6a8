#include "troupe/scheduler/batch_plan.hpp"

#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

TEST_CASE("the batches of an epoch cover every sample exactly once (PLAN-1)") {
  for (const std::size_t samples : {1, 2, 7, 63, 64, 65, 100, 1001}) {
    for (const std::size_t batch_size : {1, 2, 3, 7, 64, 2000}) {
      const batch_plan plan({.samples = samples, .batch_size = batch_size, .epochs = 3});
      for (std::uint32_t e = 0; e < plan.epochs(); ++e) {
        std::size_t position = 0;
        for (std::uint32_t i = 0; i < plan.batches_per_epoch(); ++i) {
          REQUIRE(plan.first_position({e, i}) == position);
          REQUIRE(plan.samples_in({e, i}) >= 1);
          REQUIRE(plan.samples_in({e, i}) <= batch_size);
          if (i + 1 < plan.batches_per_epoch()) REQUIRE(plan.samples_in({e, i}) == batch_size);
          position += plan.samples_in({e, i});
        }
        REQUIRE(position == samples);
      }
    }
  }
}

TEST_CASE("only the last batch of an epoch may be smaller") {
  const batch_plan plan({.samples = 10, .batch_size = 4, .epochs = 2});
  CHECK(plan.batches_per_epoch() == 3);
  CHECK(plan.total_batches() == 6);
  CHECK(plan.total_samples() == 20);
  CHECK(plan.samples_in({1, 1}) == 4);
  CHECK(plan.samples_in({1, 2}) == 2);
}

TEST_CASE("ordinals are dense, ordered and lead back to the batch (PLAN-2)") {
  const batch_plan plan({.samples = 13, .batch_size = 3, .epochs = 4});
  std::uint64_t expected = 0;
  for (std::uint32_t e = 0; e < 4; ++e)
    for (std::uint32_t i = 0; i < 5; ++i, ++expected) {
      CHECK(plan.ordinal({e, i}) == expected);
      CHECK(plan.batch_at(expected) == batch_id{e, i});
    }
  CHECK(expected == plan.total_batches());
}

TEST_CASE("ordinals of a very long job do not wrap around") {
  const std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  const batch_plan plan({.samples = most, .batch_size = 1, .epochs = most});
  const batch_id last{most - 1, most - 1};
  CHECK(plan.ordinal(last) == std::uint64_t{most} * most - 1);
  CHECK(plan.batch_at(plan.ordinal(last)) == last);
}

TEST_CASE("a job without epochs has no batches") {
  const batch_plan plan({.samples = 5, .batch_size = 2, .epochs = 0});
  CHECK(plan.total_batches() == 0);
  CHECK_FALSE(plan.contains({0, 0}));
  CHECK_THROWS_AS(plan.batch_at(0), std::invalid_argument);
}

TEST_CASE("a batch that is not of the job is refused by name") {
  const batch_plan plan({.samples = 10, .batch_size = 4, .epochs = 2});
  CHECK(plan.contains({1, 2}));
  for (const batch_id id : {batch_id{2, 0}, batch_id{0, 3}}) {
    CHECK_FALSE(plan.contains(id));
    CHECK_THROWS_AS(plan.ordinal(id), std::invalid_argument);
    CHECK_THROWS_AS(plan.samples_in(id), std::invalid_argument);
    CHECK_THROWS_AS(plan.first_position(id), std::invalid_argument);
  }
  CHECK_THROWS_AS(plan.batch_at(6), std::invalid_argument);
  CHECK_THROWS_WITH(plan.ordinal({0, 3}), Catch::Contains("batch 3 of epoch 0"));
}

TEST_CASE("a plan of no samples, of empty batches or of too many batches is refused") {
  using options = batch_plan::options;
  CHECK_THROWS_AS(batch_plan(options{.samples = 0}), std::invalid_argument);
  CHECK_THROWS_AS(batch_plan(options{.samples = 5, .batch_size = 0}), std::invalid_argument);
  CHECK_THROWS_AS(batch_plan(options{.samples = std::size_t{1} << 32, .batch_size = 1}),
                  std::invalid_argument);
  CHECK_NOTHROW(batch_plan(options{.samples = (std::size_t{1} << 32) - 1, .batch_size = 1}));
}
