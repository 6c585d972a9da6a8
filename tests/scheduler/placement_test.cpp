#include "troupe/scheduler/placement.hpp"

#include <algorithm>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

constexpr node_id n0{0}, n1{1}, n2{2};
using nodes = std::vector<node_id>;

std::uint32_t count(const nodes& where, node_id node) {
  return static_cast<std::uint32_t>(std::count(where.begin(), where.end(), node));
}

} // namespace

TEST_CASE("shards and workers are spread over the nodes in join order (PLACE-2)") {
  const auto p = place({{n0, 2, 2}, {n1, 2, 2}}, 2, 3);
  REQUIRE(p.has_value());
  CHECK(p->shards == nodes{n0, n1});
  CHECK(p->workers == nodes{n0, n1, n0});
}

TEST_CASE("a worker goes rather to the node without a shard (PLACE-2)") {
  const auto p = place({{n0, 1, 1}, {n1, 1, 1}}, 1, 1);
  REQUIRE(p.has_value());
  CHECK(p->shards == nodes{n0});
  CHECK(p->workers == nodes{n1});
}

TEST_CASE("no node gets more than it offers (PLACE-1)") {
  const auto p = place({{n0, 0, 1}, {n1, 3, 0}, {n2, 1, 2}}, 3, 3);
  REQUIRE(p.has_value());
  CHECK(p->shards == nodes{n1, n2, n1});
  CHECK(p->workers == nodes{n0, n2, n2});
}

TEST_CASE("in hogwild the first node that offers everything gets everything (PLACE-3)") {
  const std::vector<node_offer> offers{{n0, 2, 1}, {n1, 2, 2}, {n2, 2, 2}};
  const auto p = place(offers, 2, 2, true);
  REQUIRE(p.has_value());
  CHECK(p->shards == nodes{n1, n1});
  CHECK(p->workers == nodes{n1, n1});
  CHECK(place(offers, 2, 3, true) == place(offers, 2, 3, false));
}

TEST_CASE("while offers do not suffice there is no placement, and words say what is missing") {
  CHECK_FALSE(place({}, 1, 1).has_value());
  CHECK_FALSE(place({{n0, 5, 0}}, 1, 1, true).has_value());
  CHECK(describe_missing({}, 1, 2) == "1 more shard and 2 more workers");
  CHECK(describe_missing({{n0, 1, 1}}, 1, 2) == "1 more worker");
  CHECK(describe_missing({{n0, 1, 5}}, 3, 2) == "2 more shards");
  CHECK(describe_missing({{n0, 1, 2}}, 1, 2).empty());
  CHECK(describe_missing({}, 0, 0).empty());
  CHECK(place({}, 0, 0) == placement{});
}

TEST_CASE("offers whose sum exceeds 32 bits suffice") {
  const std::uint32_t most = 0xffffffffu;
  CHECK(describe_missing({{n0, most, most}, {n1, 1, 1}}, 2, 2).empty());
  CHECK(place({{n0, most, most}, {n1, 1, 1}}, 2, 2).has_value());
}

TEST_CASE("a node that is named twice is refused") {
  CHECK_THROWS_AS(place({{n0, 1, 1}, {n0, 1, 1}}, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(describe_missing({{n0, 1, 1}, {n0, 1, 1}}, 1, 1), std::invalid_argument);
}

TEST_CASE("for random offers a placement exists exactly when they suffice, keeps to them and is "
          "even (PLACE-1, PLACE-2)") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    fixed_seed_generator random(seed);
    const auto draw = [&](std::uint64_t bound) {
      return static_cast<std::uint32_t>(random.below(bound));
    };
    std::vector<node_offer> offers;
    std::uint32_t offered_shards = 0, offered_workers = 0;
    for (std::uint32_t n = draw(6); n > 0; --n) {
      offers.push_back({.node = {n}, .shards = draw(4), .workers = draw(4)});
      offered_shards += offers.back().shards;
      offered_workers += offers.back().workers;
    }
    const auto shards = draw(8), workers = draw(8);
    const auto p = place(offers, shards, workers);
    REQUIRE(p.has_value() == (shards <= offered_shards && workers <= offered_workers));
    REQUIRE(p.has_value() == describe_missing(offers, shards, workers).empty());
    if (!p) continue;
    REQUIRE(p->shards.size() == shards);
    REQUIRE(p->workers.size() == workers);
    for (const auto& a : offers) {
      REQUIRE(count(p->shards, a.node) <= a.shards);
      REQUIRE(count(p->workers, a.node) <= a.workers);
      for (const auto& b : offers) {
        if (count(p->shards, b.node) < b.shards)
          REQUIRE(count(p->shards, a.node) <= count(p->shards, b.node) + 1);
        if (count(p->workers, b.node) < b.workers)
          REQUIRE(count(p->workers, a.node) <= count(p->workers, b.node) + 1);
      }
    }
  }
}
