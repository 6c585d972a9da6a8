#include "troupe/values/consistency.hpp"

#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;

TEST_CASE("the default is async") { CHECK(consistency() == consistency::async()); }

TEST_CASE("each mode answers the actors' questions as the table of modes says") {
  struct row {
    consistency value;
    bool bounded, on_arrival, in_place, own_writes;
    std::optional<clock_value> staleness;
    std::optional<std::uint32_t> step;
  };
  const std::vector<row> table{
      {consistency::hogwild(), false, true, true, true, {}, {}},
      {consistency::async(), false, true, false, true, {}, {}},
      {consistency::ssp(3), true, true, false, true, 3, {}},
      {consistency::ssp(0), true, true, false, true, 0, {}},
      {consistency::bsp(4), true, false, false, false, {}, 4},
  };
  for (const auto& r : table) {
    INFO(to_string(r.value));
    CHECK(r.value.bounded() == r.bounded);
    CHECK(r.value.applies_on_arrival() == r.on_arrival);
    CHECK(r.value.in_place() == r.in_place);
    CHECK(r.value.own_writes_are_read() == r.own_writes);
    CHECK(r.value.staleness() == r.staleness);
    CHECK(r.value.batches_per_step() == r.step);
    CHECK(consistency::from(r.value.type(), r.value.parameter()) == r.value);
    CHECK(consistency::of(r.value.type(), r.staleness.value_or(9), r.step.value_or(9)) == r.value);
  }
}

TEST_CASE("values are equal when mode and parameter are") {
  CHECK(consistency::ssp(3) == consistency::ssp(3));
  CHECK_FALSE(consistency::ssp(3) == consistency::ssp(2));
  CHECK_FALSE(consistency::ssp(3) == consistency::bsp(3));
  CHECK_FALSE(consistency::async() == consistency::hogwild());
}

TEST_CASE("modes and values read as in a job file") {
  CHECK(to_string(consistency::hogwild()) == "hogwild");
  CHECK(to_string(consistency::async()) == "async");
  CHECK(to_string(consistency::ssp(3)) == "ssp(3)");
  CHECK(to_string(consistency::bsp(4)) == "bsp(4)");
  CHECK(troupe::names_of<mode>.size() == 4);
  for (const auto m : {mode::hogwild, mode::async, mode::ssp, mode::bsp})
    CHECK(troupe::value_of<mode>(name_of(m)) == m);
  for (const auto other : {"", "SSP", "ssp(3)"})
    CHECK_FALSE(troupe::value_of<mode>(other).has_value());
}

TEST_CASE("a parameter that the mode cannot have is refused") {
  CHECK_THROWS_AS(consistency::bsp(0), std::invalid_argument);
  CHECK_THROWS_AS(consistency::from(mode::bsp, 0), std::invalid_argument);
  CHECK_THROWS_AS(consistency::from(mode::bsp, (std::uint64_t{1} << 32) + 1),
                  std::invalid_argument);
  CHECK_THROWS_AS(consistency::from(mode::async, 1), std::invalid_argument);
  CHECK_THROWS_AS(consistency::from(mode::hogwild, 1), std::invalid_argument);
  CHECK_THROWS_AS(consistency::from(static_cast<mode>(4), 0), std::invalid_argument);
  CHECK(consistency::ssp(std::numeric_limits<clock_value>::max()).bounded());
}
