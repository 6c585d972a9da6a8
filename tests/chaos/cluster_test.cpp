// Whole clusters of production actors, and what they must survive.
#include "troupe/chaos/cluster.hpp"

#include <algorithm>
#include <bit>
#include <set>
#include <thread>

#include "cluster_stage.hpp"
#include "troupe/runtime.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;
using enum fault_target;

namespace {

void check_exact_through(const std::vector<fault>& faults, std::uint64_t seeds) {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      const auto o = options_for(mode, seed);
      cluster c(o);
      sim_time at = 20ms + seed * 3ms;
      for (auto f : faults) {
        f.at = at;
        f.index += static_cast<std::uint32_t>(seed);
        c.schedule({f});
        at += 40ms;
      }
      c.run(120s);
      check_exact(c, o.work);
      CHECK(c.done().size() >= 2);
    }
}

} // namespace

TEST_CASE("a cluster whose processes talk over links trains to the exact sum") {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      const auto o = options_for(mode, seed);
      cluster c(o);
      c.run(60s);
      check_exact(c, o.work);
      CHECK(c.sim().now() < 2s);
    }
}

TEST_CASE("the sum is exact through kills of every role") {
  check_exact_through({{.target = worker_node, .lasts = 100ms},
                       {.target = primary, .lasts = 100ms},
                       {.target = scheduler, .lasts = 100ms},
                       {.target = backup, .lasts = 100ms},
                       {.target = chain, .lasts = 100ms}},
                      10);
}

TEST_CASE("the sum is exact through pauses of every role") {
  const auto kind = fault_kind::pause;
  check_exact_through({{.kind = kind, .target = primary, .lasts = 2500ms},
                       {.kind = kind, .target = worker_node, .lasts = 4s},
                       {.kind = kind, .target = scheduler, .lasts = 700ms},
                       {.kind = kind, .target = backup, .lasts = 300ms}},
                      10);
}

TEST_CASE("the sum is exact through partitions that heal and partitions that break") {
  const auto kind = fault_kind::partition;
  check_exact_through(
      {{.kind = kind, .target = primary, .lasts = 400ms},
       {.kind = kind, .target = worker_node, .lasts = 100ms, .breaks = true},
       {.kind = kind, .target = node, .lasts = 3s, .way = direction::out},
       {.kind = kind, .target = scheduler, .lasts = 200ms, .way = direction::in, .breaks = true}},
      10);
}

TEST_CASE("the sum is exact through partitions from the scheduler alone, of several nodes") {
  const auto kind = fault_kind::partition;
  check_exact_through(
      {{.kind = kind, .target = node, .nodes = 2, .lasts = 3s, .from = cut_from::scheduler},
       {.kind = kind,
        .target = primary,
        .lasts = 2500ms,
        .way = direction::out,
        .from = cut_from::scheduler},
       {.kind = kind,
        .target = primary,
        .lasts = 2500ms,
        .way = direction::in,
        .from = cut_from::scheduler}},
      10);
}

TEST_CASE("the sum is exact through drains, and who takes the place of a drained node joins") {
  std::size_t drained = 0;
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto o = options_for(mode, seed);
      o.batch_time = 250ms; // a primary leaves when its read lease has run out
      cluster c(o);
      const auto index = static_cast<std::uint32_t>(seed);
      using enum fault_kind;
      c.schedule({{.at = 50ms, .kind = drain, .target = node, .index = index, .lasts = 20ms},
                  {.at = 90ms, .kind = kill, .target = backup, .index = index, .lasts = 50ms},
                  {.at = 200ms, .kind = drain, .target = primary, .index = index, .lasts = 20ms}});
      c.run(60s);
      check_exact(c, o.work);
      drained += count_notices(c, "was drained and leaves");
      CHECK(count_notices(c, " joined from") > o.nodes.size());
    }
  CHECK(drained > 30);
}

TEST_CASE(
    "the sum is exact through stops of the whole run at any instant, each of which is resumed") {
  std::size_t resumed = 0, saved = 0;
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto o = options_for(mode, seed);
      o.batch_time = 50ms;
      cluster c(o);
      using enum fault_kind;
      const auto first = std::chrono::milliseconds(37 * seed);
      c.schedule({{.at = first, .kind = stop, .target = everybody, .lasts = 20ms},
                  {.at = first + 400ms, .kind = stop, .target = scheduler, .lasts = 20ms}});
      c.run(60s);
      check_exact(c, o.work);
      resumed += c.resumed();
      saved += count_notices(c, "going on from checkpoint");
    }
  CHECK(resumed > 50);
  CHECK(saved > 40); // no checkpoint is taken but at a stop
}

TEST_CASE("the sum is exact through requests to end of nodes, with and without a place to go") {
  std::size_t left = 0;
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto o = options_for(mode, seed);
      o.batch_time = 150ms;
      cluster c(o);
      const auto index = static_cast<std::uint32_t>(seed);
      using enum fault_kind;
      c.schedule({{.at = 50ms, .kind = stop, .target = primary, .index = index, .lasts = 20ms},
                  {.at = 60ms, .kind = stop, .target = worker_node, .index = index, .lasts = 20ms},
                  {.at = 900ms, .kind = stop, .target = chain, .index = index, .lasts = 20ms}});
      c.run(60s);
      check_exact(c, o.work);
      left += count_notices(c, " joined from") - o.nodes.size();
    }
  CHECK(left > 60);
}

TEST_CASE("the sum is exact over links that delay, lose, double and reorder") {
  fault bad{.kind = fault_kind::link, .target = everybody, .lasts = 20s};
  bad.link = {.latency = 5ms, .jitter = 20ms, .drop = 0.05, .duplicate = 0.1, .reorder = 0.2};
  fault narrow{.kind = fault_kind::link, .target = primary, .lasts = 1s};
  narrow.link.bytes_per_second = 1e5;
  check_exact_through({bad, narrow}, 5);
}

TEST_CASE("the sum is exact through losses of power, disks that fail, and clocks that jump") {
  std::size_t taken = 0;
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      auto o = options_for(mode, seed);
      o.work.checkpoint.every_batches = 10;
      o.batch_time = 100ms;
      cluster c(o);
      using enum fault_kind;
      c.schedule(
          {{.at = 100ms, .kind = clock_jump, .target = primary, .lasts = 900ms},
           {.at = 700ms,
            .kind = disk,
            .target = scheduler,
            .lasts = 1s,
            .disk = static_cast<disk_fault>(seed % 3)},
           {.at = 1200ms + seed * 20ms, .kind = power_loss, .target = scheduler, .lasts = 300ms},
           {.at = 1300ms + seed * 30ms, .kind = power_loss, .target = chain, .lasts = 200ms}});
      c.run(120s);
      check_exact(c, o.work);
      CHECK(c.done().size() == 4);
      taken += count_notices(c, " of 60 batches");
    }
  CHECK(taken > 30);
}

TEST_CASE("a fault is done to whom it names, and one that nobody matches has no effect") {
  cluster c(options_for(modes[0], 1));
  c.apply({.kind = fault_kind::kill, .target = primary}); // before anything is placed
  CHECK(c.done().empty());
  c.run_until(nullptr, 50ms);
  c.apply({.kind = fault_kind::kill, .target = worker_node, .index = 0});
  c.apply({.kind = fault_kind::kill, .target = worker_node, .index = 1});
  c.apply({.kind = fault_kind::kill, .target = worker_node, .index = 1}); // none is left
  REQUIRE(c.done().size() == 2);
  CHECK(c.done()[0].to == std::vector<std::uint32_t>{4});
  CHECK(c.done()[1].to == std::vector<std::uint32_t>{5});
  CHECK(c.done()[1].at == 50ms);
  c.apply({.kind = fault_kind::pause, .target = node, .index = 2, .nodes = 2, .lasts = 1ms});
  CHECK(c.done().back().to == std::vector<std::uint32_t>{3, 1});
  c.apply({.kind = fault_kind::pause, .target = everybody, .lasts = 1s});
  CHECK(c.done().back().to.size() == 4);
  CHECK(c.sim().processes()[1]->paused());
  CHECK(!c.node_process(3).alive());
}

TEST_CASE("SIM-1, CLUSTER-1: the same options and faults give the same run, twice in one program") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    std::uint64_t first = 0, steps = 0;
    for (const bool again : {false, true}) {
      auto o = options_for(modes[seed % 3], seed);
      cluster c(o);
      c.schedule(any_faults(seed, 6, 200ms));
      c.run(300s);
      check_exact(c, o.work);
      const auto print = c.fingerprint();
      if (again) {
        CHECK(print == first);
        CHECK(c.sim().steps() == steps);
      }
      first = print;
      steps = c.sim().steps();
    }
  }
}

TEST_CASE("SIM-1: other seeds give other runs") {
  std::set<std::uint64_t> prints;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    cluster c(options_for(modes[0], seed));
    c.run(60s);
    prints.insert(c.fingerprint());
  }
  CHECK(prints.size() == 10);
}

TEST_CASE("SIM-1: runs in two threads do not touch each other") {
  const auto print_of = [](std::uint64_t seed) {
    cluster c(options_for(modes[1], seed));
    c.schedule(any_faults(seed, 6, 200ms));
    c.run(300s);
    return c.fingerprint();
  };
  std::vector<std::uint64_t> alone(8), together(8);
  for (std::uint64_t i = 0; i < 8; ++i) alone[i] = print_of(i + 1);
  std::thread other([&] {
    for (std::uint64_t i = 0; i < 4; ++i) together[i] = print_of(i + 1);
  });
  for (std::uint64_t i = 4; i < 8; ++i) together[i] = print_of(i + 1);
  other.join();
  CHECK(together == alone);
}

TEST_CASE("CLUSTER-2: a simulated cluster trains to the program's own result, bit for bit") {
  auto o = options_for(scheduler::consistency::bsp(4), 1);
  auto& j = o.work;
  j.model.type = model_spec::kind::sequential;
  j.model.layers = {{tensor::layer_spec::kind::dense, 16},
                    {tensor::layer_spec::kind::relu, 0},
                    {tensor::layer_spec::kind::dense, 10}};
  j.data.type = data_spec::format::digits;
  j.data.samples = 200;
  j.data.held_out = 0.25;
  j.train.optimizer = {.learning_rate = 0.1f, .momentum = 0.9f};
  cluster c(o);
  c.schedule({{.at = 40ms, .kind = fault_kind::kill, .target = primary, .lasts = 100ms}});
  c.run(60s);
  INFO(told(c));
  REQUIRE(c.result());
  REQUIRE(c.result()->outcome == run_result::status::finished);
  CHECK(c.done().size() == 1);

  j.cluster.replicas = 1; // in one process, on threads, in real time
  const auto real = train(j, make_workload(j));
  REQUIRE(real.outcome == run_result::status::finished);
  CHECK(std::ranges::equal(c.result()->parameters, real.parameters, [](float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
  }));
}

} // namespace troupe::chaos
