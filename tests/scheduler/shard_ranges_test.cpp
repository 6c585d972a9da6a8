#include "troupe/scheduler/shard_ranges.hpp"

#include <algorithm>
#include <stdexcept>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

TEST_CASE("ranges cover all parameters, none is empty, sizes are balanced, cuts are aligned "
          "(RANGES-1, RANGES-2, RANGES-3)") {
  for (std::size_t parameters = 1; parameters <= 700; ++parameters) {
    for (std::uint32_t shards = 1; shards <= std::min<std::size_t>(parameters, 50); ++shards) {
      CAPTURE(parameters, shards);
      const auto ranges = make_shard_ranges(parameters, shards);
      bool good = ranges.size() == shards;
      const bool line_each = (parameters + 15) / 16 >= shards;
      std::size_t next = 0, smallest = parameters, largest = 0;
      for (const auto& range : ranges) {
        good = good && range.first == next && range.size > 0;
        good = good && (!line_each || range.first % 16 == 0);
        next = range.first + range.size;
        smallest = std::min(smallest, range.size);
        largest = std::max(largest, range.size);
      }
      good = good && next == parameters && largest - smallest <= (line_each ? 16u : 1u);
      if (!good) FAIL("RANGES broken"); // one check a case: there are 34,000 of them
    }
  }
}

TEST_CASE("the ranges of a known model are these") {
  using ranges = std::vector<shard_range>;
  CHECK(make_shard_ranges(101'770, 2) == ranges{{0, 50'880}, {50'880, 50'890}});
  CHECK(make_shard_ranges(100, 1) == ranges{{0, 100}});
  CHECK(make_shard_ranges(3, 3) == ranges{{0, 1}, {1, 1}, {2, 1}});
  CHECK(make_shard_ranges(17, 2) == ranges{{0, 16}, {16, 1}});
}

TEST_CASE("no shard, and more shards than parameters, are refused") {
  CHECK_THROWS_AS(make_shard_ranges(10, 0), std::invalid_argument);
  CHECK_THROWS_AS(make_shard_ranges(0, 1), std::invalid_argument);
  CHECK_THROWS_AS(make_shard_ranges(2, 3), std::invalid_argument);
  CHECK_THROWS_WITH(make_shard_ranges(2, 3), Catch::Contains("2 parameters for 3 shards"));
}
