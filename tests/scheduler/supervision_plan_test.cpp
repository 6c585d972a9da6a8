#include "troupe/values/supervision_plan.hpp"

#include <stdexcept>

#include <catch2/catch.hpp>

using troupe::scheduler::plan_after_end;
using troupe::scheduler::supervised_child;
using troupe::scheduler::supervision_plan;
using when = troupe::scheduler::restart_when;
using strategy = troupe::scheduler::supervision_strategy;

namespace {

const std::vector<supervised_child> four(4);
const strategy all_strategies[] = {strategy::one_for_one, strategy::one_for_all,
                                   strategy::rest_for_one};

} // namespace

TEST_CASE("one_for_one starts the child again and touches nobody else") {
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(plan_after_end(strategy::one_for_one, four, i, false) ==
          supervision_plan{true, {}, {}, {i}});
}

TEST_CASE("one_for_all stops the others in reverse order and starts all in order") { // SIBLINGS-2
  CHECK(plan_after_end(strategy::one_for_all, four, 1, false) ==
        supervision_plan{true, {3, 2, 0}, {}, {0, 1, 2, 3}});
}

TEST_CASE("rest_for_one stops those started after the child") { // SIBLINGS-2
  CHECK(plan_after_end(strategy::rest_for_one, four, 1, false) ==
        supervision_plan{true, {3, 2}, {}, {1, 2, 3}});
  CHECK(plan_after_end(strategy::rest_for_one, four, 3, false) ==
        supervision_plan{true, {}, {}, {3}});
  CHECK(plan_after_end(strategy::rest_for_one, four, 0, false) ==
        supervision_plan{true, {3, 2, 1}, {}, {0, 1, 2, 3}});
}

TEST_CASE("when a child comes back depends on how it ended") { // SIBLINGS-1
  for (auto s : all_strategies) {
    std::vector<supervised_child> children(3);
    CHECK(plan_after_end(s, children, 1, true).failure);
    children[1].restart = when::transient;
    CHECK(plan_after_end(s, children, 1, true) == supervision_plan{});
    CHECK(plan_after_end(s, children, 1, false).failure);
    children[1].restart = when::temporary;
    CHECK(plan_after_end(s, children, 1, true) == supervision_plan{false, {}, {1}, {}});
    CHECK(plan_after_end(s, children, 1, false) == supervision_plan{false, {}, {1}, {}});
  }
}

TEST_CASE("a temporary sibling is stopped and forgotten") { // SIBLINGS-3
  auto children = four;
  children[2].restart = when::temporary;
  CHECK(plan_after_end(strategy::one_for_all, children, 0, false) ==
        supervision_plan{true, {3, 2, 1}, {2}, {0, 1, 3}});
}

TEST_CASE("a sibling that is not up is started but not stopped") { // SIBLINGS-3
  auto children = four;
  children[3] = {when::transient, false};
  CHECK(plan_after_end(strategy::one_for_all, children, 1, false) ==
        supervision_plan{true, {2, 0}, {}, {0, 1, 2, 3}});
}

TEST_CASE("a child that is leaving is in no list") { // SIBLINGS-4
  auto children = four;
  children[2].leaving = true;
  CHECK(plan_after_end(strategy::one_for_all, children, 1, false) ==
        supervision_plan{true, {3, 0}, {}, {0, 1, 3}});
}

TEST_CASE("the end of a child that is not there is refused") {
  CHECK_THROWS_AS(plan_after_end(strategy::one_for_all, four, 4, false), std::out_of_range);
}
