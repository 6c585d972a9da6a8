#include "troupe/scheduler/membership.hpp"

#include <stdexcept>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr node_id n0{0}, n1{1}, n7{7};
constexpr worker_id w0{0}, w1{1}, w2{2};
using nodes = std::vector<node_id>;
using workers = std::vector<worker_id>;

membership::time_point at(std::chrono::milliseconds since_start) {
  return membership::time_point(since_start);
}

// Two nodes; workers 2 and 0 on node 1, worker 1 on node 0, joined in this order.
membership two_nodes() {
  membership members;
  members.join(n1, at(0ms));
  members.join(n0, at(0ms));
  members.join(w2, n1, at(0ms));
  members.join(w1, n0, at(0ms));
  members.join(w0, n1, at(0ms));
  return members;
}

} // namespace

TEST_CASE("an empty membership has nobody and gives out the first ids") {
  membership members;
  CHECK(members.live_nodes().empty());
  CHECK(members.live_workers().empty());
  CHECK(members.next_node_id() == n0);
  CHECK(members.next_worker_id() == w0);
  CHECK(members.silent_since(at(1h), 1ms).empty());
  CHECK_FALSE(members.live(n0));
  CHECK_FALSE(members.find(n0).has_value());
  CHECK_FALSE(members.find(w0).has_value());
}

TEST_CASE("members are listed in join order (MEMBERS-3)") {
  auto members = two_nodes();
  CHECK(members.live_nodes() == nodes{n1, n0});
  CHECK(members.live_workers() == workers{w2, w1, w0});
  CHECK(members.workers_of(n1) == workers{w2, w0});
  CHECK(members.workers_of(n7).empty());
  members.join(n7, at(1ms));
  CHECK(members.next_node_id() == node_id{8});
  CHECK(members.next_worker_id() == worker_id{3});
}

TEST_CASE("a member goes from joined to active to its end") {
  auto members = two_nodes();
  CHECK(members.find(n0)->state == member_state::joined);
  CHECK(members.activate(n0));
  CHECK(members.activate(n0));
  CHECK(members.find(n0)->state == member_state::active);
  CHECK(members.activate(w1));
  CHECK(members.find(w1)->state == member_state::active);
  CHECK(members.find(w1)->node == n0);
  CHECK(members.leave(w1));
  CHECK(members.find(w1)->state == member_state::left);
  CHECK_FALSE(members.activate(w1));
  CHECK_FALSE(members.leave(w1));
  CHECK_FALSE(members.lose(w1));
  CHECK(members.find(w1)->state == member_state::left);
  CHECK_FALSE(members.activate(n7));
  CHECK_FALSE(members.lose(worker_id{9}));
}

TEST_CASE("the end of a node ends its live workers in the same step and names them (MEMBERS-2)") {
  auto members = two_nodes();
  members.leave(w2);
  CHECK(members.lose(n1) == workers{w0});
  CHECK_FALSE(members.live(n1));
  CHECK_FALSE(members.live(w0));
  CHECK(members.find(w0)->state == member_state::lost);
  CHECK(members.find(w2)->state == member_state::left);
  CHECK(members.live_nodes() == nodes{n0});
  CHECK(members.live_workers() == workers{w1});
  CHECK(members.live_node_count() == 1);
  CHECK(members.live_worker_count() == 1);
  CHECK(members.workers_of(n1).empty());
  CHECK(members.lose(n1).empty());
  CHECK(members.lose(n7).empty());
  CHECK(members.leave(n0) == workers{w1});
  CHECK(members.find(n0)->state == member_state::left);
  CHECK(members.live_worker_count() == 0);
}

TEST_CASE("an id is never used twice, and a worker needs a live node (MEMBERS-1, MEMBERS-2)") {
  auto members = two_nodes();
  CHECK_THROWS_AS(members.join(n0, at(0ms)), std::logic_error);
  members.lose(n0);
  CHECK_THROWS_AS(members.join(n0, at(0ms)), std::logic_error);
  CHECK_THROWS_AS(members.join(w1, n1, at(0ms)), std::logic_error);
  CHECK_THROWS_AS(members.join(worker_id{9}, n0, at(0ms)), std::logic_error);
  CHECK_THROWS_AS(members.join(worker_id{9}, n7, at(0ms)), std::logic_error);
  CHECK_FALSE(members.find(worker_id{9}).has_value());
  CHECK(members.live_nodes() == nodes{n1});
}

TEST_CASE("a member is silent when it was not heard of for the timeout") {
  auto members = two_nodes();
  CHECK(members.heard(n0, at(5ms)));
  CHECK(members.heard(n0, at(3ms))); // an older sign of life does not make it silent sooner
  CHECK(members.silent_since(at(9ms), 10ms).empty());
  CHECK(members.silent_since(at(10ms), 10ms) == nodes{n1});
  CHECK(members.silent_since(at(14ms), 10ms) == nodes{n1});
  CHECK(members.silent_since(at(15ms), 10ms) == nodes{n1, n0});
  members.lose(n1);
  CHECK(members.silent_since(at(15ms), 10ms) == nodes{n0});
}

TEST_CASE("a sign of life of a worker is one of its node, not of the other workers") {
  auto members = two_nodes();
  CHECK(members.heard(w0, at(8ms)));
  CHECK(members.silent_since(at(10ms), 10ms) == nodes{n0});
  CHECK(members.silent_workers_since(at(10ms), 10ms) == workers{w2, w1});
  CHECK(members.heard(w0, at(2ms)));
  CHECK(members.silent_workers_since(at(17ms), 10ms) == workers{w2, w1});
  CHECK(members.silent_workers_since(at(18ms), 10ms) == workers{w2, w1, w0});
  CHECK(members.heard(n1, at(9ms)));
  CHECK(members.silent_workers_since(at(10ms), 10ms) == workers{w2, w1});
}

TEST_CASE("one that has ended is not brought back by a sign of life (MEMBERS-1)") {
  auto members = two_nodes();
  members.lose(n1);
  CHECK_FALSE(members.heard(n1, at(1ms)));
  CHECK_FALSE(members.heard(w0, at(1ms)));
  CHECK_FALSE(members.heard(n7, at(1ms)));
  CHECK_FALSE(members.live(n1));
  CHECK(members.find(n1)->heard_at == at(0ms));
}

TEST_CASE("states read as words") {
  CHECK(to_string(member_state::joined) == "joined");
  CHECK(to_string(member_state::active) == "active");
  CHECK(to_string(member_state::left) == "left");
  CHECK(to_string(member_state::lost) == "lost");
}
