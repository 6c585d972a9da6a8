#include "troupe/chaos/scenario_file.hpp"

#include <catch2/catch.hpp>

#include "troupe/chaos/schedule.hpp"
#include "troupe/job.hpp"

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;
using Catch::Contains;
using Catch::Equals;

const char* const example = R"(name = "example"
[workload]
modes = ["async", "ssp", "bsp"]
staleness = 1
batches_per_step = 2
batch_ms = [1.5, 4]
lease_timeout_ms = [1000, 3000]
[cluster]
workers = 2
shards = 3
replicas = 2
nodes = [ { count = 3, shards = 2 }, { count = 2, workers = 1 } ]
[[faults]]
kind = "kill"
target = "primary"
rate = 2.5
window_ms = [100, 900]
lasts_ms = [50, 300]
for_good = 0.125
[[faults]]
kind = "partition"
target = "worker_node"
index = 1
count = [0, 3]
lasts_ms = 200
nodes = [1, 2]
way = ["in", "out"]
from = ["everybody", "scheduler"]
breaks = 0.5
[[faults]]
kind = "drain"
target = "node"
rate = 1
lasts_ms = 100
[[faults]]
kind = "link"
target = "everybody"
count = 1
lasts_ms = 500
link = { latency_ms = [0.1, 5], drop = [0, 0.1], bytes_per_second = 100000 }
[[fault]]
kind = "disk"
target = "scheduler"
at_ms = 12.345678
lasts_ms = 1
disk = "flipped_bit"
[invariants]
own_writes = false
[quiet]
from_ms = 1000
finish_by_ms = 20000
)";

std::string error_of(const std::string& text) {
  try {
    scenario_from_toml(text, "s.toml");
  } catch (const job_error& e) {
    return e.what();
  }
  return "no error";
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

TEST_CASE("a scenario file says what is trained, on what, what happens and what must hold") {
  const auto s = scenario_from_toml(example, "s.toml");
  CHECK(s.name == "example");
  CHECK_FALSE(s.seed);
  CHECK(s.work.modes == std::vector{scheduler::consistency::async(), scheduler::consistency::ssp(1),
                                    scheduler::consistency::bsp(2)});
  CHECK(s.mode_of(7) == scheduler::consistency::ssp(1));
  CHECK(s.work.batch_time == range<sim_time>{1500us, 4ms});
  CHECK(s.lease_timeout_of(2) == 1s);
  CHECK(s.lease_timeout_of(3) == 3s);
  CHECK(s.lease_timeout_of(6) == 1s);
  CHECK(s.cluster.nodes == std::vector<node_group>{{3, 2, 0}, {2, 0, 1}});
  CHECK(s.node_count() == 5);

  REQUIRE(s.families.size() == 4);
  const auto& kills = s.families[0];
  CHECK(kills.kind == fault_kind::kill);
  CHECK(kills.target == fault_target::primary);
  CHECK_FALSE(kills.index);
  CHECK(kills.rate == 2.5);
  CHECK(kills.window == range<sim_time>{100ms, 900ms});
  CHECK(kills.lasts == range<sim_time>{50ms, 300ms});
  CHECK(kills.for_good == 0.125);
  const auto& partitions = s.families[1];
  CHECK(partitions.index == 1u);
  CHECK(partitions.count == range<std::uint32_t>{0, 3});
  CHECK(partitions.window == range<sim_time>{0ms, 1000ms});
  CHECK(partitions.ways == std::vector{direction::in, direction::out});
  CHECK(partitions.nodes == range<std::uint32_t>{1, 2});
  CHECK(partitions.from == std::vector{cut_from::everybody, cut_from::scheduler});
  CHECK(s.families[2].kind == fault_kind::drain);
  CHECK(s.families[3].link.low.latency == 100us);
  CHECK(s.families[3].link.high.drop == 0.1);
  CHECK(s.families[3].link.low.bytes_per_second == 1e5);

  REQUIRE(s.faults.size() == 1);
  CHECK(s.faults[0].at == 12'345'678ns);
  CHECK(s.faults[0].disk == disk_fault::flipped_bit);
  CHECK(s.unchecked == std::set{invariant_of(history::rule::own_writes)});
  CHECK(s.quiet == quiet_phase{1s, 20s});
}

TEST_CASE("SCENARIO-1: what is written reads back as the same") {
  const auto s = scenario_from_toml(example, "s.toml");
  CHECK(scenario_from_toml(to_toml(s), "again") == s);
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const auto drawn = with_schedule(s, draw(s, seed), seed);
    REQUIRE(drawn.faults.size() > 0);
    const auto again = scenario_from_toml(to_toml(drawn), "again");
    CHECK(again == drawn);
    CHECK(draw(again, seed) == drawn.faults);
  }
}

TEST_CASE("a scenario without anything is a cluster as train starts it, and no fault") {
  const auto s = scenario_from_toml("", "s.toml");
  CHECK(s.families.empty());
  CHECK(s.cluster.nodes == std::vector<node_group>{{3, 2, 0}, {4, 0, 1}});
  CHECK(draw(s, 1).empty());
}

TEST_CASE("an error of a scenario names line, key, what was expected and what was found") {
  CHECK_THAT(error_of(replaced(example, "rate = 2.5", "rate = \"often\"")),
             Equals("s.toml:16: faults[0].rate: expected faults in a virtual second, above 0 to "
                    "1000, found \"often\""));
  CHECK_THAT(error_of(replaced(example, "lasts_ms = [50, 300]", "lasts_ms = [300, 50]")),
             Equals("s.toml:18: faults[0].lasts_ms: expected the lower number first, found "
                    "[300,50]"));
  CHECK_THAT(error_of(replaced(example, "lasts_ms = [50, 300]", "last_ms = [50, 300]")),
             Equals("s.toml:18: faults[0].last_ms: unknown key; did you mean faults[0].lasts_ms?"));
  CHECK_THAT(error_of(replaced(example, "lasts_ms = [50, 300]\n", "")),
             Contains("faults[0].lasts_ms: expected this key, found nothing"));
  CHECK_THAT(error_of(replaced(example, "rate = 2.5", "rate = 2.5\ncount = 2")),
             Contains("faults[0].rate: expected one of rate and count, found both"));
  CHECK_THAT(error_of(replaced(example, "rate = 2.5", "")),
             Contains("faults[0].count: expected rate or count, found neither"));
  CHECK_THAT(error_of(replaced(example, "count = [0, 3]", "count = [0, 2.5]")),
             Contains("faults[1].count: expected an integer from 0 to 10000"));
  CHECK_THAT(error_of(replaced(example, "window_ms = [100, 900]", "window_ms = [1000, 1200]")),
             Contains("faults[0].window_ms: expected to begin before quiet.from_ms"));
  CHECK_THAT(error_of(replaced(example, "\"async\"", "\"hogwild\"")),
             Contains("s.toml:3: workload.modes[0]: expected one of \"async\", \"ssp\", \"bsp\", "
                      "found \"hogwild\""));
  CHECK_THAT(error_of(replaced(example, "own_writes = false", "own_write = false")),
             Contains("invariants.own_write: unknown key; did you mean invariants.own_writes?"));
  CHECK_THAT(
      error_of(replaced(example, "batches_per_step = 2", "batches_per_step = 3")),
      Contains("workload.batches_per_step: expected a power of 2 that divides the 32 batches "
               "of an epoch, found 3"));
  CHECK_THAT(error_of(replaced(example, "[1000, 3000]", "[1000, 4]")),
             Contains("workload.lease_timeout_ms: expected more than the longest time of a batch"));
  CHECK_THAT(error_of("workload = 3"), Contains("s.toml:1: workload: expected a table, found 3"));
  CHECK_THAT(error_of("a = "), Contains("s.toml:1: not a TOML file"));
}

TEST_CASE("a key that would have no effect on its kind of fault is refused") {
  CHECK_THAT(error_of(replaced(example, "for_good = 0.125", "breaks = 1")),
             Contains("faults[0].breaks: expected this key with kind = \"partition\" only, found "
                      "kind = \"kill\""));
  CHECK_THAT(error_of(replaced(example, "target = \"primary\"", "target = \"everybody\"")),
             Contains("faults[0].target: expected a node or the scheduler for kind = \"kill\""));
  CHECK_THAT(error_of(replaced(example, "at_ms = 12.345678", "at_ms = 1\nindex = 2")),
             Contains("fault[0].index: expected no index for target = \"scheduler\""));
  CHECK_THAT(error_of(replaced(example, "rate = 2.5", "rate = 2.5\nnodes = 2")),
             Contains("faults[0].nodes: expected this key with target = \"node\" or "
                      "\"worker_node\" only, found target = \"primary\""));
  CHECK_THAT(error_of(replaced(example, "for_good = 0.125", "from = \"scheduler\"")),
             Contains("faults[0].from: expected this key with kind = \"partition\" only"));
  CHECK_THAT(
      error_of(replaced(example, "[\"everybody\", \"scheduler\"]", "\"primary\"")),
      Contains(
          "faults[1].from: expected one of \"everybody\", \"scheduler\", \"each_other\", found "
          "\"primary\""));
  CHECK_THAT(error_of(replaced(replaced(example, "nodes = [1, 2]", "nodes = 1"),
                               "[\"everybody\", \"scheduler\"]", "\"each_other\"")),
             Contains("faults[1].from: expected target = \"chain\", or nodes = 2 or more"));
  CHECK_THAT(error_of(replaced(example, "nodes = [1, 2]", "nodes = 0")),
             Contains("faults[1].nodes: expected an integer from 1 to 64, found 0"));
  CHECK_THAT(
      error_of(
          replaced(example, "\"drain\"\ntarget = \"node\"", "\"drain\"\ntarget = \"scheduler\"")),
      Contains("faults[2].target: expected nodes for kind = \"drain\", found \"scheduler\""));
  CHECK_THAT(error_of(replaced(example, "at_ms = 12.345678", "")),
             Contains("fault[0].at_ms: expected this key, found nothing"));
  CHECK_THAT(error_of(replaced(example, "at_ms = 12.345678", "at_ms = 60000")),
             Contains("fault[0].at_ms: expected at most quiet.from_ms, found 60000"));
}

TEST_CASE("a cluster without room for its job is refused") {
  CHECK_THAT(error_of(replaced(example, "count = 3, shards = 2", "count = 2, shards = 2")),
             Contains("cluster.nodes: expected room for 2 replicas of 3 shards on different nodes, "
                      "found room for 4 on 2"));
  CHECK_THAT(error_of(replaced(example, "count = 2, workers = 1", "count = 1, workers = 1")),
             Contains("cluster.nodes: expected room for 2 workers, found room for 1"));
}

} // namespace
} // namespace troupe::chaos
