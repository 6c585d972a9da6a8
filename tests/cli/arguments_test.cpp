#include "troupe/cli/commands.hpp"

#include <catch2/catch.hpp>

using namespace troupe::cli;

namespace {

std::variant<arguments, int> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "troupe");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

template <class T>
T parsed(std::vector<const char*> words) {
  return std::get<T>(std::get<arguments>(parse(std::move(words))));
}

} // namespace

TEST_CASE("train takes a job, overrides, a run folder and an events file") {
  const auto a = parsed<train_arguments>({"train", "job.toml", "--set", "a.b=1", "--run", "r",
                                          "--events", "e", "--set", "c=x=y", "--in-process"});
  CHECK(a.job_file == "job.toml");
  CHECK(a.overrides == std::vector<std::string>{"a.b=1", "c=x=y"});
  CHECK(a.run == "r");
  CHECK(a.events == "e");
  CHECK(a.in_process);
}

TEST_CASE("one --set may hold several pairs, and the job may stand behind it") {
  CHECK(parsed<train_arguments>({"train", "job.toml", "--set", "a=1", "b=2"}).overrides ==
        std::vector<std::string>{"a=1", "b=2"});
  CHECK(parsed<train_arguments>({"train", "--set", "a=1", "job.toml"}).job_file == "job.toml");
  CHECK(parsed<train_arguments>({"train", "job.toml"}).run == std::nullopt);
}

TEST_CASE("chaos takes a scenario, seeds, and what to do with those that fail") {
  const auto a = parsed<chaos_arguments>(
      {"chaos", "s.toml", "--seeds", "30", "--first-seed", "7", "--jobs", "2", "--stop-after", "1",
       "--twice", "--no-shrink", "--report", "r.html", "--failures", "f", "--mutant", "all"});
  CHECK(a.scenario == "s.toml");
  CHECK(a.seeds == 30u);
  CHECK(a.first_seed == 7u);
  CHECK(a.jobs == 2);
  CHECK(a.stop_after == 1);
  CHECK(a.twice);
  CHECK_FALSE(a.shrink);
  CHECK(a.report == "r.html");
  CHECK(a.failures == "f");
  CHECK(a.mutant == "all");
  const auto b = parsed<chaos_arguments>({"chaos", "s.toml"});
  CHECK(b.seeds == std::nullopt);
  CHECK(b.shrink);
  CHECK(b.failures == "chaos-failures");
  CHECK_FALSE(b.real);
  CHECK(parsed<chaos_arguments>({"chaos", "s.toml", "--real"}).real);
}

TEST_CASE("a node has one shard and one worker unless told otherwise") {
  const auto a = parsed<node_arguments>({"node", "--join", "h:1"});
  CHECK(a.join == "h:1");
  CHECK(a.shards == 1);
  CHECK(a.workers == 1);
  const auto b =
      parsed<node_arguments>({"node", "--join", "h:1", "--listen", "0.0.0.0:2", "--advertise",
                              "box", "--shards", "0", "--workers", "3", "--job", "id"});
  CHECK(b.listen == "0.0.0.0:2");
  CHECK(b.advertise == "box");
  CHECK(b.shards == 0);
  CHECK(b.workers == 3);
  CHECK(b.job_id == "id");
}

TEST_CASE("replicas and checkpoints are keys of the job under shorter names") {
  const auto a =
      parsed<train_arguments>({"train", "job.toml", "--replicas", "2", "--checkpoint-batches",
                               "100", "--checkpoint-seconds", "2.5", "--keep-checkpoints", "3"});
  CHECK(a.overrides ==
        std::vector<std::string>{"cluster.replicas=2", "checkpoint.every_batches=100",
                                 "checkpoint.every_seconds=2.5", "checkpoint.keep=3"});
}

TEST_CASE("an earlier run is resumed with other values for cluster and checkpoint alone") {
  const auto a =
      parsed<train_arguments>({"train", "--resume", "runs/a", "--set", "cluster.workers=3",
                               "checkpoint.keep=1", "--replicas", "2", "--events", "e"});
  CHECK(a.resume == "runs/a");
  CHECK(a.job_file.empty());
  CHECK(a.overrides ==
        std::vector<std::string>{"cluster.workers=3", "checkpoint.keep=1", "cluster.replicas=2"});
  CHECK(parsed<train_arguments>(
            {"train", "--set", "cluster.workers=3", "--resume", "r", "checkpoint.keep=1"})
            .overrides == std::vector<std::string>{"cluster.workers=3", "checkpoint.keep=1"});
  const auto b = parsed<scheduler_arguments>({"scheduler", "--resume", "r", "--listen", "h:1"});
  CHECK(b.resume == "r");
  CHECK(b.restart == std::nullopt);
}

TEST_CASE("a scheduler takes over a run as it is") {
  const auto a = parsed<scheduler_arguments>(
      {"scheduler", "--restart", "runs/of a job", "--listen", "h:1", "--ready-fd", "7"});
  CHECK(a.restart == "runs/of a job");
  CHECK(a.resume == std::nullopt);
  CHECK(a.ready_fd == 7);
}

TEST_CASE("status and drain name a scheduler by its run or its address") {
  const auto a = parsed<status_arguments>({"status", "runs/a", "--json"});
  CHECK(a.scheduler.run == "runs/a");
  CHECK(a.json);
  CHECK(parsed<status_arguments>({"status", "--scheduler", "h:1"}).scheduler.address == "h:1");
  const auto b = parsed<drain_arguments>({"drain", "3", "runs/a"});
  CHECK(b.node == 3);
  CHECK(b.scheduler.run == "runs/a");
  CHECK(parsed<drain_arguments>({"drain", "12", "--scheduler", "h:1"}).node == 12);
  CHECK(parsed<drain_arguments>({"drain", "0", "r"}).node == 0); // the first node
}

TEST_CASE("check takes files, and the three that take part in a run record") {
  const auto a = parsed<check_arguments>({"check", "a.history", "b.parts", "--all"});
  CHECK(a.files == std::vector<std::filesystem::path>{"a.history", "b.parts"});
  CHECK(a.all);
  CHECK_FALSE(a.json);
  CHECK(parsed<check_arguments>({"check", "a", "--json"}).json);
  CHECK(parsed<train_arguments>({"train", "job.toml", "--record", "h"}).record == "h");
  CHECK(parsed<train_arguments>({"train", "--resume", "r", "--record", "h"}).record == "h");
  CHECK(
      parsed<scheduler_arguments>({"scheduler", "j", "--listen", "h:1", "--record", "d"}).record ==
      "d");
  CHECK(parsed<node_arguments>({"node", "--join", "h:1", "--record", "d"}).record == "d");
  CHECK(parsed<node_arguments>({"node", "--join", "h:1"}).record == std::nullopt);
}

TEST_CASE("arguments that contradict each other are a wrong usage") {
  using words = std::vector<const char*>;
  for (const auto& wrong :
       std::vector<words>{{"train"},
                          {"train", "job.toml", "--resume", "r"},
                          {"train", "--resume", "r", "--run", "other"},
                          {"train", "--resume", "r", "--in-process"},
                          {"train", "--resume", "r", "--set", "train.epochs=3"},
                          {"train", "--resume", "r", "--set", "cluster.workers=3", "seed=3"},
                          {"train", "--resume", "r", "--set", "clusters=3"},
                          {"scheduler", "--listen", "h:1"},
                          {"scheduler", "job.toml", "--listen", "h:1", "--restart", "r"},
                          {"scheduler", "--listen", "h:1", "--resume", "r", "--restart", "r"},
                          {"scheduler", "--listen", "h:1", "--restart", "r", "--replicas", "2"},
                          {"scheduler", "--listen", "h:1", "--restart", "r", "--run", "other"},
                          {"chaos", "s.toml", "--real", "--twice"},
                          {"chaos", "s.toml", "--first-seed", "-1"},
                          {"chaos", "s.toml", "--first-seed", "99999999999999999999"},
                          {"chaos", "s.toml", "--real", "--mutant", "all"},
                          {"check"},
                          {"check", "--all"},
                          {"status"},
                          {"status", "r", "--scheduler", "h:1"},
                          {"drain", "3"},
                          {"drain", "-1", "r"},
                          {"drain", "r", "3"},
                          {"drain", "3", "r", "--scheduler", "h:1"}}) {
    std::string line;
    for (const char* word : wrong) line += std::string(word) + " ";
    INFO(line);
    const auto result = parse(wrong);
    REQUIRE(std::holds_alternative<int>(result));
    CHECK(std::get<int>(result) == 2);
  }
}
