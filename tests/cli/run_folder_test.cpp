#include "troupe/cli/run_folder.hpp"

#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "temporary_folder.hpp"
#include "troupe/cli/failure.hpp"

using namespace troupe::cli;
using Catch::Contains;
using troupe::cli_test::read_file;
using troupe::cli_test::temporary_folder;
namespace fs = std::filesystem;

TEST_CASE("a run takes the number after the highest there is") {
  temporary_folder folder;
  const auto base = folder / "runs";
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-1");
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-2");
  fs::remove(base / "mnist-1");
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-3");
  fs::create_directory(base / "mnist-x");
  fs::create_directory(base / "mnist-12");
  folder.write("runs/mnist-13", "a file in the way");
  CHECK(run_folder::next(base, "mnist").path() == base / "mnist-14");
  CHECK(run_folder::next(base, "mni").path() == base / "mni-1");
}

TEST_CASE("RUN-1: runs that begin at the same time get folders of their own") {
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

TEST_CASE("RUN-1: a folder that holds anything is refused and left as it is") {
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

TEST_CASE("RUN-1: of two runs that claim one empty folder the second is refused") {
  temporary_folder folder;
  fs::create_directory(folder / "run");
  const auto first = run_folder::at(folder / "run"), second = run_folder::at(folder / "run");
  first.write_job("first");
  CHECK_THROWS_WITH(second.write_job("second"), Contains("another run has just taken this folder"));
  CHECK(read_file(folder / "run/job.json") == "first");
}

TEST_CASE("a run that never began takes back what it made and nothing else") {
  temporary_folder folder;
  const auto made = run_folder::at(folder / "made");
  made.write_job("{}");
  made.abandon();
  CHECK_FALSE(fs::exists(folder / "made"));

  fs::create_directory(folder / "given");
  const auto given = run_folder::at(folder / "given");
  given.write_job("{}");
  given.abandon();
  CHECK(fs::is_empty(folder / "given"));
}
