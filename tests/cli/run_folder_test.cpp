#include "troupe/cli/run_folder.hpp"

#include <csignal>
#include <set>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "../tensor/file_size_limit.hpp"
#include "temporary_folder.hpp"
#include "troupe/cli/failure.hpp"

using namespace troupe::cli;
using Catch::Contains;
using Catch::Equals;
using troupe::cli_test::read_file;
using troupe::cli_test::temporary_folder;
namespace fs = std::filesystem;

TEST_CASE("a run takes the number after the highest there is") {
  temporary_folder folder;
  const auto base = folder / "runs";
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-1");
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-2");
  fs::remove_all(base / "mnist-1");
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-3");
  fs::create_directory(base / "mnist-x");
  fs::create_directory(base / "mnist-12");
  folder.write("runs/mnist-13", "a file in the way");
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-14");
  CHECK(run_folder::next(base, "mni").path() == base / "mni-1");
}

TEST_CASE("FOLDER-1: runs that begin at the same time get folders of their own") {
  temporary_folder folder;
  std::vector<std::string> taken(8);
  {
    std::vector<std::jthread> runs;
    for (auto& path : taken)
      runs.emplace_back([&] { path = run_folder::next(folder / "runs", "job").path().string(); });
  }
  CHECK(std::set<std::string>(taken.begin(), taken.end()).size() == taken.size());
}

TEST_CASE("a named run folder may be new or empty") {
  temporary_folder folder;
  CHECK(run_folder::at(folder / "new").path() == folder / "new");
  CHECK(run_folder::at(folder / "deep/er/").path() == folder / "deep/er");
  fs::create_directory(folder / "empty");
  CHECK(run_folder::at(folder / "empty").path() == folder / "empty");
}

TEST_CASE("FOLDER-1: a folder that holds anything is refused and left as it is") {
  temporary_folder folder;
  fs::create_directory(folder / "old");
  folder.write("old/model.troupe", "precious");
  CHECK_THROWS_WITH(run_folder::at(folder / "old"),
                    Contains("expected a new or empty folder") && Contains("model.troupe"));
  CHECK(read_file(folder / "old/model.troupe") == "precious");
  folder.write("file", "");
  CHECK_THROWS_AS(run_folder::at(folder / "file"), file_error);
  CHECK_THROWS_AS(run_folder::at(folder / "file/below"), file_error);
}

TEST_CASE("FOLDER-1: of two runs that claim one empty folder the second is refused") {
  temporary_folder folder;
  fs::create_directory(folder / "run");
  const auto first = run_folder::at(folder / "run");
  CHECK_THROWS_WITH(run_folder::at(folder / "run"),
                    Contains("another scheduler is using this run folder"));
  first.write_job("first");
  CHECK_THROWS_WITH(first.write_job("second"), Contains("another run has just taken this folder"));
  CHECK(read_file(folder / "run/job.json") == "first");
}

TEST_CASE("a folder with nothing but the lock of a killed process may be named") {
  temporary_folder folder;
  fs::create_directory(folder / "run");
  folder.write("run/lock", "123456789\n");
  CHECK(run_folder::at(folder / "run").path() == folder / "run");
}

TEST_CASE(
    "FOLDER-2: a run folder in use is refused with the process that uses it, and free after") {
  temporary_folder folder;
  {
    const auto user = run_folder::at(folder / "run");
    user.write_job("{}");
    CHECK_THROWS_WITH(run_folder::existing(folder / "run"),
                      Equals((folder / "run").string() +
                             ": another scheduler is using this run "
                             "folder (pid " +
                             std::to_string(::getpid()) + ")"));
  }
  CHECK(run_folder::existing(folder / "run/").path() == folder / "run");
}

TEST_CASE("FOLDER-2: the lock of a process that was killed holds nobody up") {
  temporary_folder folder;
  run_folder::at(folder / "run").write_job("{}");
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = run_folder::existing(folder / "run");
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(read_file(folder / "run/lock") == std::to_string(child) + "\n");
  const auto next = run_folder::existing(folder / "run");
  CHECK(read_file(folder / "run/lock") == std::to_string(::getpid()) + "\n");
}

TEST_CASE("an existing run is one with a job") {
  temporary_folder folder;
  fs::create_directory(folder / "empty");
  folder.write("file", "");
  CHECK_THROWS_WITH(run_folder::existing(folder / "none"), Contains("found nothing"));
  CHECK_THROWS_WITH(run_folder::existing(folder / "empty"), Contains("without job.json"));
  CHECK_THROWS_WITH(run_folder::existing(folder / "file"), Contains("found something else"));
  CHECK(fs::is_empty(folder / "empty"));
}

TEST_CASE("an existing run keeps its files when it is taken back") {
  temporary_folder folder;
  run_folder::at(folder / "run").write_job("{}");
  folder.write("run/events.jsonl", "events");
  const auto run = run_folder::existing(folder / "run");
  run.write_address("host:1");
  CHECK(read_file(run.address_file()) == "host:1\n");
  run.abandon();
  CHECK_FALSE(fs::exists(run.address_file()));
  CHECK(read_file(run.job_file()) == "{}");
  CHECK(read_file(run.events_file()) == "events");
}

TEST_CASE("a job is replaced as a whole or not at all") {
  temporary_folder folder;
  const auto run = run_folder::at(folder / "run");
  run.write_job("a longer text before");
  run.replace_job("after");
  CHECK(read_file(run.job_file()) == "after");
  fs::create_directory(folder / "run/job.json.new"); // in the way of the new text
  CHECK_THROWS_WITH(run.replace_job("never"), Contains("job.json: cannot write: "));
  CHECK(read_file(run.job_file()) == "after");
}

TEST_CASE("a disk that is full when the run takes its folder leaves nothing behind") {
  temporary_folder folder;
  fs::create_directory(folder / "given");
  {
    const file_size_limit full(0);
    CHECK_THROWS_WITH(run_folder::at(folder / "made"), Contains("made/lock: cannot write: "));
    CHECK_THROWS_WITH(run_folder::next(folder / "runs", "a"), Contains("a-1/lock: cannot write: "));
    CHECK_THROWS_WITH(run_folder::at(folder / "given"), Contains("given/lock: cannot write: "));
  }
  CHECK_FALSE(fs::exists(folder / "made"));
  CHECK(fs::is_empty(folder / "runs"));
  CHECK(fs::is_empty(folder / "given"));
  // A run that is there keeps its folder, whose lock is anybody's who gets it.
  run_folder::at(folder / "run").write_job("{}");
  {
    const file_size_limit full(0);
    CHECK_THROWS_WITH(run_folder::existing(folder / "run"), Contains("cannot write: "));
  }
  CHECK(read_file(folder / "run/job.json") == "{}");
  run_folder::existing(folder / "run");
}

TEST_CASE("a run that never began takes back what it made and nothing else") {
  temporary_folder folder;
  const auto made = run_folder::at(folder / "made");
  made.write_job("{}");
  made.write_address("host:1");
  made.abandon();
  CHECK_FALSE(fs::exists(folder / "made"));

  fs::create_directory(folder / "given");
  const auto given = run_folder::at(folder / "given");
  given.write_job("{}");
  given.abandon();
  CHECK(fs::is_empty(folder / "given"));
}
