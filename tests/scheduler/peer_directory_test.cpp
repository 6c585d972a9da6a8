#include "troupe/scheduler/peer_directory.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

// Handles are numbers; 0 is null.
using directory = peer_directory<int, int>;
using route = directory::route;
using admission = directory::admission;

directory::time_point at(directory::duration since_start) {
  return directory::time_point(since_start);
}

constexpr shard_id s0{0}, s1{1};
constexpr node_id n0{0}, n1{1}, n2{2}, n3{3};

directory node(node_id self) {
  directory d;
  d.become(self);
  return d;
}

shard_view view(std::uint64_t number, std::vector<node_id> chain,
                std::optional<node_id> learner = {}) {
  return {{number}, std::move(chain), learner};
}

std::vector<node_id> asked(directory& d, shard_id shard) {
  std::vector<node_id> nodes;
  for (const auto& s : d.searches(shard)) nodes.push_back(s.node);
  return nodes;
}

// Looks up all members of the shard's view and finds them: 10 on node 0, 11 on node 1, ...
void find_all(directory& d, shard_id shard) {
  for (const auto& s : d.searches(shard)) CHECK(d.found(s, 10 + static_cast<int>(s.node.value)));
}

using nodes = std::vector<node_id>;
using shards = std::vector<shard_id>;

} // namespace

TEST_CASE("an older view changes nothing, and the same one again is taken") {
  auto d = node(n0);
  CHECK(d.view(s0) == nullptr);
  CHECK(d.shards().empty());
  REQUIRE(d.install(s0, view(3, {n1})));
  CHECK_FALSE(d.install(s0, view(2, {n2})));
  CHECK(*d.view(s0) == view(3, {n1}));
  CHECK(d.install(s0, view(3, {n1})));
  CHECK(d.install(s1, view(1, {n2})));
  CHECK(d.shards() == shards{s0, s1});
}

TEST_CASE("all members of a view are looked up but this node, each once") {
  auto d = node(n1);
  CHECK(asked(d, s0).empty());
  d.install(s0, view(1, {n0, n1, n2}, n3));
  const auto first = d.searches(s0);
  REQUIRE(first.size() == 3);
  for (const auto& s : first) {
    CHECK(s.shard == s0);
    CHECK(s.view == view_number{1});
  }
  CHECK(first[0].node == n0);
  CHECK(first[1].node == n2);
  CHECK(first[2].node == n3);
  CHECK(asked(d, s0).empty()); // under way
  CHECK(d.found(first[0], 10));
  CHECK(asked(d, s0).empty()); // found, or under way
  CHECK(d.not_found(first[1]));
  CHECK(asked(d, s0) == nodes{n2});
}

TEST_CASE("a shard is looked at again once, however many of its members are out of reach") {
  auto d = node(n0);
  d.install(s0, view(1, {n1, n2}));
  d.install(s1, view(1, {n1}));
  const auto of_0 = d.searches(s0), of_1 = d.searches(s1);
  CHECK(d.not_found(of_0[0]));
  CHECK_FALSE(d.not_found(of_0[1]));
  CHECK(d.not_found(of_1[0]));
  d.look_again(s0);
  const auto again = d.searches(s0);
  REQUIRE(again.size() == 2);
  CHECK(d.not_found(again[0]));
}

TEST_CASE("a replica that left the view is looked up anew when it comes back") {
  auto d = node(n0);
  d.install(s0, view(1, {n1, n2}));
  find_all(d, s0);
  d.install(s1, view(1, {n2}));
  find_all(d, s1);
  d.install(s0, view(2, {n1}));
  CHECK(asked(d, s0).empty());
  d.install(s0, view(3, {n1}, n2));
  CHECK(asked(d, s0) == nodes{n2});
  CHECK(asked(d, s1).empty()); // the other shard's stays
}

TEST_CASE("NODE-5: of two nodes with replicas the one with the higher number connects") {
  auto low = node(n1), high = node(n2);
  for (auto* d : {&low, &high}) d->install(s0, view(1, {n1, n2}));
  CHECK(high.route_to(n1, at(0ms)) == route::connect);
  CHECK(low.route_to(n2, at(0ms)) == route::wait);
  CHECK(low.route_to(n2, at(directory::greeting_patience - 1ms)) == route::wait);
  SECTION("the other one is connected by then") {
    low.connected(n2, 7);
    CHECK(low.route_to(n2, at(1s)) == route::connected);
    CHECK(low.nodes().at(n2) == 7);
  }
  SECTION("and the other one after the patience, for the first may be unable to") {
    CHECK(low.route_to(n2, at(directory::greeting_patience)) == route::connect);
  }
  SECTION("a learner holds a replica, too") {
    auto learner = node(n0);
    learner.install(s0, view(1, {n1}, n0));
    CHECK(learner.route_to(n1, at(0ms)) == route::wait);
  }
  SECTION("a replica of any shard counts") {
    auto other = node(n0);
    other.install(s0, view(1, {n1}));
    other.install(s1, view(1, {n0}));
    CHECK(other.route_to(n1, at(0ms)) == route::wait);
  }
}

TEST_CASE("NODE-5: a node without replicas connects at once, whatever its number") {
  auto d = node(n0);
  d.install(s0, view(1, {n1}, n2));
  CHECK(d.route_to(n1, at(0ms)) == route::connect);
  CHECK(d.route_to(n2, at(0ms)) == route::connect);
}

TEST_CASE("after a failed attempt to connect to a node there is a pause, for that node alone") {
  auto d = node(n3);
  d.install(s0, view(1, {n1, n2}));
  REQUIRE(d.route_to(n1, at(0ms)) == route::connect);
  d.unreachable(n1, at(100ms));
  CHECK(d.route_to(n1, at(100ms + directory::connect_pause - 1ms)) == route::wait);
  CHECK(d.route_to(n2, at(200ms)) == route::connect);
  CHECK(d.route_to(n1, at(100ms + directory::connect_pause)) == route::connect);
}

TEST_CASE("NODE-9: a node that cannot be connected to is reported after 2.5 s, each time, and when "
          "it is") {
  auto d = node(n3);
  d.install(s0, view(1, {n1, n2}));
  REQUIRE(d.route_to(n1, at(0s)) == route::connect);
  CHECK_FALSE(d.unreachable(n1, at(1s)));
  CHECK_FALSE(d.unreachable(n1, at(2499ms)));
  CHECK(d.unreachable(n1, at(2500ms)));
  CHECK(d.unreachable(n1, at(4s)));
  CHECK(d.connected(n1, 1));
  CHECK_FALSE(d.connected(n1, 1)); // told once
  CHECK_FALSE(d.connected(n2, 2)); // never reported

  SECTION("the time begins again with a closed connection") {
    d.disconnected(n1);
    REQUIRE(d.route_to(n1, at(10s)) == route::connect);
    CHECK_FALSE(d.unreachable(n1, at(11s)));
    CHECK(d.unreachable(n1, at(12500ms)));
  }
}

TEST_CASE("NODE-6: what lived behind a closed connection is looked up again") {
  auto d = node(n3);
  d.install(s0, view(1, {n1, n2}));
  d.install(s1, view(1, {n2, n1}));
  d.connected(n1, 1);
  d.connected(n2, 2);
  find_all(d, s0);
  const auto open = d.searches(s1); // under way when it closes
  REQUIRE(open.size() == 2);
  CHECK(d.found(open[0], 12));

  CHECK(d.disconnected(n1) == shards{s0, s1}); // in a moment, each
  CHECK(d.disconnected(n1).empty());           // and once
  CHECK_FALSE(d.nodes().contains(n1));
  CHECK(d.nodes().contains(n2));
  CHECK(d.primary(s0, 0) == std::nullopt);
  CHECK(d.primary(s1, 0)->replica == 12);
  for (auto shard : {s0, s1}) {
    d.look_again(shard);
    CHECK(asked(d, shard) == nodes{n1});
  }

  SECTION("the patience begins again with it") {
    auto low = node(n1);
    low.install(s0, view(1, {n1, n2}));
    REQUIRE(low.route_to(n2, at(0s)) == route::wait);
    low.connected(n2, 2);
    low.disconnected(n2);
    CHECK(low.route_to(n2, at(10s)) == route::wait);
    CHECK(low.route_to(n2, at(12s)) == route::connect);
  }
  SECTION("a node that no view names any more is not looked up") {
    d.install(s0, view(2, {n2}));
    CHECK(asked(d, s0).empty());
  }
}

TEST_CASE("NODE-7: a search is answered in the same view, refused in an older, and a newer waits") {
  auto d = node(n0);
  CHECK(d.admit(s0, {1}) == admission::wait);
  d.install(s0, view(2, {n0}));
  CHECK(d.admit(s0, {1}) == admission::refuse);
  CHECK(d.admit(s0, {2}) == admission::answer);
  CHECK(d.admit(s0, {3}) == admission::wait);
  CHECK(d.admit(s1, {2}) == admission::wait); // of another shard
  d.install(s0, view(4, {n1}));
  CHECK(d.admit(s0, {3}) == admission::refuse);
  d.clear(); // the run goes back: what was known is known no more
  CHECK(d.admit(s0, {4}) == admission::wait);
}

TEST_CASE("the primary is known once it is found, and this node's own replica when there is one") {
  auto d = node(n0);
  CHECK(d.primary(s0, 5) == std::nullopt);
  d.install(s0, view(1, {}));
  CHECK(d.primary(s0, 5) == std::nullopt);
  d.install(s0, view(2, {n1, n0}));
  CHECK(d.primary(s0, 5) == std::nullopt);
  find_all(d, s0);
  REQUIRE(d.primary(s0, 5));
  CHECK(d.primary(s0, 5)->replica == 11);
  CHECK(d.primary(s0, 5)->view == view_number{2});
  d.install(s0, view(3, {n0}));
  CHECK(d.primary(s0, 5)->replica == 5);
  CHECK(d.primary(s0, 0) == std::nullopt);
}

TEST_CASE("a replica's part is its place in the chain, with whom it sends its changes to") {
  const auto v = view(4, {n0, n1, n2}, n3);
  SECTION("primary") {
    auto d = node(n0);
    d.install(s0, v);
    CHECK_FALSE(d.part(s0)); // the next one is not found yet
    find_all(d, s0);
    const auto part = d.part(s0);
    REQUIRE(part);
    CHECK(part->view == view_number{4});
    CHECK(part->primary);
    CHECK_FALSE(part->learning);
    REQUIRE(part->next);
    CHECK(part->next->node == n1);
    CHECK(part->next->replica == 11);
    CHECK_FALSE(part->next->learns);
  }
  SECTION("tail") {
    auto d = node(n2);
    d.install(s0, v);
    auto part = d.part(s0);
    REQUIRE(part); // a learner that is not found holds up no view
    CHECK_FALSE(part->primary);
    REQUIRE(part->next);
    CHECK(part->next->node == n3);
    CHECK(part->next->replica == 0);
    CHECK(part->next->learns);
    find_all(d, s0);
    CHECK(d.part(s0)->next->replica == 13);
    d.install(s0, view(5, {n0, n2}));
    CHECK_FALSE(d.part(s0)->next);
  }
  SECTION("learner") {
    auto d = node(n3);
    d.install(s0, v);
    const auto part = d.part(s0);
    REQUIRE(part);
    CHECK(part->learning);
    CHECK_FALSE(part->primary);
    CHECK_FALSE(part->next);
  }
  SECTION("none: of no view, of no chain, of no member") {
    auto d = node(node_id{9});
    CHECK_FALSE(d.part(s0));
    d.install(s0, v);
    CHECK_FALSE(d.part(s0));
    d.install(s0, view(5, {}));
    CHECK_FALSE(d.part(s0));
    auto lost = node(n0);
    lost.install(s0, view(1, {n0}));
    lost.become(std::nullopt);
    CHECK_FALSE(lost.part(s0));
  }
}

TEST_CASE("what was asked before all roles were dropped is answered in vain") {
  auto d = node(n0);
  d.install(s0, view(1, {n1, n2}));
  d.connected(n1, 1);
  const auto before = d.searches(s0);
  REQUIRE(before.size() == 2);
  d.clear();
  CHECK(d.shards().empty());
  CHECK(d.nodes().contains(n1)); // connections stay
  d.install(s0, view(2, {n1, n2}));
  const auto after = d.searches(s0);
  REQUIRE(after.size() == 2);
  CHECK_FALSE(d.found(before[0], 11));
  CHECK_FALSE(d.not_found(before[1]));
  CHECK(d.primary(s0, 0) == std::nullopt);
  CHECK(asked(d, s0).empty()); // the new ones are still under way
  CHECK(d.found(after[0], 21));
  CHECK(d.primary(s0, 0)->replica == 21);
}
