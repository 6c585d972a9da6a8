// Processes that hang: their connections stay open, and only their silence tells.
#include "program_fixture.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>

#include <catch2/catch.hpp>

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

TEST_CASE("a shard process stopped in the middle ends the run with its name and no orphan") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(100'000));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run"}, folder.path());
  train.wait_for_line("epoch 1/");
  const auto shards = children_with(train.pid(), "--shards 1");
  REQUIRE(shards.size() == 3);
  const auto stopped_at = clock_type::now();
  REQUIRE(::kill(shards[2], SIGSTOP) == 0);
  const auto result = train.finish();
  // Found within 3 s; the stopped process is killed when it did not end within 3 s.
  CHECK(clock_type::now() - stopped_at < 10s);
  CHECK(result.code == 1);
  CHECK_THAT(result.err, Catch::StartsWith("troupe: ") && Catch::Contains("shard") &&
                             Catch::Contains("was lost") && Catch::Contains("silent for"));
  CHECK(std::ranges::count(result.err, '\n') == 1);
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("a stopped worker process that goes on later is told that it was lost, and ends") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(100'000));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run"}, folder.path());
  train.wait_for_line("epoch 1/");
  const auto workers = children_with(train.pid(), "--workers 1");
  REQUIRE(workers.size() == 4);
  REQUIRE(::kill(workers[1], SIGSTOP) == 0);
  train.wait_for_line("was lost (silent for");
  REQUIRE(::kill(workers[1], SIGCONT) == 0);
  // It ends while the run goes on: the launcher alone reaps it.
  const auto deadline = clock_type::now() + program::limit;
  while (children_with(train.pid(), "--workers 1").size() == 4)
    REQUIRE(clock_type::now() < deadline);
  CHECK(children_with(train.pid(), "--workers 1").size() == 3);
  train.send(SIGINT);
  const auto result = train.finish();
  INFO(result.out << result.err);
  CHECK(result.code == 130);
  CHECK(orphans.reap_all() == 0);
}
