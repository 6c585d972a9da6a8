#include "troupe/chaos/fault.hpp"

#include <catch2/catch.hpp>

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a fault says what is done to whom, when and for how long") {
  fault f;
  f.at = 1250ms;
  f.kind = fault_kind::kill;
  f.target = fault_target::primary;
  f.index = 1;
  CHECK(to_string(f) == "kill of the primary of shard 1 at 1.250 s, for good");
  f.lasts = 300ms;
  CHECK(to_string(f) == "kill of the primary of shard 1 at 1.250 s, back after 0.300 s");
  f.kind = fault_kind::disk;
  f.target = fault_target::scheduler;
  CHECK(to_string(f) == "full disk of the scheduler at 1.250 s for 0.300 s");
  f.kind = fault_kind::clock_jump;
  CHECK(to_string(f) == "clock jump of the scheduler at 1.250 s by 0.300 s");
  f.kind = fault_kind::partition;
  f.target = fault_target::node;
  f.from = cut_from::scheduler;
  CHECK(to_string(f) == "partition of node 1 from the scheduler at 1.250 s for 0.300 s");
  f.kind = fault_kind::drain;
  f.nodes = 2;
  CHECK(to_string(f) == "drain of 2 nodes from 1 on at 1.250 s, back after 0.300 s");
  f.kind = fault_kind::stop;
  f.target = fault_target::everybody;
  CHECK(to_string(f) == "stop of everybody at 1.250 s, back after 0.300 s");
}

} // namespace
} // namespace troupe::chaos
