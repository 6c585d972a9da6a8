#include "troupe/cli/training_run.hpp"

#include <algorithm>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "program_fixture.hpp"
#include "temporary_folder.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/tensor/model_file.hpp"

using namespace troupe;
using namespace troupe::cli;
using namespace troupe::cli_test;
using Catch::Contains;
using Catch::StartsWith;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

training_run::request new_run(const temporary_folder& folder) {
  training_run::request r;
  r.job_file = folder.write("job.toml", digits_job());
  r.folder = folder / "run";
  return r;
}

training_run::request resumed(const temporary_folder& folder,
                              std::vector<std::string> overrides = {}) {
  training_run::request r;
  r.resume = folder / "run";
  r.overrides = std::move(overrides);
  return r;
}

training_run::request restarted(const temporary_folder& folder) {
  training_run::request r;
  r.restart = folder / "run";
  return r;
}

// A run that was killed in its second epoch, with these last events.
void killed_run(const temporary_folder& folder, const std::string& last = "") {
  { training_run run(new_run(folder)); }
  folder.write("run/events.jsonl", "{\"event\":\"epoch\",\"epoch\":1}\n" + last);
}

run_result finished_result(const training_run& run) {
  run_result result;
  result.outcome = run_result::status::finished;
  result.parameters.resize(run.workload().make_model()->parameter_layout().size());
  result.summary = finished_event{};
  return result;
}

run_result interrupted_early() {
  run_result result;
  result.outcome = run_result::status::interrupted;
  return result;
}

} // namespace

TEST_CASE("the address of a scheduler lies in the run folder while there is a scheduler") {
  temporary_folder folder;
  {
    training_run run(new_run(folder));
    run.listening({"127.0.0.1", 4711});
    CHECK(read_file(folder / "run/scheduler.address") == "127.0.0.1:4711\n");
  }
  CHECK_FALSE(fs::exists(folder / "run/scheduler.address"));
  CHECK(fs::exists(folder / "run/job.json"));
}

TEST_CASE("a run that never began leaves no folder, though it listened") {
  temporary_folder folder;
  training_run run(new_run(folder));
  run.listening({"127.0.0.1", 4711});
  CHECK(run.finish(interrupted_early()) == interrupted);
  CHECK_FALSE(fs::exists(folder / "run"));
}

TEST_CASE("FOLDER-2: a run in use can be neither resumed nor restarted") {
  temporary_folder folder;
  training_run run(new_run(folder));
  CHECK_THROWS_WITH(training_run(resumed(folder)), Contains("another scheduler is using"));
  CHECK_THROWS_WITH(training_run(restarted(folder)), Contains("another scheduler is using"));
}

TEST_CASE("a resumed run has the job of the run, its events are appended to, its model replaced") {
  temporary_folder folder;
  killed_run(folder, "{\"event\":\"progress\"}\n{\"event\":\"inter");
  folder.write("run/model.troupe", "an older model");
  const auto job = read_file(folder / "run/job.json");
  training_run run(resumed(folder));
  CHECK(run.job().name == "small");
  CHECK(run.finish(finished_result(run)) == success);
  const auto events = read_file(folder / "run/events.jsonl");
  CHECK_THAT(events, StartsWith("{\"event\":\"epoch\",\"epoch\":1}\n{\"event\":\"progress\"}\n"
                                "{\"event\":\"finished\","));
  CHECK(std::count(events.begin(), events.end(), '\n') == 3);
  CHECK(tensor::load_model(folder / "run/model.troupe").parameters.size() > 0);
  CHECK(read_file(folder / "run/job.json") == job);
}

TEST_CASE("a run that is resumed on another cluster writes its job anew") {
  temporary_folder folder;
  killed_run(folder);
  training_run run(resumed(folder, {"cluster.workers=5", "checkpoint.keep=7"}));
  CHECK(run.job().cluster.workers == 5);
  const auto job = json::parse(read_file(folder / "run/job.json"));
  CHECK(job["cluster"]["workers"] == 5);
  CHECK(job["checkpoint"]["keep"] == 7);
}

TEST_CASE("a resumed run that cannot begin is left as it was") {
  temporary_folder folder;
  killed_run(folder);
  const auto job = read_file(folder / "run/job.json");
  const auto events = read_file(folder / "run/events.jsonl");
  CHECK_THROWS_WITH(training_run(resumed(folder, {"cluster.workers=0"})),
                    Contains("cluster.workers: expected an integer from 1"));
  auto r = resumed(folder, {"cluster.workers=5"});
  r.events = folder.write("events.jsonl", "precious");
  CHECK_THROWS_WITH(training_run(r), Contains("expected a new file for the events"));
  CHECK(read_file(folder / "run/job.json") == job);
  CHECK(read_file(folder / "run/events.jsonl") == events);
}

TEST_CASE("a resumed run that never went on keeps everything") {
  temporary_folder folder;
  killed_run(folder);
  training_run run(resumed(folder));
  run.listening({"127.0.0.1", 4711});
  CHECK(run.finish(interrupted_early()) == interrupted);
  CHECK(fs::exists(folder / "run/job.json"));
  CHECK_FALSE(fs::exists(folder / "run/scheduler.address"));
  const auto events = read_file(folder / "run/events.jsonl");
  CHECK_THAT(events, StartsWith("{\"event\":\"epoch\",\"epoch\":1}\n{\"event\":\"interrupted\","));
}

TEST_CASE("a run that failed before it went on keeps everything, also when training throws") {
  temporary_folder folder;
  killed_run(folder);
  {
    training_run run(resumed(folder));
    run_result result;
    result.error = "no node came";
    CHECK(run.finish(result) == run_failed);
  }
  training_run(resumed(folder)).abandon();
  CHECK(fs::exists(folder / "run/job.json"));
  CHECK_THAT(read_file(folder / "run/events.jsonl"), Contains("no node came"));
}

TEST_CASE("a run that has finished is not resumed, and one that failed is") {
  temporary_folder folder;
  killed_run(folder, "{\"event\":\"finished\"}\n");
  CHECK_THROWS_WITH(training_run(resumed(folder)),
                    Catch::Equals((folder / "run").string() +
                                  ": expected a run that can go on, found one that has finished"));
  folder.write("run/events.jsonl", "{\"event\":\"failed\",\"reason\":\"r\"}\n");
  CHECK_NOTHROW(training_run(resumed(folder)));
}

TEST_CASE("a restarted run knows its epochs and goes on in the same events files") {
  temporary_folder folder;
  killed_run(folder);
  auto r = restarted(folder);
  r.events = folder.write("events.jsonl", "{\"event\":\"epoch\",\"epoch\":1}\n");
  training_run run(std::move(r));
  CHECK(run.finish(finished_result(run)) == success);
  CHECK(read_file(folder / "events.jsonl") == read_file(folder / "run/events.jsonl"));
  CHECK(tensor::load_model(folder / "run/model.troupe").epochs_done == 1);
}

TEST_CASE("a scheduler that was killed after its last event gives the code that it owed") {
  temporary_folder folder;
  const std::vector<std::string> restart{"scheduler", "--restart", (folder / "run").string(),
                                         "--listen", "127.0.0.1:0"};
  killed_run(folder, "{\"event\":\"finished\"}\n");
  const auto finished = run_program(restart);
  CHECK(finished.code == 0);
  CHECK_THAT(finished.out, Contains("the run has finished") && Contains("model.troupe"));
  folder.write("run/events.jsonl",
               "{\"event\":\"failed\",\"reason\":\"the loss is not finite\"}\n");
  const auto failed = run_program(restart);
  CHECK(failed.code == 1);
  CHECK(failed.err == "troupe: the loss is not finite\n");
  folder.write("run/events.jsonl", "{\"event\":\"interrupted\"}\n");
  const auto stopped = run_program(restart);
  CHECK(stopped.code == 130);
  CHECK_THAT(stopped.err, Contains("go on with troupe train --resume"));
}

TEST_CASE("a run folder that cannot be resumed gets one line and exit code 3") {
  temporary_folder folder;
  const auto none = run_program({"train", "--resume", "none"}, folder.path());
  CHECK(none.code == 3);
  CHECK(none.err == "troupe: none: expected a run folder, found nothing\n");
  killed_run(folder, "{\"event\":\"finished\"}\n");
  const auto finished = run_program({"train", "--resume", "run"}, folder.path());
  CHECK(finished.code == 3);
  CHECK(finished.err ==
        "troupe: run: expected a run that can go on, found one that has finished\n");
  const training_run user(restarted(folder));
  const auto used = run_program({"train", "--resume", "run"}, folder.path());
  CHECK(used.code == 3);
  CHECK_THAT(used.err, StartsWith("troupe: run: another scheduler is using this run folder (pid "));
}
