// Runs of real processes that are recorded, and what is proved of them.
#include "program_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "cluster_processes.hpp"
#include "integer_cluster.hpp"
#include "temporary_folder.hpp"
#include "troupe/history_file.hpp"

using namespace troupe::cli_test;
namespace fs = std::filesystem;
namespace history = troupe::history;

namespace {

nlohmann::json proved(const temporary_folder& folder, const std::string& path) {
  const auto result = run_program({"check", path, "--json"}, folder.path());
  INFO(result.out << result.err);
  REQUIRE((result.code == 0 || result.code == 1));
  return nlohmann::json::parse(result.out);
}

const nlohmann::json& rule(const nlohmann::json& report, int number) {
  return report.at("rules").at(static_cast<std::size_t>(number) - 1);
}

void check_sound(const nlohmann::json& report) {
  INFO(report.dump(1));
  CHECK(report["violations"].empty());
  CHECK(report["missing"].empty());
}

// A finished run of one process, in `run.history`.
void record_short_run(const temporary_folder& folder) {
  folder.write("job.toml", integer_job(2));
  const auto result =
      run_program({"train", "job.toml", "--run", "run", "--in-process", "--record", "run.history"},
                  folder.path());
  INFO(result.err);
  REQUIRE(result.code == 0);
}

} // namespace

TEST_CASE("a run in which a primary and the scheduler are killed is recorded whole, and every rule "
          "holds") {
  const std::string mode = GENERATE("async", "ssp", "bsp");
  INFO(mode);
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--replicas", "2", "--record", "run.history",
                 "--set", "train.consistency=" + mode},
                folder.path());
  train.wait_for_line("epoch 1/");
  const auto status = status_of(folder / "run");
  REQUIRE(status);
  const auto chain = processes_of_chain(train.pid(), *status, 0);
  REQUIRE(chain.size() == 2);
  REQUIRE(::kill(chain.front(), SIGKILL) == 0);
  train.wait_for_line("epoch 8/");
  REQUIRE(::kill(processes_of(train.pid(), process_role::scheduler).at(0), SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(orphans.reap_all() == 0);
  CHECK_FALSE(fs::exists(folder / "run.history.parts"));
  const auto checked = run_program({"check", "run.history"}, folder.path());
  INFO(checked.out << checked.err);
  CHECK(checked.code == 0);
  CHECK_THAT(checked.out,
             Catch::Contains("no violation") && Catch::Contains("the run has finished"));
  const auto report = proved(folder, "run.history");
  check_sound(report);
  // 7 nodes and a scheduler, and one of each started again.
  CHECK(report["processes"] == 10);
  for (int number : {1, 2, 5, 6, 8, 9}) {
    INFO(rule(report, number).dump());
    CHECK(rule(report, number)["judged"] > 1000);
    CHECK(rule(report, number)["unknown"] == 0);
  }
  CHECK(rule(report, mode == "bsp" ? 4 : 3)["judged"] > 1000);
  CHECK((rule(report, 4)["judged"] > 0) == (mode != "async"));
}

TEST_CASE("a run that goes back to a checkpoint keeps every rule") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(40));
  orphan_watch orphans;
  program train({"train", "job.toml", "--run", "run", "--checkpoint-batches", "500", "--record",
                 "run.history"},
                folder.path());
  train.wait_for_line("checkpoint 1 at");
  REQUIRE(::kill(processes_of(train.pid(), process_role::shard_node).at(2), SIGKILL) == 0);
  const auto result = train.finish();
  INFO(result.out << result.err);
  REQUIRE(result.code == 0);
  CHECK(orphans.reap_all() == 0);
  const auto report = proved(folder, "run.history");
  check_sound(report);
  CHECK(report["lives"] == 2);
  CHECK(rule(report, 10)["judged"] >= 5); // three images, that it was whole, and its batches
  CHECK(rule(report, 1)["unknown"] == 0);
}

TEST_CASE(
    "what was recorded before everything was killed can be checked, and so can what follows") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(60));
  {
    orphan_watch orphans;
    program train({"train", "job.toml", "--run", "run", "--checkpoint-batches", "300", "--record",
                   "first.history"},
                  folder.path());
    train.wait_for_line("checkpoint 2 at");
    train.send(SIGKILL);
    REQUIRE(train.finish().signal == SIGKILL);
    orphans.reap_all();
  }
  CHECK_FALSE(fs::exists(folder / "first.history"));
  auto report = proved(folder, "first.history.parts");
  check_sound(report);
  CHECK(report["processes"] == 8);
  CHECK(report["finished"] == false);
  CHECK(rule(report, 1)["judged"] > 100);

  const auto resumed = run_program(
      {"train", "--resume", "run", "--record", "second.history", "--set", "cluster.shards=2"},
      folder.path());
  INFO(resumed.out << resumed.err);
  REQUIRE(resumed.code == 0);
  report = proved(folder, "second.history");
  check_sound(report);
  CHECK(report["finished"] == true);
  // What it began with is of another history.
  CHECK(rule(report, 10)["unknown"] > 0);
  CHECK(rule(report, 1)["judged"] > 1000);
}

TEST_CASE("check tells the first violation with the events that led to it, and exits with 1") {
  temporary_folder folder;
  record_short_run(folder);
  CHECK(run_program({"check", "run.history"}, folder.path()).code == 0);
  auto processes = history::read_history(std::vector<fs::path>{folder / "run.history"});
  REQUIRE(processes.size() == 1);
  auto& events = processes[0].events;
  const auto applied = std::ranges::find_if(events, [](const history::event& e) {
    return e.what == history::event_kind::change_applied && e.sequence == 20;
  });
  REQUIRE(applied != events.end());
  const auto first = std::ranges::find_if(events, [&](const history::event& e) {
    return e.what == history::event_kind::change_applied && e.shard == applied->shard &&
           e.sequence == 1;
  });
  applied->batch = first->batch; // the same one again
  history::write_history(folder / "wrong.history", processes);
  const auto result = run_program({"check", "wrong.history"}, folder.path());
  CHECK(result.code == 1);
  CHECK_THAT(result.out, Catch::Contains("CHECK-1, exactly once, is broken: ") &&
                             Catch::Contains("with change 20, and with change 1 before") &&
                             Catch::Contains("the events that led to it:") &&
                             Catch::Contains("applies change 20: " + to_string(first->batch)));
  const auto all = run_program({"check", "wrong.history", "--all"}, folder.path());
  CHECK(all.code == 1);
  CHECK(all.out.size() > result.out.size());
  const auto json = run_program({"check", "wrong.history", "--json"}, folder.path());
  CHECK(json.code == 1);
  CHECK(nlohmann::json::parse(json.out)["violations"].size() > 1);
}

TEST_CASE("a history that is damaged, cut off, absent or in the way is refused by name with 3") {
  temporary_folder folder;
  record_short_run(folder);
  auto bytes = read_file(folder / "run.history");
  const auto refused = [&](const std::vector<std::string>& arguments) {
    const auto result = run_program(arguments, folder.path());
    INFO(result.out << result.err);
    CHECK(result.code == 3);
    CHECK(std::ranges::count(result.err, '\n') == 1);
    return result.err;
  };
  std::ofstream(folder / "cut.history", std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  CHECK_THAT(refused({"check", "cut.history"}),
             Catch::StartsWith("troupe: cut.history: ") && Catch::Contains("truncated"));
  bytes[bytes.size() / 2] ^= 4;
  std::ofstream(folder / "bad.history", std::ios::binary) << bytes;
  CHECK_THAT(refused({"check", "bad.history"}), Catch::Contains("bad.history: damaged at byte "));
  CHECK_THAT(refused({"check", "absent"}), Catch::Contains("absent: cannot be read"));
  CHECK_THAT(refused({"train", "job.toml", "--record", "run.history"}),
             Catch::Contains("expected a new file, found run.history"));
  CHECK(run_program({"check"}, folder.path()).code == 2);
}

TEST_CASE("a run that does not begin leaves no history") {
  temporary_folder folder;
  folder.write("job.toml", "[train]\nepochs = -1\n");
  const auto result = run_program({"train", "job.toml", "--record", "run.history"}, folder.path());
  CHECK(result.code == 2);
  CHECK_FALSE(fs::exists(folder / "run.history"));
  CHECK_FALSE(fs::exists(folder / "run.history.parts"));
}

TEST_CASE("a cluster started by hand writes parts into folders, which check takes together") {
  temporary_folder folder;
  folder.write("job.toml", integer_job(3));
  program scheduler(
      {"scheduler", "job.toml", "--listen", "127.0.0.1:0", "--run", "run", "--record", "a"},
      folder.path());
  const auto line = scheduler.wait_for_line(" listens at ");
  const auto address = line.substr(line.rfind(' ') + 1);
  program shards({"node", "--join", address, "--shards", "3", "--workers", "0", "--record", "a"},
                 folder.path());
  program workers({"node", "--join", address, "--shards", "0", "--workers", "4", "--record", "b"},
                  folder.path());
  CHECK(scheduler.finish().code == 0);
  CHECK(shards.finish().code == 0);
  CHECK(workers.finish().code == 0);
  const auto both = run_program({"check", "a", "b", "--json"}, folder.path());
  INFO(both.out << both.err);
  CHECK(both.code == 0);
  check_sound(nlohmann::json::parse(both.out));
  // Without the workers' part nothing is taken for wrong that it might explain.
  const auto one = nlohmann::json::parse(run_program({"check", "a", "--json"}, folder.path()).out);
  CHECK(one["violations"].empty());
  CHECK(one["missing"].size() == 1);
  CHECK(rule(one, 3)["judged"] == 0);
  CHECK(rule(one, 3)["unknown"] > 0);
}
