#include "troupe/scheduler/shard_set.hpp"

#include <set>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

TEST_CASE("a set of shards holds what std::set does", "[shard_set]") {
  fixed_seed_generator random{1};
  shard_set set;
  std::set<shard_id> expected;
  for (int i = 0; i < 5'000; ++i) {
    const shard_id s{static_cast<std::uint32_t>(random.below(200))};
    if (random.below(2) == 0)
      CHECK(set.insert(s) == expected.insert(s).second);
    else
      CHECK(set.erase(s) == (expected.erase(s) > 0));
    CHECK(set.contains(s) == expected.contains(s));
    CHECK(set.size() == expected.size());
    CHECK(std::vector<shard_id>(set.begin(), set.end()) ==
          std::vector<shard_id>(expected.begin(), expected.end()));
  }
}

TEST_CASE("a set of shards of every size", "[shard_set]") {
  CHECK(shard_set{}.empty());
  CHECK(shard_set{}.begin() == shard_set{}.end());
  CHECK_FALSE(shard_set{}.contains(shard_id{7}));
  CHECK_FALSE(shard_set{}.erase(shard_id{700}));
  for (std::uint32_t count : {0u, 1u, 63u, 64u, 65u, 128u, 130u}) {
    const auto all = shard_set::first(count);
    std::uint32_t next = 0;
    for (auto s : all) CHECK(s == shard_id{next++});
    CHECK(next == count);
    CHECK(all.size() == count);
  }
  shard_set far{shard_id{1}, shard_id{500}};
  CHECK(*std::next(far.begin()) == shard_id{500});
  CHECK(far.erase(shard_id{500}));
  CHECK(std::next(far.begin()) == far.end());
}
