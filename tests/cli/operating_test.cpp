// What an operator does to a run while it trains.
#include "cluster_processes.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "integer_cluster.hpp"
#include "program_fixture.hpp"
#include "temporary_folder.hpp"

using namespace troupe::cli_test;
using clock_type = std::chrono::steady_clock;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr int epochs = 80;

// Of the first node that has some of these roles.
int node_with(const json& status, const std::string& roles) {
  for (const auto& node : status.at("nodes"))
    if (!node.at(roles).empty()) return node.at("node");
  throw std::runtime_error("no node has " + roles);
}

std::string scheduler_address(const fs::path& run) {
  const auto text = read_file(run / "scheduler.address");
  return text.substr(0, text.find('\n'));
}

// Only these lines, so that a failure shows them and not the whole run.
std::vector<std::string> lines_with(const std::string& text, const std::vector<std::string>& any) {
  std::vector<std::string> result;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (std::ranges::any_of(any, [&](const auto& t) { return line.find(t) != std::string::npos; }))
      result.push_back(line);
  return result;
}

program start_training(const fs::path& folder) {
  return program({"train", "job.toml", "--run", "run", "--replicas", "2"}, folder);
}

} // namespace

TEST_CASE("a node that is drained while the job trains ends well, and the run ends exact") {
  const std::string roles = GENERATE("replicas", "workers");
  INFO(roles);
  temporary_folder folder;
  folder.write("job.toml", integer_job(epochs));
  orphan_watch orphans;
  program train = start_training(folder.path());
  train.wait_for_line("epoch 1/");
  const auto before = children_with(train.pid(), " node ").size();
  const auto status = status_of(folder / "run");
  REQUIRE(status);
  const auto node = std::to_string(node_with(*status, roles));
  // A chain can only be moved where there is room: one more node for shards.
  if (roles == "replicas") {
    const auto crowded = run_program({"drain", node, "run"}, folder.path());
    CHECK(crowded.code == 1);
    CHECK_THAT(crowded.err, Catch::Contains(" refused: the replicas of node " + node +
                                            " have nowhere to go; needed on other nodes: "));
  }
  program more(
      {"node", "--join", scheduler_address(folder / "run"), "--shards", "3", "--workers", "0"});
  const auto nobody = run_program({"drain", "99", "run"}, folder.path());
  CHECK(nobody.code == 1);
  CHECK_THAT(nobody.err, Catch::Contains(" refused: node 99 takes no part in job "));
  const auto deadline = clock_type::now() + program::limit;
  auto drained = run_program({"drain", node, "run"}, folder.path());
  while (drained.code != 0 && clock_type::now() < deadline) // until the new node has joined
    drained = run_program({"drain", node, "run"}, folder.path());
  INFO(drained.out << drained.err);
  REQUIRE(drained.code == 0);
  while (children_with(train.pid(), " node ").size() == before)
    REQUIRE(clock_type::now() < deadline);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(lines_with(result.out, {"ended with exit code", "was ended by", "was lost"}) ==
        std::vector<std::string>{});
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(epochs, "async"));
  CHECK(more.finish().code == 0);
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("a worker that joins a running job gets leases, and the status shows it in its tree") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(epochs));
  orphan_watch orphans;
  program train = start_training(folder.path());
  train.wait_for_line("epoch 1/");
  program fifth(
      {"node", "--join", scheduler_address(folder / "run"), "--shards", "0", "--workers", "1"});
  const auto deadline = clock_type::now() + program::limit;
  std::string tree;
  while (tree.find("`- worker 4: clock") == std::string::npos) {
    REQUIRE(clock_type::now() < deadline);
    tree = run_program({"status", "run"}, folder.path()).out;
  }
  CHECK_THAT(tree, Catch::StartsWith("job integers (") && Catch::Contains("|- scheduler: up ") &&
                       Catch::Contains("shard 0: primary, view ") &&
                       Catch::Contains("shard 0: backup, view ") &&
                       Catch::Contains("|- node 7 at 127.0.0.1:"));
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(fifth.finish().code == 0);
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(epochs, "async"));
  CHECK(orphans.reap_all() == 0);
}
