// What Troupe promises, over a cluster of real processes on loopback.
#include "program_fixture.hpp"

#include <algorithm>
#include <csignal>

#include <catch2/catch.hpp>

#include "cluster_processes.hpp"
#include "integer_cluster.hpp"
#include "temporary_folder.hpp"

using namespace troupe::cli_test;

TEST_CASE(
    "4 workers and 3 shards in processes of their own end in the exact sum in every mode, with "
    "duplicated pushes") {
  const std::string mode = GENERATE("hogwild", "async", "ssp", "bsp");
  INFO(mode);
  temporary_folder folder;
  folder.write("job.toml", integer_job(3));
  const auto result =
      run_program({"train", "job.toml", "--run", "run", "--set", "train.consistency=" + mode,
                   "--set", "inject.duplicate_push_every=3"},
                  folder.path());
  INFO(result.err);
  REQUIRE(result.code == 0);
  const auto last = last_event(folder / "run");
  CHECK(last["parameter_hash"] == expected_hash(3, mode));
  CHECK(last["samples"] == 3 * integer_samples);
  CHECK(last["duplicates_dropped"] > 0);
}

TEST_CASE("a worker process killed in the middle costs nothing but time") {
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
  REQUIRE(::kill(workers[1], SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, Catch::Contains("was lost"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(40, mode));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE(
    "SCHED-10: a killed shard process without another replica takes the run back, and it ends "
    "exact") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--checkpoint-batches", "500"},
                folder.path());
  train.wait_for_line("checkpoint 1 at");
  const auto shards = processes_of(train.pid(), process_role::shard_node);
  REQUIRE(shards.size() == 3);
  REQUIRE(::kill(shards[2], SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, Catch::Contains("has lost all its replicas") &&
                             Catch::Contains("going on from checkpoint"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(40, "async"));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("the process of a primary killed in the middle costs nothing but time where a backup "
          "lives") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--replicas", "2", "--set",
                 "train.consistency=" + mode},
                folder.path());
  train.wait_for_line("epoch 1/");
  const auto status = status_of(folder / "run");
  REQUIRE(status);
  const auto chain = processes_of_chain(train.pid(), *status, 0);
  REQUIRE(chain.size() == 2);
  REQUIRE(::kill(chain.front(), SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, !Catch::Contains("has lost all its replicas"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(40, mode));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("in bsp a network ends in the same bits, whatever was killed and stopped on the way") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  orphan_watch orphans;
  const std::vector<std::string> words = {"train",
                                          "job.toml",
                                          "--run",
                                          "run",
                                          "--replicas",
                                          "2",
                                          "--checkpoint-batches",
                                          "500",
                                          "--set",
                                          "train.consistency=bsp",
                                          "--set",
                                          "train.epochs=60"};
  auto other = words;
  other[3] = "calm";
  REQUIRE(run_program(other, folder.path()).code == 0);
  program train(words, folder.path());
  train.wait_for_line("epoch 1/");
  const auto workers = processes_of(train.pid(), process_role::worker_node);
  const auto shards = processes_of(train.pid(), process_role::shard_node);
  REQUIRE(workers.size() > 1);
  REQUIRE(shards.size() > 1);
  REQUIRE(::kill(workers[0], SIGKILL) == 0);
  REQUIRE(::kill(workers[1], SIGSTOP) == 0);
  train.wait_for_line("epoch 10/");
  REQUIRE(::kill(shards[0], SIGKILL) == 0);
  train.wait_for_line("epoch 20/");
  REQUIRE(::kill(processes_of(train.pid(), process_role::scheduler).at(0), SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, Catch::Contains("the restarted scheduler goes on"));
  CHECK(last_event(folder / "run")["parameter_hash"] ==
        last_event(folder / "calm")["parameter_hash"]);
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("SCHED-11: a killed scheduler is started again and the run ends exact") {
  const std::string mode = GENERATE("async", "bsp");
  INFO(mode);
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--set", "train.consistency=" + mode},
                folder.path());
  train.wait_for_line("epoch 1/");
  const auto schedulers = processes_of(train.pid(), process_role::scheduler);
  REQUIRE(schedulers.size() == 1);
  REQUIRE(::kill(schedulers.front(), SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, Catch::Contains("the restarted scheduler goes on with 4 workers"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(40, mode));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("a scheduler killed soon after all replicas of a shard were lost still ends exact") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run"}, folder.path());
  // Late enough that the journal holds figures of what is then given up.
  train.wait_for_line("epoch 20/");
  REQUIRE(::kill(processes_of(train.pid(), process_role::shard_node).at(0), SIGKILL) == 0);
  train.wait_for_line("training with 4 workers", 2);
  REQUIRE(::kill(processes_of(train.pid(), process_role::scheduler).at(0), SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(40, "async"));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("ssp(s) holds its bound with a worker 5 times slower, and async under the same load does "
          "not") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  // Batches long enough that the slow worker's delay, and not the network, decides who is ahead.
  const auto staleness = [&](const std::string& run, std::vector<std::string> mode) {
    std::vector<std::string> arguments{"train", "job.toml", "--run", run};
    mode.insert(mode.end(),
                {"inject.slow_worker=0", "inject.slow_factor=5", "train.epochs=8",
                 "train.batch_size=32", "model.layers=[{dense=512},\"relu\",{dense=10}]"});
    for (const auto& key : mode) arguments.insert(arguments.end(), {"--set", key});
    const auto result = run_program(arguments, folder.path());
    INFO(result.err);
    REQUIRE(result.code == 0);
    return last_event(folder / run)["staleness"];
  };
  for (const int bound : {0, 2}) {
    const auto seen =
        staleness("ssp" + std::to_string(bound),
                  {"train.consistency=ssp", "train.staleness=" + std::to_string(bound)});
    CHECK(seen["pulls"] > 100);
    CHECK(seen["max"] <= bound);
  }
  CHECK(staleness("async", {"train.consistency=async"})["max"] > 2);
}
