#include <csignal>
#include <fstream>

#include <catch2/catch.hpp>

#include "program_fixture.hpp"
#include "temporary_folder.hpp"

using namespace troupe::cli_test;
using Catch::Contains;
using Catch::StartsWith;
namespace fs = std::filesystem;

namespace {

// A small cluster whose nodes hang for moments. `more` may add what it does not get over.
std::string scenario(const std::string& more) {
  return R"([workload]
modes = ["async", "bsp"]
samples = 64
epochs = 1
batch_ms = [10, 30]
[cluster]
workers = 2
shards = 2
replicas = 2
[[faults]]
kind = "pause"
target = "node"
count = 3
lasts_ms = [10, 100]
)" + more +
         R"([quiet]
from_ms = 500
finish_by_ms = 20000
)";
}

// The scheduler dies and nobody starts another one.
const char* const no_scheduler = R"([[faults]]
kind = "kill"
target = "scheduler"
count = 1
window_ms = [30, 60]
for_good = 1
)";

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string last_line(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

} // namespace

TEST_CASE("chaos runs a scenario with many seeds and ends with one line of totals") {
  temporary_folder folder;
  folder.write("calm.toml", scenario(""));
  const auto r = run_program(
      {"chaos", "calm.toml", "--seeds", "12", "--twice", "--report", "page.html"}, folder.path());
  CHECK(r.code == 0);
  CHECK(r.err.empty());
  CHECK_THAT(r.out, StartsWith("calm: seeds from 1\n"));
  CHECK_THAT(r.out, Contains("rare branches:") && Contains("never  "));
  CHECK_THAT(last_line(r.out), StartsWith("12 seeds, 0 violations; ") && Contains(" pause; ") &&
                                   Contains(" seeds per minute, ") &&
                                   Contains("s of virtual time, fingerprint "));
  const auto page = text_of(folder / "page.html");
  CHECK_THAT(page, StartsWith("<!DOCTYPE html>") && Contains("12 seeds, 0 violations"));
  CHECK_THAT(page, !Contains("http") && !Contains("<script"));
  CHECK_FALSE(fs::exists(folder / "chaos-failures"));
}

TEST_CASE("chaos tells the faults and the fingerprint of one seed, the same every time") {
  temporary_folder folder;
  folder.write("calm.toml", scenario(""));
  const std::vector<std::string> words = {"chaos",        "calm.toml", "--seeds",  "1",
                                          "--first-seed", "7",         "--report", "page.html"};
  const auto r = run_program(words, folder.path());
  CHECK(r.code == 0);
  CHECK_THAT(r.out, Contains("pause of node") && Contains("finished") && Contains("fingerprint"));
  CHECK_THAT(text_of(folder / "page.html"), Contains("<svg") && Contains("shard 1, view"));
  const auto fingerprint = [](const std::string& out) {
    return out.substr(out.find("\nfingerprint "), 30);
  };
  CHECK(fingerprint(run_program(words, folder.path()).out) == fingerprint(r.out));
}

TEST_CASE("a seed that fails is told with what repeats it, and kept with fewer faults") {
  temporary_folder folder;
  folder.write("doomed.toml", scenario(no_scheduler));
  const auto r = run_program(
      {"chaos", "doomed.toml", "--first-seed", "5", "--stop-after", "1", "--failures", "kept"},
      folder.path());
  CHECK(r.code == 1);
  CHECK_THAT(r.out, Contains("failed:\n  finishes at ") && Contains("1 fault of 4") &&
                        Contains("kill of the scheduler"));
  CHECK_THAT(last_line(r.out), Contains(", 1 violation; "));

  const auto again = r.out.find("  again:   troupe chaos doomed.toml --seeds 1 --first-seed ");
  REQUIRE(again != std::string::npos);
  const auto smaller = r.out.find("  smaller: troupe chaos kept/doomed-");
  REQUIRE(smaller != std::string::npos);
  const auto begin = r.out.find("kept/", smaller);
  const auto file = r.out.substr(begin, r.out.find('\n', begin) - begin);
  CHECK_THAT(text_of(folder / file),
             StartsWith("# finishes: ") && Contains("[[fault]]") && !Contains("[[faults]]"));
  const auto replayed = run_program({"chaos", file}, folder.path());
  CHECK(replayed.code == 1);
  CHECK_THAT(last_line(replayed.out), StartsWith("1 seed, 1 violation; 1 kill; "));
}

TEST_CASE("failing seeds that cannot be kept are told all the same, and the totals") {
  temporary_folder folder;
  folder.write("doomed.toml", scenario(no_scheduler));
  const auto r = run_program(
      {"chaos", "doomed.toml", "--seeds", "2", "--no-shrink", "--failures", "doomed.toml/kept"},
      folder.path());
  INFO(r.out << r.err);
  CHECK(r.code == 1);
  CHECK_THAT(r.out,
             Contains("seed 1 failed:") && Contains("seed 2 failed:") && !Contains("smaller:"));
  CHECK_THAT(r.err, Contains("doomed-2.toml: cannot write the faults of a failing seed: "));
  CHECK_THAT(last_line(r.out), StartsWith("2 seeds, 2 violations; "));
}

TEST_CASE("Ctrl-C ends a campaign with the totals so far") {
  temporary_folder folder;
  folder.write("calm.toml", scenario(""));
  orphan_watch orphans;
  program run({"chaos", "calm.toml", "--seeds", "100000000"}, folder.path());
  run.wait_for_line("calm: seeds from 1");
  run.send(SIGINT);
  const auto r = run.finish();
  CHECK(r.code == 130);
  CHECK_THAT(last_line(r.out), StartsWith("interrupted after ") && Contains(", 0 violations; "));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("chaos lists the rare branches and the deliberate bugs that it knows") {
  CHECK_THAT(run_program({"chaos", "--list-probes"}).out,
             Contains("duplicate_after_failover: ") && Contains("view_during_image: "));
  CHECK_THAT(run_program({"chaos", "--list-mutants"}).out,
             Contains("staleness_off_by_one: ") && Contains("torn_checkpoint_accepted: "));
}
