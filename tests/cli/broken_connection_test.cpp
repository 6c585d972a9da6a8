// A network that fails for a moment: every process lives on, and so does the run.
#include "breakable_link.hpp"

#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "integer_cluster.hpp"
#include "program_fixture.hpp"
#include "temporary_folder.hpp"
#include "troupe/runtime.hpp"

using namespace troupe::cli_test;

namespace {

constexpr int epochs = 60;

struct node_process {
  std::vector<std::string> listen;
  std::string shards;
  std::string workers;
};

/// Scheduler and nodes by hand, the nodes' way to the scheduler over `to_scheduler`.
struct cluster_by_hand {
  cluster_by_hand(const std::string& mode, breakable_link& to_scheduler,
                  const std::vector<node_process>& processes) {
    folder.write("job.toml", integer_job(epochs));
    scheduler = std::make_unique<program>(
        std::vector<std::string>{"scheduler", "job.toml", "--listen", "127.0.0.1:0", "--run", "run",
                                 "--replicas", "2", "--checkpoint-batches", "500", "--set",
                                 "train.consistency=" + mode},
        folder.path());
    const auto line = scheduler->wait_for_line(" listens at ");
    const auto at = troupe::parse_endpoint(line.substr(line.rfind(' ') + 1));
    to_scheduler.lead_to(at.port);
    const auto join = "127.0.0.1:" + std::to_string(to_scheduler.port());
    for (const auto& p : processes) {
      std::vector<std::string> arguments{"node",   "--join",    join,     "--shards",
                                         p.shards, "--workers", p.workers};
      arguments.insert(arguments.end(), p.listen.begin(), p.listen.end());
      nodes.push_back(std::make_unique<program>(arguments, folder.path()));
    }
  }

  /// If the epoch does not begin in time, the failure shows the output of every process.
  void wait_for_epoch(std::size_t epoch) {
    try {
      scheduler->wait_for_line("epoch ", epoch);
    } catch (const std::exception& e) {
      std::string all = e.what();
      for (auto& node : nodes) {
        node->read_until(std::chrono::steady_clock::now() + std::chrono::seconds(1));
        all += "\n--- node " + std::to_string(node->pid()) + "\n" + node->out() + node->err();
      }
      FAIL(all);
    }
  }

  void check_exact(const std::string& mode) {
    const auto result = scheduler->finish();
    INFO(result.out << result.err);
    REQUIRE(result.code == 0);
    CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(epochs, mode));
    CHECK(result.out.find("was lost") == std::string::npos);
    CHECK(result.out.find("going on from checkpoint") == std::string::npos);
    for (auto& node : nodes) CHECK(node->finish().code == 0);
  }

  temporary_folder folder;
  std::unique_ptr<program> scheduler;
  std::vector<std::unique_ptr<program>> nodes;
};

} // namespace

TEST_CASE("SCHED-12: connections to the scheduler break, nobody is lost and the sum is exact") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  breakable_link link("127.0.0.1");
  cluster_by_hand cluster(mode, link, {{{}, "3", "0"}, {{}, "3", "0"}, {{}, "0", "4"}});
  for (const std::size_t epoch : {2, 15, 30}) {
    cluster.wait_for_epoch(epoch);
    CHECK(link.break_all() >= 3);
  }
  cluster.check_exact(mode);
}

TEST_CASE("NODE-6: connections between nodes break, nobody is lost and the sum is exact") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  breakable_link to_scheduler("127.0.0.1");
  // Others reach a node at 127.0.0.2, which leads to the same port of 127.0.0.1.
  std::vector<std::unique_ptr<breakable_link>> links;
  std::vector<node_process> processes;
  for (int i = 0; i < 3; ++i) {
    links.push_back(std::make_unique<breakable_link>("127.0.0.2"));
    const auto port = links.back()->port();
    links.back()->lead_to(port);
    processes.push_back(
        {{"--listen", "127.0.0.1:" + std::to_string(port), "--advertise", "127.0.0.2"},
         i < 2 ? "3" : "0",
         i < 2 ? "0" : "4"});
  }
  cluster_by_hand cluster(mode, to_scheduler, processes);
  for (const std::size_t epoch : {2, 15, 30}) {
    cluster.wait_for_epoch(epoch);
    std::size_t broken = 0;
    for (auto& link : links) broken += link->break_all();
    CHECK(broken >= 3);
  }
  cluster.check_exact(mode);
}
