// A run that lost all its processes goes on from a checkpoint.
#include "program_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

#include <catch2/catch.hpp>

#include "cluster_processes.hpp"
#include "integer_cluster.hpp"
#include "temporary_folder.hpp"

using namespace troupe::cli_test;
namespace fs = std::filesystem;

namespace {

constexpr int epochs = 60;

// Trains until two checkpoints are there, and then kills everything at once.
void lose_all_processes(const temporary_folder& folder, const std::string& mode) {
  folder.write("job.toml", integer_job(epochs));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--checkpoint-batches", "300",
                 "--keep-checkpoints", "9", "--set", "train.consistency=" + mode},
                folder.path());
  train.wait_for_line("checkpoint 2 at");
  train.send(SIGKILL);
  REQUIRE(train.finish().signal == SIGKILL);
  orphans.reap_all();
}

program_result resume(const temporary_folder& folder, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"train", "--resume", "run"});
  return run_program(more, folder.path());
}

std::vector<fs::path> checkpoints_of(const temporary_folder& folder) {
  std::vector<fs::path> complete;
  for (const auto& entry : fs::directory_iterator(folder / "run/checkpoints"))
    if (fs::exists(entry.path() / "manifest.json")) complete.push_back(entry.path());
  std::ranges::sort(complete);
  return complete;
}

} // namespace

TEST_CASE("a run whose launcher was killed goes on from the newest checkpoint and ends exact") {
  const std::string mode = GENERATE("async", "bsp");
  INFO(mode);
  temporary_folder folder;
  lose_all_processes(folder, mode);
  const auto result = resume(folder);
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, Catch::Contains("going on from checkpoint"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(epochs, mode));
  CHECK(last_event(folder / "run")["samples"] == epochs * integer_samples);
}

TEST_CASE("a run goes on with another number of shards, workers and replicas and ends exact") {
  temporary_folder folder;
  lose_all_processes(folder, "ssp");
  const auto result = resume(folder, {"--set", "cluster.shards=2", "--set", "cluster.workers=3",
                                      "--set", "cluster.replicas=2"});
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, Catch::Contains("with 3 workers and 2 shards"));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(epochs, "ssp"));
}

TEST_CASE("CHECKPOINT-3: a damaged checkpoint is refused by its file's name and the one before is "
          "used") {
  temporary_folder folder;
  lose_all_processes(folder, "async");
  const auto complete = checkpoints_of(folder);
  REQUIRE(complete.size() >= 2);
  const auto file = complete.back() / "shard-1.image";
  const std::string damage = GENERATE("flipped", "truncated", "missing");
  INFO(damage);
  if (damage == "flipped") {
    auto bytes = read_file(file);
    bytes[bytes.size() / 2] ^= 1;
    std::ofstream(file, std::ios::binary) << bytes;
  } else if (damage == "truncated") {
    fs::resize_file(file, fs::file_size(file) - 1);
  } else {
    fs::remove(file);
  }
  const auto result = resume(folder);
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  const auto before = std::stoi(complete[complete.size() - 2].filename().string());
  CHECK_THAT(result.out,
             Catch::Contains("a checkpoint was not used: ") &&
                 Catch::Contains((complete.back().filename() / "shard-1.image").string()) &&
                 Catch::Contains("going on from checkpoint " + std::to_string(before) + " "));
  CHECK(last_event(folder / "run")["parameter_hash"] == expected_hash(epochs, "async"));
}

TEST_CASE("a second process that would go on with a run is refused while one has it") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(100'000));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--checkpoint-batches", "100"},
                folder.path());
  train.wait_for_line("checkpoint 1 at");
  const auto second = resume(folder);
  CHECK(second.code == 3);
  CHECK_THAT(second.err,
             Catch::StartsWith("troupe: ") && Catch::Contains("run") && Catch::Contains("pid"));
  const auto restarted =
      run_program({"scheduler", "--restart", "run", "--listen", "127.0.0.1:0"}, folder.path());
  CHECK(restarted.code == 3);
  CHECK(std::ranges::count(restarted.err, '\n') == 1);
  train.send(SIGINT);
  CHECK(train.finish().code == 130);
  CHECK(orphans.reap_all() == 0);
}
