#include "troupe/scheduler/membership.hpp"

#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr node_id n0{0}, n1{1};

membership::time_point at(std::chrono::milliseconds since_start) {
  return membership::time_point(since_start);
}

membership two_nodes() {
  membership m{{{}, 100ms, 1250ms}, at(0ms)};
  m.join(2, 1, at(0ms));
  m.join(2, 0, at(0ms));
  return m;
}

} // namespace

TEST_CASE("nodes are numbered in the order in which they join, after those of earlier schedulers") {
  membership m{{}, at(0ms)};
  CHECK(m.join(1, 1, at(0ms)) == n0);
  m.count_from(7);
  CHECK(m.join(1, 1, at(0ms)) == node_id{7});
  CHECK(m.next_node() == 8);
}

TEST_CASE("SCHED-6: a node is suspected when it is silent, by time in which looks were taken") {
  auto m = two_nodes();
  CHECK(m.silent(at(0ms)).empty());
  CHECK(m.silent(at(3600000ms)).empty()); // one look: 200 ms at most
  auto now = 3600000ms;
  std::vector<std::pair<node_id, std::string>> silent;
  for (int i = 0; i < 40 && silent.empty(); ++i) {
    now += 100ms;
    m.heard(n0, at(now));
    silent = m.silent(at(now));
  }
  REQUIRE(silent.size() == 1);
  CHECK(silent[0].first == n1);
  CHECK(silent[0].second.starts_with("silent for "));
}

TEST_CASE("SCHED-6: reads are possible until the lease of the last heartbeat has run out") {
  auto m = two_nodes();
  m.heard(n0, at(500ms));
  CHECK(m.reads_left(n0, at(600ms)) == 1150ms);
  CHECK(m.reads_left(n0, at(1750ms)) == 0ms);
  CHECK(m.reads_left(n1, at(1251ms)) < 0ms);
}

TEST_CASE("SCHED-7: a lost node is told why, whatever it says, and is no member") {
  auto m = two_nodes();
  CHECK(m.heard(n1, at(0ms)).seen);
  CHECK(m.lose(n1, "it was silent"));
  CHECK_FALSE(m.lose(n1, "again"));
  CHECK(m.heard(n1, at(1ms)).lost == std::optional<std::string>("it was silent"));
  CHECK_FALSE(m.heard(n1, at(2ms)).seen);
  CHECK(m.find(n1) == nullptr);
  CHECK_THROWS_AS(m.come_back({n1, 1, 1}, at(3ms)), std::out_of_range);
}

TEST_CASE(
    "SCHED-9: a leader that is to be relieved is not answered, until it has to stay after all") {
  auto m = two_nodes();
  m.heard(n0, at(100ms));
  CHECK(m.may_be_relieved(n1, false, at(100ms)));
  CHECK_FALSE(m.may_be_relieved(n0, true, at(200ms)));
  CHECK_FALSE(m.heard(n0, at(300ms)).seen);
  CHECK_FALSE(m.may_be_relieved(n0, true, at(1349ms)));
  CHECK(m.may_be_relieved(n0, true, at(1350ms))); // 1250 ms after the last one answered
  m.keep_all_but({n0});
  CHECK_FALSE(m.heard(n0, at(1400ms)).seen);
  m.keep_all_but({});
  CHECK(m.heard(n0, at(1500ms)).seen);
  CHECK_FALSE(m.may_be_relieved(n0, true, at(1600ms)));
  m.keep_all();
  CHECK(m.heard(n0, at(1700ms)).seen);
}

TEST_CASE("a node that was told to go stays unanswered") {
  auto m = two_nodes();
  m.may_be_relieved(n0, true, at(0ms));
  m.find(n0)->told_to_go = true;
  m.keep_all_but({});
  CHECK_FALSE(m.heard(n0, at(1ms)).seen);
}

TEST_CASE("nodes of the journal offer nothing before they come back") {
  membership m{{}, at(0ms)};
  m.expect({n0, 3, 2}, at(0ms));
  m.expect({n1, 1, 1}, at(0ms));
  CHECK(m.offers().empty());
  CHECK(m.absent() == std::vector{n0, n1});
  m.come_back({n1, 4, 4}, at(0ms));
  CHECK(m.offers() == std::vector{node_offer{n1, 4, 4}});
  CHECK(m.find(n1)->connection == 1);
  m.forget_absent();
  CHECK_FALSE(m.contains(n0));
  CHECK(m.contains(n1));
}

TEST_CASE("a node that an operator drains is marked until it is lost") {
  auto m = two_nodes();
  CHECK_FALSE(m.forget_drain(n1));
  m.drain(n1);
  CHECK(m.is_leaving(n1));
  CHECK(m.forget_drain(n1));
  CHECK(m.leaving().empty());
}
