#include "troupe/values/ids.hpp"

#include <type_traits>
#include <unordered_set>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

TEST_CASE("batch ids are ordered by epoch, then by index") {
  CHECK(batch_id{0, 9} < batch_id{1, 0});
  CHECK(batch_id{1, 0} < batch_id{1, 1});
  CHECK(batch_id{2, 3} == batch_id{2, 3});
  CHECK(batch_id{2, 3} != batch_id{3, 2});
}

TEST_CASE("ids of different kinds do not convert into each other") {
  STATIC_REQUIRE_FALSE(std::is_convertible_v<worker_id, shard_id>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<node_id, worker_id>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<std::uint32_t, worker_id>);
}

TEST_CASE("ids are keys of hashed containers, epoch and index both counting") {
  std::unordered_set<batch_id> batches;
  for (std::uint32_t e = 0; e < 7; ++e)
    for (std::uint32_t i = 0; i < 11; ++i) batches.insert({e, i});
  CHECK(batches.size() == 77);
  CHECK(std::hash<batch_id>{}({1, 2}) != std::hash<batch_id>{}({2, 1}));
  CHECK(std::unordered_set<worker_id>{{1}, {2}, {1}}.size() == 2);
  CHECK(std::unordered_set<shard_id>{{1}, {2}, {1}}.size() == 2);
  CHECK(std::unordered_set<node_id>{{1}, {2}, {1}}.size() == 2);
  CHECK(std::unordered_set<view_number>{{1}, {2}, {1}}.size() == 2);
}

TEST_CASE("ids read as what they are") {
  CHECK(to_string(batch_id{1, 7}) == "batch 7 of epoch 1");
  CHECK(to_string(worker_id{2}) == "worker 2");
  CHECK(to_string(shard_id{3}) == "shard 3");
  CHECK(to_string(node_id{4}) == "node 4");
  CHECK(to_string(view_number{5}) == "view 5");
}
