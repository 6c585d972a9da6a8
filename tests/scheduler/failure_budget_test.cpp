#include "troupe/scheduler/failure_budget.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

failure_budget::time_point at(std::chrono::milliseconds since_start) {
  return failure_budget::time_point(since_start);
}

} // namespace

TEST_CASE("BUDGET-1: a failure is one too many when the intensity refuses it") {
  failure_budget b{{2, 1s}};
  CHECK_FALSE(b.spend("a", at(0ms)).has_value());
  CHECK_FALSE(b.spend("b", at(500ms)).has_value());
  CHECK_FALSE(b.spend("c", at(1001ms)).has_value()); // the first is of no account any more
  CHECK(b.spend("d", at(1100ms)).has_value());
}

TEST_CASE("BUDGET-2: the first failure of the present row is named") {
  failure_budget b{{1, 1s}};
  CHECK_FALSE(b.spend("long ago", at(0ms)).has_value());
  CHECK_FALSE(b.spend("the cause", at(5s)).has_value());
  CHECK(b.spend("what followed", at(5500ms)) ==
        "failures came too often to go on; the first was: the cause");
}

TEST_CASE("BUDGET-2: without any failure allowed the only one is the first") {
  failure_budget b{{0, 1s}};
  CHECK(b.spend("the cause", at(0ms)) ==
        "failures came too often to go on; the first was: the cause");
}
