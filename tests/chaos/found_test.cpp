// What the simulator has found in the production actors, each with the faults that showed it.
#include <map>

#include <nlohmann/json.hpp>

#include "cluster_stage.hpp"

namespace troupe::chaos {

using namespace std::chrono_literals;
using enum fault_target;

namespace {

void check_exact_within(sim_time limit, const schedule& faults, std::uint64_t seeds,
                        const std::function<void(const cluster&)>& also = nullptr) {
  for (const auto& mode : modes)
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      INFO(to_string(mode) << ", seed " << seed);
      const auto o = options_for(mode, seed);
      cluster c(o);
      c.schedule(faults);
      c.run(limit);
      check_exact(c, o.work);
      if (also) also(c);
    }
}

} // namespace

TEST_CASE("NODE-6: nodes whose connection broke find each other again") {
  check_exact_within(20s,
                     {{.at = 30ms,
                       .kind = fault_kind::partition,
                       .target = primary,
                       .lasts = 300ms,
                       .breaks = true}},
                     10);
}

TEST_CASE("SCHED-12: a node whose connection to the scheduler broke is given again what was lost") {
  check_exact_within(20s,
                     {{.at = 30ms,
                       .kind = fault_kind::partition,
                       .target = scheduler,
                       .lasts = 100ms,
                       .breaks = true},
                      {.at = 200ms,
                       .kind = fault_kind::partition,
                       .target = worker_node,
                       .lasts = 100ms,
                       .breaks = true}},
                     20, [](const cluster& c) { CHECK(count_notices(c, "was lost") == 0); });
}

TEST_CASE("a process that learns twice that it was lost joins again once") {
  // Every node is declared lost, and hears of it from its pulse and from its hello.
  check_exact_within(60s,
                     {{.at = 20ms,
                       .kind = fault_kind::partition,
                       .target = scheduler,
                       .lasts = 1200ms,
                       .breaks = true},
                      {.at = 25ms,
                       .kind = fault_kind::partition,
                       .target = node,
                       .index = 1,
                       .lasts = 2400ms,
                       .breaks = true}},
                     20, [](const cluster& c) {
                       // No two members at one address: with `finished` the nodes are still there.
                       const auto status = c.status();
                       if (!status) return;
                       std::map<std::string, int> members;
                       const auto json = nlohmann::json::parse(*status);
                       for (const auto& n : json.at("nodes"))
                         CHECK(++members[n.at("address").get<std::string>()] == 1);
                     });
}

TEST_CASE("tries to reach several nodes do not multiply") {
  auto o = options_for(modes[0], 1);
  o.batch_time = 100ms;
  cluster c(o);
  std::vector<partition_number> cuts;
  c.run_until(nullptr, 50ms);
  // A worker's node cannot reach any holder of replicas, and the scheduler sees all of them.
  for (std::size_t n = 0; n < 3; ++n) {
    const auto cut = c.sim().partition(c.node_process(3), c.node_process(n));
    c.sim().break_connection(cut);
    cuts.push_back(cut);
  }
  c.run_until(nullptr, 5s);
  CHECK(c.sim().steps() < 20'000);
  for (auto cut : cuts) c.sim().heal(cut);
  c.run(60s);
  check_exact(c, o.work);
}

TEST_CASE("SCHED-13: a scheduler hands over the result before anybody is told to stop") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto o = options_for(modes[seed % 3], seed);
    cluster c(o);
    c.run(60s);
    // So one that is killed now, while it says goodbye, has done its work.
    for (std::size_t n = 0; n < c.node_count(); ++n) CHECK(c.node_process(n).alive());
    c.sim().kill(c.scheduler_process());
    check_exact(c, o.work);
  }
}

TEST_CASE("JOURNAL-5: a scheduler killed before it placed anything gives no number twice") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    const auto o = options_for(modes[seed % 3], seed);
    cluster c(o);
    c.schedule({{.at = std::chrono::microseconds(50 * seed), .target = scheduler, .lasts = 50ms}});
    c.run(60s);
    check_exact(c, o.work);
  }
}

TEST_CASE("ARCHIVE-3: a restore goes on although images or their answers were lost") {
  std::size_t restores = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    auto o = options_for(modes[seed % 3], seed);
    o.work.checkpoint.every_batches = 7;
    o.batch_time = 100ms;
    cluster c(o);
    fault bad{.at = 1s, .kind = fault_kind::link, .target = everybody, .lasts = 5s};
    bad.link.drop = 0.3;
    c.schedule({bad, {.at = 1010ms, .target = chain, .lasts = 50ms}});
    c.run(120s);
    check_exact(c, o.work);
    restores += count_notices(c, "going on from checkpoint");
  }
  CHECK(restores >= 5);
}

} // namespace troupe::chaos
