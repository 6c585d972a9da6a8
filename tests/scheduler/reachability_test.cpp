#include "troupe/scheduler/reachability.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

const reachability::time_point t0{1h};
const std::string a = "a:1", b = "b:1", c = "c:1", d = "d:1";

std::vector<node_offer> offers(const std::vector<std::string>& addresses) {
  std::vector<node_offer> result;
  for (std::uint32_t i = 0; i < addresses.size(); ++i)
    result.push_back({node_id{i}, 1, 1, addresses[i]});
  return result;
}

std::vector<std::string> addresses(const std::vector<node_offer>& offers) {
  std::vector<std::string> result;
  for (const auto& offer : offers) result.push_back(offer.at);
  return result;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("REACH-1: two addresses are apart from a report on, whichever of them reported") {
  reachability r;
  CHECK_FALSE(r.apart(a, b));
  CHECK(r.report(a, b, "no route", t0));
  CHECK_FALSE(r.report(b, a, "timed out", t0));
  CHECK(r.apart(a, b));
  CHECK(r.apart(b, a));
  CHECK_FALSE(r.apart(a, c));
  REQUIRE(r.gaps().size() == 1);
  CHECK(r.gaps()[0].from == b);
  CHECK(r.gaps()[0].why == "timed out");
}

TEST_CASE("REACH-1: a pair is apart until ten seconds after the last report") {
  reachability r;
  r.report(a, b, "", t0);
  r.report(a, b, "", t0 + 9s);
  CHECK_FALSE(r.expire(t0 + 18s));
  CHECK(r.apart(a, b));
  CHECK(r.expire(t0 + 19s));
  CHECK_FALSE(r.apart(a, b));
  CHECK_FALSE(r.expire(t0 + 20s));
}

TEST_CASE("REACH-1: a pair that is reported again after that is apart for twice as long") {
  reachability r{{10s, 30s}};
  auto now = t0;
  for (const auto holds : {10s, 20s, 30s, 30s}) {
    r.report(a, b, "", now);
    CHECK_FALSE(r.expire(now + holds - 1s));
    now += holds;
    CHECK(r.expire(now));
  }
}

TEST_CASE("REACH-1: a pair that has been connected is apart no more") {
  reachability r;
  CHECK_FALSE(r.connected(a, b));
  r.report(a, b, "", t0);
  CHECK(r.connected(b, a));
  CHECK_FALSE(r.apart(a, b));
  CHECK_FALSE(r.connected(b, a));
}

TEST_CASE("REACH-1: nodes of one process, which have no address, are never apart") {
  reachability r;
  CHECK_FALSE(r.report("", "", "", t0));
  CHECK_FALSE(r.report("", a, "", t0));
  CHECK_FALSE(r.report(a, a, "", t0));
  CHECK(r.gaps().empty());
}

TEST_CASE("REACH-2: no two usable offers are apart, and the offer with the most gaps goes first") {
  reachability r;
  CHECK(addresses(r.usable(offers({a, b, c, d}))) == list{a, b, c, d});
  r.report(a, c, "", t0);
  CHECK(addresses(r.usable(offers({a, b, c, d}))) == list{a, b, d}); // the later of two equals
  r.report(a, d, "", t0);
  CHECK(addresses(r.usable(offers({a, b, c, d}))) == list{b, c, d});
  CHECK(r.count(a) == 2);
  CHECK(r.count(c) == 1);
  CHECK(r.count(b) == 0);
}
