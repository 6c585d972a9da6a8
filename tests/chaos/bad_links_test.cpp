#include "troupe/chaos/bad_links.hpp"

#include <catch2/catch.hpp>

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a bad link touches those that it names, in both directions, and nobody else") {
  bad_links links;
  const auto number = links.add({2}, {.latency = 3ms, .drop = 0.5});
  CHECK(links.between(2, 5).latency == 3ms);
  CHECK(links.between(5, 2).drop == 0.5);
  CHECK(links.between(5, 6) == link_properties{});
  links.remove(number);
  CHECK(links.between(2, 5) == link_properties{});
}

TEST_CASE("bad links that overlap add up, and the end of one leaves the other") {
  bad_links links;
  const auto all = links.add({}, {.latency = 1ms,
                                  .jitter = 2ms,
                                  .drop = 0.1,
                                  .duplicate = 0.4,
                                  .reorder = 0.2,
                                  .bytes_per_second = 1000});
  const auto one = links.add({3}, {.latency = 4ms,
                                   .jitter = 5ms,
                                   .drop = 0.3,
                                   .duplicate = 0.2,
                                   .reorder = 0.1,
                                   .bytes_per_second = 500});
  CHECK(links.between(3, 1) == link_properties{5ms, 7ms, 0.3, 0.4, 0.2, 500});
  CHECK(links.between(0, 1).latency == 1ms);
  links.remove(all);
  CHECK(links.between(3, 1) == link_properties{4ms, 5ms, 0.3, 0.2, 0.1, 500});
  links.remove(one);
  CHECK(links.between(3, 1) == link_properties{});
}

} // namespace
} // namespace troupe::chaos
