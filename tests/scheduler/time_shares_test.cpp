#include "troupe/values/time_shares.hpp"

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

const time_account::time_point begin{100s};

} // namespace

TEST_CASE("an account that was never turned has no time") {
  time_account account;
  account.attribute(activity::bound, 5ms);
  CHECK_FALSE(account.doing());
  CHECK(account.spent().whole() == 0ns);
  CHECK(account.spent().share(activity::computing) == 0);
}

TEST_CASE("TIME-1: the activities add up to the time from the first turn to the last") {
  time_account account;
  account.turn(activity::lease, begin);
  account.turn(activity::parameters, begin + 3ms);
  account.attribute(activity::bound, 2ms);
  account.turn(activity::other, begin + 10ms);
  account.attribute(activity::computing, 19ms);
  CHECK(account.spent().whole() == 10ms); // what is open is not counted
  account.turn(activity::other, begin + 30ms);
  account.attribute(activity::computing, 10ms);
  account.turn(activity::lease, begin + 41ms);
  CHECK(account.doing() == activity::lease);
  const auto& spent = account.spent();
  CHECK(spent.of(activity::lease) == 3ms);
  CHECK(spent.of(activity::parameters) == 5ms);
  CHECK(spent.of(activity::bound) == 2ms);
  CHECK(spent.of(activity::computing) == 29ms);
  CHECK(spent.of(activity::other) == 2ms);
  CHECK(spent.whole() == 41ms);
  CHECK(spent.share(activity::computing) == Approx(29.0 / 41));
}

TEST_CASE("TIME-2: no more is attributed than the interval lasts") {
  time_account account;
  account.turn(activity::parameters, begin);
  account.attribute(activity::bound, 1h);
  account.attribute(activity::computing, -5ms);
  account.turn(activity::other, begin + 4ms);
  CHECK(account.spent().of(activity::bound) == 4ms);
  CHECK(account.spent().whole() == 4ms);
  // Nor is it taken from the next one.
  account.turn(activity::lease, begin + 6ms);
  CHECK(account.spent().of(activity::other) == 2ms);
  account.turn(activity::other, begin + 6ms);
  account.attribute(activity::computing, 3ms);
  account.attribute(activity::bound, 3ms);
  account.turn(activity::lease, begin + 10ms);
  CHECK(account.spent().of(activity::computing) == 3ms);
  CHECK(account.spent().of(activity::bound) == 5ms);
  CHECK(account.spent().whole() == 10ms);
}

TEST_CASE("TIME-3: a clock that steps back adds nothing") {
  time_account account;
  account.turn(activity::other, begin);
  account.attribute(activity::computing, 3ms);
  account.turn(activity::lease, begin - 5ms);
  CHECK(account.spent() == time_shares{});
}

TEST_CASE("the shares of several workers are those of their time together") {
  time_shares busy, idle;
  busy.add(activity::computing, 90ms);
  busy.add(activity::bound, 10ms);
  idle.add(activity::lease, 100ms);
  busy += idle;
  CHECK(busy.whole() == 200ms);
  CHECK(busy.share(activity::computing) == Approx(0.45));
  CHECK(busy.share(activity::lease) == Approx(0.5));
  CHECK(busy.share(activity::parameters) == 0);
}

TEST_CASE("every activity has a name of its own") {
  for (std::size_t i = 0; i < activities; ++i) {
    CHECK_FALSE(name_of(static_cast<activity>(i)).empty());
    for (std::size_t j = 0; j < i; ++j)
      CHECK(name_of(static_cast<activity>(i)) != name_of(static_cast<activity>(j)));
  }
  CHECK(name_of(static_cast<activity>(activities)).empty());
}
