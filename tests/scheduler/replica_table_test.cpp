#include "troupe/scheduler/replica_table.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

namespace {

constexpr node_id n0{0}, n1{1};
constexpr shard_id s0{0}, s1{1};

} // namespace

TEST_CASE("TABLE-1: a shard's primary is the first of its chain, once that replica exists") {
  replica_table t{2, 2};
  CHECK_FALSE(t.primary(s0).node.has_value());
  t.views().place({{n0, n1}, {n1, n0}});
  CHECK_FALSE(t.primary(s0).node.has_value());
  t.add(s0, n1); // a backup
  CHECK_FALSE(t.primary(s0).node.has_value());
  t.add(s0, n0);
  t.add(s1, n1);
  CHECK(t.primary(s0).node == n0);
  CHECK(t.primaries().size() == 2);
  CHECK(t.primaries()[1].shard == s1);
  CHECK(t.primaries()[1].node == n1);
  CHECK(t.erase(s0, n0));
  CHECK_FALSE(t.erase(s0, n0));
  CHECK_FALSE(t.primary(s0).node.has_value());
  t.views().remove(n0);
  CHECK(t.primary(s0).node == n1);
  t.clear();
  CHECK_FALSE(t.primary(s0).node.has_value());
}

TEST_CASE("who leads is asked of the views, who holds what of the replicas") {
  replica_table t{2, 2};
  t.views().place({{n0, n1}, {n0, n1}});
  CHECK(t.leads(n0));
  CHECK_FALSE(t.leads(n1));
  t.add(s1, n1);
  CHECK(t.on(n1) == std::vector{s1});
  CHECK(t.on(n0).empty());
  CHECK(t.exists(s1, n1));
  const auto present = t.present({s1});
  REQUIRE(present.size() == 1);
  CHECK(present[0].first == s1);
  CHECK(present[0].second == t.views().view(s1));
}
