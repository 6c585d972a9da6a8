// The whole program with a cluster of processes.
#include "program_fixture.hpp"

#include <csignal>
#include <sstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "temporary_folder.hpp"

using namespace troupe::cli_test;
using Catch::Contains;
using Catch::StartsWith;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::vector<json> events_of(const fs::path& file) {
  std::istringstream in(read_file(file));
  std::vector<json> events;
  for (std::string line; std::getline(in, line);) events.push_back(json::parse(line));
  return events;
}

// Long enough that nobody sees its end.
std::vector<std::string> endless(const std::string& run) {
  return {"train", "job.toml", "--run", run, "--set", "train.epochs=100000"};
}

} // namespace

TEST_CASE("a job is trained in every mode by a cluster of processes") {
  const std::string mode = GENERATE("hogwild", "async", "ssp", "bsp");
  INFO(mode);
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  orphan_watch orphans;
  const auto result = run_program({"train", "job.toml", "--run", "run", "--events", "events.jsonl",
                                   "--set", "train.consistency=" + mode},
                                  folder.path());
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(result.err.empty());
  CHECK(orphans.reap_all() == 0);

  const auto events = events_of(folder / "events.jsonl");
  CHECK(read_file(folder / "events.jsonl") == read_file(folder / "run/events.jsonl"));
  std::vector<int> epochs;
  for (const auto& e : events)
    if (e["event"] == "epoch") epochs.push_back(e["epoch"]);
  CHECK(epochs == std::vector<int>{1, 2});
  const json& last = events.back();
  CHECK(last["event"] == "finished");
  CHECK(last["samples"] == 2 * 480);
  CHECK(last["held_out_accuracy"] > 0.2);
  CHECK(last["parameter_hash"].get<std::string>().size() == 16);

  const auto evaluated = run_program({"evaluate", (folder / "run").string(), "--json"});
  REQUIRE(evaluated.code == 0);
  const json again = json::parse(evaluated.out);
  CHECK(again["held_out_accuracy"] == last["held_out_accuracy"]);
  CHECK(again["parameter_hash"] == last["parameter_hash"]);
}

TEST_CASE("bsp gives the same parameters in one process and in many") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  const auto hash = [&](const std::string& run, std::vector<std::string> more) {
    more.insert(more.begin(),
                {"train", "job.toml", "--run", run, "--set", "train.consistency=bsp"});
    const auto result = run_program(more, folder.path());
    INFO(result.err);
    REQUIRE(result.code == 0);
    return events_of(folder / (run + "/events.jsonl")).back()["parameter_hash"];
  };
  const auto many = hash("many", {});
  CHECK(hash("one", {"--in-process"}) == many);
  CHECK(hash("three", {"--set", "cluster.workers=3", "--set", "cluster.shards=1"}) == many);
}

TEST_CASE("a second run in the same folder is refused and changes nothing") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  REQUIRE(run_program({"train", "job.toml", "--run", "run"}, folder.path()).code == 0);
  const auto model = read_file(folder / "run/model.troupe");
  const auto again = run_program({"train", "job.toml", "--run", "run"}, folder.path());
  CHECK(again.code == 3);
  CHECK_THAT(again.err, Contains("expected a new or empty folder"));
  CHECK(read_file(folder / "run/model.troupe") == model);
}

TEST_CASE("Ctrl-C saves the model, leaves no process and ends with 130") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  orphan_watch orphans;
  program train(endless("run"), folder.path());
  train.wait_for_line("epoch 1/");
  train.send(signal);
  const auto result = train.finish();
  CHECK(result.code == 130);
  CHECK(result.err.empty());
  CHECK_THAT(result.out, Contains("interrupted after ") && Contains("run/model.troupe"));
  CHECK(orphans.reap_all() == 0);
  CHECK(events_of(folder / "run/events.jsonl").back()["event"] == "interrupted");
  CHECK(run_program({"evaluate", (folder / "run").string()}).code == 0);
}

TEST_CASE("LAUNCH-2: killing the launcher leaves no process") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  orphan_watch orphans;
  program train(endless("run"), folder.path());
  train.wait_for_line("epoch 1/");
  train.send(SIGKILL);
  CHECK(train.finish().signal == SIGKILL);
  CHECK(orphans.reap_all() == 5); // scheduler, two shards, two workers: killed by the kernel
}

TEST_CASE("two runs at once do not disturb each other") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  program first({"train", "job.toml"}, folder.path());
  program second({"train", "job.toml"}, folder.path());
  CHECK(first.finish().code == 0);
  CHECK(second.finish().code == 0);
  CHECK(fs::exists(folder / "runs/small-1/model.troupe"));
  CHECK(fs::exists(folder / "runs/small-2/model.troupe"));
}

TEST_CASE("a diverging job fails with one line") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  orphan_watch orphans;
  const auto result = run_program(
      {"train", "job.toml", "--run", "run", "--set", "train.optimizer.learning_rate=1e30"},
      folder.path());
  CHECK(result.code == 1);
  CHECK_THAT(result.err, StartsWith("troupe: ") && Contains("loss"));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(orphans.reap_all() == 0);
  CHECK(events_of(folder / "run/events.jsonl").back()["event"] == "failed");
  CHECK_FALSE(fs::exists(folder / "run/model.troupe"));
}

TEST_CASE("events that cannot be written do not end a run but show in its exit code") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  const auto result =
      run_program({"train", "job.toml", "--run", "run", "--events", "/dev/full"}, folder.path());
  CHECK(result.code == 3);
  CHECK_THAT(result.err, Contains("/dev/full: cannot write the events: No space left on device"));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(fs::exists(folder / "run/model.troupe"));
  CHECK(events_of(folder / "run/events.jsonl").back()["event"] == "finished");
}

TEST_CASE("a port in use is a failure before training, and leaves no run folder") {
  temporary_folder folder;
  folder.write("job.toml", digits_job());
  orphan_watch orphans;
  program first({"scheduler", "job.toml", "--listen", "127.0.0.1:0"}, folder.path());
  const std::string out = first.wait_for_line("127.0.0.1:");
  const auto at = out.find("127.0.0.1:");
  const auto end = out.find_first_not_of("0123456789", at + 10);
  const std::string address = out.substr(at, end - at);
  const auto second = run_program({"scheduler", "job.toml", "--listen", address}, folder.path());
  CHECK(second.code == 1);
  CHECK_THAT(second.err, StartsWith("troupe: ") && Contains(address));
  CHECK_FALSE(fs::exists(folder / "runs/small-2"));

  first.send(SIGINT);
  const auto ended = first.finish();
  CHECK(ended.code == 130);
  CHECK_THAT(ended.err, Contains("interrupted before training began"));
  CHECK_FALSE(fs::exists(folder / "runs/small-1"));
  CHECK(orphans.reap_all() == 0);
}
