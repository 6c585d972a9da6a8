// Scenarios on real processes, as `troupe chaos --real` runs them.
#include <csignal>
#include <filesystem>
#include <iostream>

#include <catch2/catch.hpp>

#include "program_fixture.hpp"
#include "temporary_folder.hpp"
#include "troupe/chaos/scenario.hpp"
#include "troupe/cli/real_run.hpp"

using namespace troupe::cli_test;
using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;
namespace fs = std::filesystem;

namespace {

// Long enough for the faults below to meet it: 64 batches, 25 ms each at least, by two workers.
std::string scenario(const std::string& faults, const std::string& finish_by = "30000") {
  return R"([workload]
modes = ["async", "bsp"]
samples = 256
epochs = 2
batch_ms = [25, 40]
checkpoint_every = 16
[cluster]
workers = 2
shards = 2
replicas = 2
)" + faults +
         R"([quiet]
from_ms = 900
finish_by_ms = )" +
         finish_by + "\n";
}

std::string fault(const std::string& kind, const std::string& target, const std::string& at,
                  const std::string& lasts, const std::string& more = "") {
  return "[[fault]]\nkind = \"" + kind + "\"\ntarget = \"" + target + "\"\nat_ms = " + at +
         "\nlasts_ms = " + lasts + "\n" + more;
}

std::string last_line(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

} // namespace

TEST_CASE("a scenario does its faults to real processes, and the run ends in the exact sum") {
  temporary_folder folder;
  folder.write("s.toml", scenario(fault("kill", "worker_node", "150", "100") +
                                  fault("pause", "primary", "300", "300") +
                                  fault("kill", "scheduler", "450", "50") +
                                  fault("drain", "node", "500", "100", "index = 0\n") +
                                  fault("disk", "scheduler", "200", "100")));
  orphan_watch orphans;
  const auto r = run_program({"chaos", "s.toml", "--real", "--seeds", "2", "--report", "page.html"},
                             folder.path());
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.err.empty());
  for (const auto* seed : {"seed 1 held after ", "seed 2 held after "})
    CHECK_THAT(r.out, Contains(seed));
  const std::string not_run = "not run here: 2 disk (only the simulator has such a disk)\n";
  CHECK_THAT(r.out, Contains(not_run));
  CHECK_THAT(last_line(r.out), StartsWith("2 seeds, 0 violations; 4 kill, 2 pause, 2 drain; ") &&
                                   EndsWith(" s of training"));
  CHECK_THAT(read_file(folder / "page.html"), Contains("4 kill, 2 pause, 2 drain"));
  CHECK_FALSE(fs::exists(folder / "chaos-failures"));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("one seed on real processes is told with its faults, its notices and its picture") {
  temporary_folder folder;
  folder.write("s.toml", scenario(fault("kill", "primary", "200", "100", "index = 1\n")));
  const auto r = run_program({"chaos", "s.toml", "--real", "--seeds", "1", "--report", "page.html",
                              "--events", "events.txt"},
                             folder.path());
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK_THAT(r.out, Contains("kill of the primary of shard 1 at 0.200 s, back after 0.100 s") &&
                        Contains("was ended by SIGKILL; started again as pid") &&
                        Contains("was lost") && Contains(" exactly_once "));
  CHECK_THAT(read_file(folder / "page.html"), Contains("<svg") && Contains("shard 1, view"));
  CHECK_THAT(read_file(folder / "events.txt"), Contains("applies"));
}

TEST_CASE(
    "REAL-1: a real run that fails is kept, with what repeats its faults, and leaves no process") {
  temporary_folder folder;
  folder.write("s.toml", scenario(fault("kill", "scheduler", "100", "0") +
                                      fault("pause", "node", "50", "60000"),
                                  "3000"));
  orphan_watch orphans;
  const auto r = run_program({"chaos", "s.toml", "--real", "--seeds", "1", "--failures", "kept"},
                             folder.path());
  INFO(r.out << r.err);
  CHECK(r.code == 1);
  CHECK_THAT(r.out, Contains("seed 1 FAILED") && Contains("finishes at ") &&
                        Contains("was ended by SIGKILL"));
  CHECK_THAT(r.out, Contains("  again:   troupe chaos s.toml --seeds 1 --first-seed 1 --real\n"
                             "  faults: troupe chaos kept/s-1.toml --real\n"
                             "  its run: kept/s-1.run\n"));
  CHECK(fs::exists(folder / "kept" / "s-1.run" / "run" / "events.jsonl"));
  CHECK_THAT(read_file(folder / "kept" / "s-1.toml"), Contains("kind = \"pause\""));
  CHECK_THAT(last_line(r.out), StartsWith("1 seed, 1 violation; 1 kill, 1 pause; "));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("what a run that was killed left is kept, where there is something") {
  temporary_folder folder;
  troupe::chaos::scenario s;
  s.name = "s";
  const troupe::cli::real_run_options o{.folder = folder / "while", .kept = folder / "kept"};
  CHECK(troupe::cli::keep_killed_run(s, 3, o) == std::nullopt);
  fs::create_directories(o.folder / "s-3.run");
  folder.write("while/s-3.run/output.txt", "so far");
  const auto kept = troupe::cli::keep_killed_run(s, 3, o);
  REQUIRE(kept == folder / "kept" / "s-3.run");
  CHECK(read_file(*kept / "output.txt") == "so far");
  CHECK_FALSE(fs::exists(o.folder / "s-3.run"));
}

TEST_CASE("a real run that does not end in time is given up") {
  temporary_folder folder;
  folder.write("s.toml", scenario(fault("pause", "scheduler", "100", "20000"), "1500"));
  const auto r = run_program({"chaos", "s.toml", "--real", "--seeds", "1"}, folder.path());
  INFO(r.out << r.err);
  CHECK(r.code == 1);
  CHECK_THAT(r.out, Contains("expected the run to have finished by 1.500000 s, found that it has "
                             "not ended") &&
                        Contains("status: {"));
}

TEST_CASE("Ctrl-C ends a campaign on real processes and all of these") {
  temporary_folder folder;
  folder.write("s.toml", scenario(fault("pause", "node", "50", "800")));
  orphan_watch orphans;
  program run({"chaos", "s.toml", "--real", "--seeds", "1000"}, folder.path());
  run.wait_for_line("seed 1 held");
  run.send(SIGINT);
  const auto r = run.finish();
  INFO(r.out << r.err);
  CHECK(r.code == 130);
  CHECK_THAT(last_line(r.out), StartsWith("interrupted after "));
  CHECK(orphans.reap_all() == 0);
}

TEST_CASE("REAL-3: links between real processes are cut and spoiled, where the user may have "
          "networks") {
  temporary_folder folder;
  folder.write(
      "s.toml",
      scenario(fault("link", "everybody", "50", "500", "link = { latency_ms = 3, drop = 0.02 }\n") +
               fault("partition", "node", "200", "3000", "index = 1\nbreaks = true\n") +
               fault("partition", "worker_node", "300", "300", "way = \"out\"\n")));
  orphan_watch orphans;
  const auto r = run_program({"chaos", "s.toml", "--real", "--seeds", "1"}, folder.path());
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(orphans.reap_all() == 0);
  const auto totals = last_line(r.out);
  if (const auto at = r.out.find("\nnot run here: "); at != std::string::npos) {
    // Then it says what and why, and goes on with the others.
    const auto line = r.out.substr(at + 1, r.out.find('\n', at + 1) - at - 1);
    CHECK_THAT(line, Contains("1 link (") && Contains(", 2 partition ("));
    CHECK_THAT(totals, Contains("; no fault; "));
    std::cout << "skipped: no network namespaces: " << line << std::endl;
    return;
  }
  CHECK_THAT(totals, Contains("; 2 partition, 1 link; "));
  CHECK_THAT(r.out, Contains("was lost (silent for "));
}
