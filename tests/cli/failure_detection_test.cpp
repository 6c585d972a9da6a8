// Processes that hang: their connections stay open, and only their silence tells.
#include "program_fixture.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "cluster_processes.hpp"
#include "integer_cluster.hpp"
#include "temporary_folder.hpp"

using namespace troupe::cli_test;
using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

TEST_CASE("a worker process stopped in the middle costs nothing but time") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--set", "train.consistency=" + mode},
                folder.path());
  train.wait_for_line("epoch 1/");
  const auto workers = children_with(train.pid(), "--workers 1");
  REQUIRE(workers.size() == 4);
  const auto stopped_at = clock_type::now();
  REQUIRE(::kill(workers[1], SIGSTOP) == 0);
  CHECK_THAT(train.wait_for_line("was lost (silent for"), Catch::EndsWith(" ms)"));
  CHECK(clock_type::now() - stopped_at < 3s);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(40, mode));
  CHECK(orphans.reap_all() == 0);
}

namespace {

// The status of a node once it is a member and holds a role.
nlohmann::json joined_node(const std::filesystem::path& run, int number, const std::string& roles) {
  const auto deadline = clock_type::now() + program::limit;
  while (clock_type::now() < deadline)
    if (const auto status = status_of(run))
      for (const auto& node : (*status)["nodes"])
        if (node["node"] == number && !node[roles].empty()) return node;
  throw std::runtime_error("node " + std::to_string(number) + " did not join");
}

// 7 nodes begin; the stopped one comes back as the eighth.
void check_joins_again(process_role role, const std::string& roles, const std::string& mode) {
  temporary_folder folder;
  folder.write("job.toml", integer_job(80));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--replicas", "2", "--set",
                 "train.consistency=" + mode},
                folder.path());
  train.wait_for_line("epoch 1/");
  const auto stopped = processes_of(train.pid(), role).at(1);
  REQUIRE(::kill(stopped, SIGSTOP) == 0);
  train.wait_for_line("was lost (silent for");
  REQUIRE(::kill(stopped, SIGCONT) == 0);
  const auto node = joined_node(folder / "run", 7, roles);
  CHECK(listener_at(node["address"], {stopped}) == stopped);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, !Catch::Contains("started again as pid"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(80, mode));
  CHECK(orphans.reap_all() == 0);
}

} // namespace

TEST_CASE("NODE-4: a stopped worker process that goes on joins again, and the run ends exact") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  check_joins_again(process_role::worker_node, "workers", mode);
}

TEST_CASE("NODE-4: a stopped shard process that goes on joins again, and the run ends exact") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  check_joins_again(process_role::shard_node, "replicas", mode);
}
