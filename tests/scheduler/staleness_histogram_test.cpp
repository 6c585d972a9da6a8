#include "troupe/values/staleness_histogram.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

TEST_CASE("an empty histogram answers zero") {
  const staleness_histogram h;
  CHECK(h.empty());
  CHECK(h.pulls() == 0);
  CHECK(h.mean() == 0);
  CHECK(h.max() == 0);
  CHECK(h.quantile(0.5) == 0);
}

TEST_CASE("counts, mean and maximum are exact, beyond the exact buckets too (HISTOGRAM-1)") {
  staleness_histogram h;
  h.add(0);
  h.add(3, 2);
  h.add(31);
  h.add(32);
  h.add(1000);
  h.add(5, 0);
  h.add(2000, 0);
  CHECK(h.pulls() == 6);
  CHECK(h.mean() == Approx((0 + 3 + 3 + 31 + 32 + 1000) / 6.0));
  CHECK(h.max() == 1000);
  CHECK(h.buckets()[0] == 1);
  CHECK(h.buckets()[3] == 2);
  CHECK(h.buckets()[5] == 0);
  CHECK(h.buckets()[31] == 1);
  CHECK(h.buckets()[32] == 2);
}

TEST_CASE("merging equals having added everything to one (HISTOGRAM-2)") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    fixed_seed_generator random(seed);
    staleness_histogram whole;
    std::vector<staleness_histogram> parts(3);
    for (int i = 0; i < 100; ++i) {
      const auto staleness = random.below(random.below(2) ? 4 : 60);
      const auto count = random.below(4);
      whole.add(staleness, count);
      parts[random.below(3)].add(staleness, count);
    }
    auto forward = parts[0];
    forward.merge(parts[1]);
    forward.merge(parts[2]);
    auto backward = parts[2];
    backward.merge(parts[1]);
    backward.merge(parts[0]);
    CHECK(forward == whole);
    CHECK(backward == whole);
    whole.merge(staleness_histogram());
    CHECK(forward == whole);
    CHECK(staleness_histogram(whole.contents()) == whole);
  }
  CHECK(staleness_histogram(staleness_histogram::content{}) == staleness_histogram());
}

TEST_CASE("a quantile is the lowest staleness that covers its share") {
  staleness_histogram h;
  std::vector<clock_value> values;
  fixed_seed_generator random(3);
  for (int i = 0; i < 101; ++i) {
    values.push_back(random.below(30));
    h.add(values.back());
  }
  std::sort(values.begin(), values.end());
  CHECK(h.quantile(0) == values.front());
  CHECK(h.quantile(1) == values.back());
  for (const double q : {0.01, 0.25, 0.5, 0.9, 0.99}) {
    const auto covers = [&](clock_value s) {
      return static_cast<double>(std::upper_bound(values.begin(), values.end(), s) -
                                 values.begin()) >= q * 101;
    };
    const auto found = h.quantile(q);
    CHECK(covers(found));
    CHECK((found == 0 || !covers(found - 1)));
  }
  staleness_histogram two;
  two.add(3, 2);
  two.add(7, 2);
  CHECK(two.quantile(0) == 3);
  CHECK(two.quantile(0.5) == 3);
  CHECK(two.quantile(0.51) == 7);
  h.add(500, 1000);
  CHECK(h.quantile(0.5) == 500);
  CHECK_THROWS_AS(h.quantile(-0.1), std::invalid_argument);
  CHECK_THROWS_AS(h.quantile(1.1), std::invalid_argument);
  CHECK_THROWS_AS(h.quantile(std::numeric_limits<double>::quiet_NaN()), std::invalid_argument);
}

TEST_CASE("content that no series of pulls leads to is refused") {
  staleness_histogram h;
  h.add(2, 3);
  h.add(40, 2);
  const auto good = h.contents();
  const auto refused = [](staleness_histogram::content c) {
    CHECK_THROWS_AS(staleness_histogram(c), std::invalid_argument);
  };
  auto c = good;
  c.max = 31; // though pulls lie above
  refused(c);
  c = good;
  c.sum = 6 + 2 * 40 + 1; // more than the maximum allows
  refused(c);
  c = good;
  c.sum = 6 + 40 + 31; // less than the last bucket's edge allows
  refused(c);
  c = good;
  c.buckets[32] = 0;
  refused(c);
  c = {};
  c.max = 1;
  refused(c);
  c = {};
  c.sum = 1;
  refused(c);
  c = {};
  c.buckets[32] = 1; // one pull above the exact buckets, with a maximum within them
  c.sum = c.max = 31;
  refused(c);
  c = {};
  c.buckets[0] = std::numeric_limits<std::uint64_t>::max(); // 2^64 pulls
  c.buckets[1] = c.sum = c.max = 1;
  refused(c);
}
