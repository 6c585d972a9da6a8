#include "troupe/chaos/targets.hpp"

#include <catch2/catch.hpp>

namespace troupe::chaos {
namespace {

using numbers = std::vector<std::uint32_t>;
using enum fault_target;

// A scheduler, three nodes with replicas of two shards, of which one runs a worker too, and two
// worker nodes.
standing cluster() {
  return {{{true, 0}, {true, 0}, {true, 0}, {true, 1}, {true, 1}, {true, 1}}, {{1, 2}, {2, 3, 1}}};
}

numbers who(fault_target target, std::uint32_t index, const standing& now) {
  fault f;
  f.target = target;
  f.index = index;
  return targets_of(f, now);
}

TEST_CASE("a target is who it names when the fault begins") {
  const auto now = cluster();
  CHECK(who(scheduler, 0, now) == numbers{0});
  CHECK(who(node, 4, now) == numbers{5});
  CHECK(who(node, 5, now) == numbers{1}); // counted around
  CHECK(who(worker_node, 0, now) == numbers{4});
  CHECK(who(worker_node, 1, now) == numbers{5});
  CHECK(who(primary, 1, now) == numbers{2});
  CHECK(who(primary, 2, now) == numbers{1});
  CHECK(who(backup, 0, now) == numbers{2});
  CHECK(who(backup, 1, now) == numbers{1});
  CHECK(who(chain, 1, now) == numbers{2, 3, 1});
  CHECK(who(everybody, 0, now) == numbers{0, 1, 2, 3, 4, 5});
}

TEST_CASE("a fault of several nodes is done to those from its own on, to each once") {
  fault f;
  f.target = node;
  f.index = 3;
  f.nodes = 3;
  CHECK(targets_of(f, cluster()) == numbers{4, 5, 1});
  f.nodes = 9;
  CHECK(targets_of(f, cluster()) == numbers{4, 5, 1, 2, 3});
}

TEST_CASE("the dead are no targets, and who stands behind them is the next") {
  auto now = cluster();
  now.processes[2].alive = false;
  CHECK(who(node, 1, now) == numbers{3});
  CHECK(who(primary, 1, now) == numbers{3});
  CHECK(who(backup, 0, now).empty()); // one is left, and it is the primary
  CHECK(who(chain, 0, now) == numbers{1});
  CHECK(who(everybody, 0, now) == numbers{0, 1, 3, 4, 5});
  now.processes[3].alive = now.processes[1].alive = now.processes[0].alive = false;
  CHECK(who(primary, 1, now).empty());
  CHECK(who(chain, 1, now).empty());
  CHECK(who(scheduler, 0, now).empty());
  now.processes[4].alive = now.processes[5].alive = false;
  CHECK(who(node, 0, now).empty());
  CHECK(who(worker_node, 0, now).empty());
}

TEST_CASE("a node that could hold a replica and holds none is a worker node") {
  auto now = cluster();
  now.chains[1] = {2, 1};
  CHECK(who(worker_node, 0, now) == numbers{3});
  now.chains.clear(); // nothing was placed yet
  CHECK(who(primary, 0, now).empty());
  CHECK(who(worker_node, 0, now) == numbers{3});
}

} // namespace
} // namespace troupe::chaos
