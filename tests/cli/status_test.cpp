#include "troupe/cli/status_text.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "temporary_folder.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/scheduler_address.hpp"

using namespace troupe::cli;
using Catch::Contains;
using nlohmann::json;
using troupe::cli_test::temporary_folder;

namespace {

json some_status() {
  return json::parse(R"({
    "job": "mnist", "job_id": "mnist-1f", "phase": "training", "epoch": 2, "epochs": 10,
    "batches_done": 1205, "batches_total": 9000,
    "scheduler": {"restarts": 1, "uptime_s": 12.3},
    "checkpoint": {"number": 3, "batches": 120, "age_s": 4.2},
    "time": {"seconds": 4.0, "computing": 0.5, "parameters": 0.25, "lease": 0.125, "bound": 0.125,
             "other": 0.0},
    "nodes": [
      {"node": 1, "address": "127.0.0.1:4000", "silent_ms": 12, "phi": 0.01, "interval_ms": 250,
       "draining": false, "restarts": 0,
       "replicas": [{"shard": 0, "role": "primary", "view": 3},
                    {"shard": 1, "role": "learner", "view": 4}],
       "workers": [{"worker": 0, "clock": 12, "leases": ["batch 3 of epoch 1", "batch 4 of epoch 1"],
                    "suspended": false,
                    "time": {"seconds": 2.0, "computing": 0.9, "parameters": 0.05, "lease": 0.01,
                             "bound": 0.03, "other": 0.01}}]},
      {"node": 3, "address": "127.0.0.1:4002", "silent_ms": 1312, "phi": 4.26, "interval_ms": 250,
       "draining": true, "restarts": 2, "replicas": [],
       "workers": [{"worker": 1, "clock": 9, "leases": [], "suspended": true}]},
      {"node": 4, "address": "127.0.0.1:4003", "silent_ms": 0, "phi": 0, "interval_ms": 250,
       "draining": false, "restarts": 0, "replicas": [], "workers": []}],
    "lost": [{"node": 2, "why": "silent for 1700 ms"}],
    "shards": [{"shard": 0, "view": 3, "chain": [1, 2], "learner": null},
               {"shard": 1, "view": 4, "chain": [2], "learner": 1}]})");
}

} // namespace

TEST_CASE("a status is a tree with a line for each node, role and shard") {
  CHECK(
      status_text(some_status()) ==
      "job mnist (mnist-1f): training, epoch 2 of 10, batch 1,205 of 9,000\n"
      "|- scheduler: up 12.3 s, started again 1 time\n"
      "|- checkpoint 3: 120 batches, 4.20 s old\n"
      "|- workers: computing 50.0 %, waiting for parameters 25.0 %, a lease 12.5 %, the bound "
      "12.5 %, other 0.0 %\n"
      "|- node 1 at 127.0.0.1:4000: heard 12 ms ago\n"
      "|  |- shard 0: primary, view 3\n"
      "|  |- shard 1: learner, view 4\n"
      "|  `- worker 0: clock 12, batch 3 of epoch 1; batch 4 of epoch 1; computing 90.0 %, waiting "
      "for parameters 5.0 %, a lease 1.0 %, the bound 3.0 %, other 1.0 %\n"
      "|- node 3 at 127.0.0.1:4002: heard 1.31 s ago, suspicion 4.3, started again 2 times, "
      "draining\n"
      "|  `- worker 1: clock 9, suspended, idle\n"
      "|- node 4 at 127.0.0.1:4003: heard 0 ms ago, holds nothing\n"
      "|- node 2: lost, silent for 1700 ms\n"
      "|- shard 0, view 3: node 1 -> node 2\n"
      "`- shard 1, view 4: node 2, node 1 learns\n");
}

TEST_CASE("the last branch of a status carries no line down") {
  auto status = some_status();
  status["lost"] = status["shards"] = json::array();
  status["nodes"].erase(1);
  status["nodes"].erase(1);
  CHECK_THAT(status_text(status), Contains("`- node 1") && Contains("\n   |- shard 0: primary") &&
                                      Contains("\n   `- worker 0"));
}

TEST_CASE("a run without a checkpoint says so") {
  auto status = some_status();
  status["checkpoint"] = nullptr;
  CHECK_THAT(status_text(status), Contains("|- checkpoint: none yet\n"));
  status.erase("checkpoint");
  CHECK_THAT(status_text(status), !Contains("checkpoint"));
}

TEST_CASE("a status of another version is shown as far as it is known") {
  CHECK(status_text(json::parse(R"({"job":"j","phase":"gathering","new":[1]})")) ==
        "job j: gathering\n");
  const auto odd = status_text(json::parse(
      R"({"job":7,"phase":"p","scheduler":3,"nodes":[4,{}],"lost":7,"shards":{"a":{}}})"));
  CHECK_THAT(odd, Contains("job 7: p\n|- scheduler: up unknown time\n") &&
                      Contains("`- shard ?, view ?: no replica\n"));
}

TEST_CASE("what is no status is one line of error") {
  for (const char* text : {"null", "[]", "7", R"({"job":"j"})"})
    CHECK_THROWS_WITH(status_text(json::parse(text)), Contains("expected the status of a run"));
  CHECK_THROWS_AS(status_text(json::parse("no json", nullptr, false)), std::runtime_error);
}

TEST_CASE("a peer cannot steer the terminal through a status") {
  auto status = some_status();
  status["lost"][0]["why"] = "\x1b[2J\nnothing to see";
  const auto text = status_text(status);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK_THAT(text, Contains("lost,  [2J nothing to see\n"));
}

TEST_CASE("a scheduler is found by the address in its run folder or by the one given") {
  temporary_folder folder;
  folder.write("scheduler.address", "127.0.0.1:4711\n");
  const auto at = scheduler_address({.run = folder.path(), .address = {}});
  CHECK(at.host == "127.0.0.1");
  CHECK(at.port == 4711);
  CHECK(scheduler_address({.run = {}, .address = "[::1]:7"}).port == 7);
}

TEST_CASE("a scheduler that cannot be found is told by what is missing") {
  temporary_folder folder;
  CHECK_THROWS_WITH(scheduler_address({.run = folder / "none", .address = {}}),
                    Contains("none: expected a run folder, found nothing"));
  CHECK_THROWS_WITH(scheduler_address({.run = folder.path(), .address = {}}),
                    Contains("found none that runs (no scheduler.address)"));
  folder.write("scheduler.address", "somewhere\n");
  CHECK_THROWS_AS(scheduler_address({.run = folder.path(), .address = {}}), file_error);
  CHECK_THROWS_AS(scheduler_address({.run = {}, .address = "somewhere"}), usage_error);
  CHECK_THROWS_WITH(scheduler_address({.run = {}, .address = "h:0"}),
                    Contains("expected the scheduler's port, found 0"));
}
