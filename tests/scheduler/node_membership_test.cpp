#include "troupe/scheduler/node_membership.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;
using order = node_membership::order;
using refusal = node_membership::refusal;

namespace {

constexpr node_id n4{4}, n7{7};

node_membership::time_point at(node_membership::duration since_start) {
  return node_membership::time_point(since_start);
}

node_membership member(bool can_reconnect = true) {
  node_membership m{{.can_reconnect = can_reconnect, .patience = 60s}};
  CHECK(m.welcomed(n4));
  return m;
}

} // namespace

TEST_CASE("a membership begins with the first welcome, and not with one by the same number") {
  node_membership m;
  CHECK_FALSE(m.id());
  CHECK(m.welcomed(n4));
  CHECK(m.id() == n4);
  CHECK_FALSE(m.welcomed(n4));
  CHECK(m.welcomed(n7));
  CHECK(m.id() == n7);
}

TEST_CASE("NODE-3: a member whose scheduler is lost goes on, and looks for it") {
  auto m = member();
  CHECK(m.scheduler_lost(at(10s)) == order::look_for_scheduler);
  CHECK(m.alone());
  CHECK(m.id() == n4); // its roles go on under this number
  CHECK(m.scheduler_lost(at(11s)) == order::nothing);
  CHECK(m.scheduler_out_of_reach(at(69'999ms)) == order::look_for_scheduler);
  SECTION("until the patience is over") { CHECK(m.scheduler_out_of_reach(at(70s)) == order::end); }
  SECTION("or the scheduler is there again, and the next loss has a patience of its own") {
    m.scheduler_reached();
    CHECK_FALSE(m.alone());
    CHECK(m.scheduler_out_of_reach(at(200s)) == order::nothing);
    CHECK_FALSE(m.welcomed(n4));
    CHECK(m.scheduler_lost(at(100s)) == order::look_for_scheduler);
    CHECK(m.scheduler_out_of_reach(at(159s)) == order::look_for_scheduler);
    CHECK(m.scheduler_out_of_reach(at(160s)) == order::end);
  }
}

TEST_CASE("NODE-3: a node that is no member, or cannot reach it again, ends with its scheduler") {
  node_membership joining{{.can_reconnect = true, .patience = 60s}};
  CHECK(joining.scheduler_lost(at(0s)) == order::end);
  CHECK(member(false).scheduler_lost(at(0s)) == order::end);
  auto lost = member();
  REQUIRE(lost.declared_lost() == order::join_again);
  CHECK(lost.scheduler_lost(at(0s)) == order::end);
}

TEST_CASE("NODE-4: a node that is declared lost joins again once, under a new number") {
  auto m = member();
  CHECK(m.declared_lost() == order::join_again);
  CHECK_FALSE(m.id());
  CHECK(m.declared_lost() == order::nothing); // by the answer to a heartbeat, and to a hello
  CHECK(m.welcomed(n7));
  CHECK(m.declared_lost() == order::join_again);
}

TEST_CASE("NODE-4: a node that is declared lost while it is alone goes on looking") {
  auto m = member();
  CHECK(m.scheduler_lost(at(0s)) == order::look_for_scheduler);
  CHECK(m.declared_lost() == order::join_again);
  CHECK(m.alone());
  CHECK(m.hello_failed(false, refusal::no_answer, at(10s)) == order::nothing); // to the lost one
  CHECK(m.scheduler_out_of_reach(at(20s)) == order::look_for_scheduler);
  m.scheduler_reached();
  CHECK(m.welcomed(n7));
}

TEST_CASE("a hello in vain: a member waits for its scheduler, and joins anew where it is unknown") {
  CHECK(member().hello_failed(true, refusal::no_answer, at(0s)) == order::look_for_scheduler);
  CHECK(member(false).hello_failed(true, refusal::no_answer, at(0s)) == order::end);
  CHECK(member().hello_failed(true, refusal::not_a_member, at(0s)) == order::join_again); // NODE-4
  CHECK(member().hello_failed(true, refusal::other, at(0s)) == order::end);
  auto lost = member();
  REQUIRE(lost.declared_lost() == order::join_again);
  CHECK(lost.hello_failed(true, refusal::not_a_member, at(0s)) == order::nothing);
  for (auto why : {refusal::no_answer, refusal::not_a_member, refusal::other}) {
    node_membership joining{{.can_reconnect = true, .patience = 60s}};
    CHECK(joining.hello_failed(false, why, at(0s)) == order::end);
    auto alone = member();
    REQUIRE(alone.scheduler_lost(at(0s)) == order::look_for_scheduler);
    CHECK(alone.hello_failed(true, why, at(1s)) == order::nothing);
  }
}

TEST_CASE("a node ends once, and nothing follows from anything afterwards") {
  auto m = member();
  REQUIRE(m.scheduler_lost(at(0s)) == order::look_for_scheduler);
  CHECK_FALSE(m.ended());
  CHECK(m.end());
  CHECK(m.ended());
  CHECK_FALSE(m.end());
  CHECK_FALSE(m.alone());
  CHECK(m.scheduler_out_of_reach(at(100s)) == order::nothing);
  CHECK(m.scheduler_lost(at(0s)) == order::nothing);
  CHECK(m.declared_lost() == order::nothing);
  CHECK(m.hello_failed(true, refusal::other, at(0s)) == order::nothing);
}

TEST_CASE("NODE-8: a member that was asked to end goes on until its scheduler stops it") {
  auto m = member();
  CHECK(m.end_asked() == order::ask_to_leave);
  CHECK(m.leaving());
  CHECK(m.end_asked() == order::nothing);
  SECTION("or until the scheduler is away") { CHECK(m.scheduler_lost(at(0s)) == order::end); }
  SECTION("or takes it for lost") { CHECK(m.declared_lost() == order::end); }
}

TEST_CASE("NODE-8: a node that is no member, or is alone, ends at once when it is asked to end") {
  node_membership joining{{.can_reconnect = true, .patience = 60s}};
  CHECK(joining.end_asked() == order::end);
  auto alone = member();
  REQUIRE(alone.scheduler_lost(at(0s)) == order::look_for_scheduler);
  CHECK(alone.end_asked() == order::end);
}
