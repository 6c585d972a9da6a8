#include "troupe/actors/read_lease.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;

namespace {

read_lease::clock::time_point at(std::chrono::milliseconds since_start) {
  return read_lease::clock::time_point{since_start};
}

} // namespace

TEST_CASE("a lease that was never given is not valid at any time") {
  read_lease lease;
  CHECK_FALSE(lease.valid(read_lease::clock::time_point::min()));
  CHECK_FALSE(lease.valid(at(0ms)));
  CHECK_FALSE(lease.valid(read_lease::clock::time_point::max()));
}

TEST_CASE("LEASE-1: a lease is valid until its end and not from there on") {
  read_lease lease;
  lease.extend(at(1000ms));
  CHECK(lease.valid(at(0ms)));
  CHECK(lease.valid(at(999ms)));
  CHECK_FALSE(lease.valid(at(1000ms)));
  lease.extend(at(1500ms)); // after it had run out, too
  CHECK(lease.valid(at(1400ms)));
}

TEST_CASE("an answer that was overtaken by a later one does not shorten the lease") {
  read_lease lease;
  lease.extend(at(2000ms));
  lease.extend(at(1000ms));
  CHECK(lease.valid(at(1999ms)));
  CHECK_FALSE(lease.valid(at(2000ms)));
}
