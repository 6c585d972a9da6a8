#include "troupe/cli/launcher.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <catch2/catch.hpp>
#include <sys/wait.h>

#include "troupe/cli/child_process.hpp"
#include "troupe/cli/failure.hpp"

using namespace troupe;
using namespace troupe::cli;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

struct outcome {
  int code = 0;
  std::vector<std::string> lines;   // failures
  std::vector<std::string> notices; // what is good to know
};

struct scripts {
  const char* scheduler;
  const char* shard = "await_term 0";
  const char* worker = "await_term 0";
};

// A long limit where no test waits for it, a short one where that is the point.
struct limits {
  std::chrono::milliseconds end = 30s;
  std::chrono::milliseconds save = 30s;
  std::chrono::milliseconds alone = 30s;
};

// Where a script has both, "start" stands before "listen": then no node can end between the two.
outcome launch(const scripts& s, const limits& l = {}) {
  ::setenv("TROUPE_FAKE_SCHEDULER", s.scheduler, 1);
  ::setenv("TROUPE_FAKE_SHARD", s.shard, 1);
  ::setenv("TROUPE_FAKE_WORKER", s.worker, 1);
  outcome result;
  launcher::options options;
  options.program = TROUPE_FAKE_ROLE;
  options.scheduler_arguments = {"job.toml"};
  options.nodes = {{1, 0, "shard node 1"}, {0, 1, "worker node 1"}};
  options.end_grace = l.end;
  options.save_grace = l.save;
  options.alone_grace = l.alone;
  options.report = [&](std::string_view line) { result.lines.emplace_back(line); };
  options.notify = [&](std::string_view line) { result.notices.emplace_back(line); };
  result.code = launcher(std::move(options)).run();
  // LAUNCH-1: nothing is left to reap.
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
  return result;
}

using lines = std::vector<std::string>;

} // namespace

TEST_CASE("a cluster has a process for every shard and worker, for hogwild one for all") {
  actors::job j;
  j.cluster = {.workers = 2, .shards = 3};
  j.train.consistency = scheduler::consistency::ssp(1);
  const auto nodes = plan_nodes(j);
  REQUIRE(nodes.size() == 5);
  CHECK(nodes[0] == node_share{1, 0, "shard node 1"});
  CHECK(nodes[2] == node_share{1, 0, "shard node 3"});
  CHECK(nodes[4] == node_share{0, 1, "worker node 2"});
  j.train.consistency = scheduler::consistency::hogwild();
  REQUIRE(plan_nodes(j).size() == 1);
  CHECK(plan_nodes(j)[0].shards == 3);
  CHECK(plan_nodes(j)[0].workers == 2);
}

TEST_CASE("LAUNCH-1: the scheduler's exit code is the run's, and nodes that stay are ended") {
  for (const int code : {0, 1, 2, 3}) {
    const std::string script = "start;listen;exit " + std::to_string(code);
    const auto result = launch({script.c_str()});
    CHECK(result.code == code);
    CHECK(result.lines.empty());
  }
}

TEST_CASE("a scheduler that fails before it listens starts no node") {
  const auto result = launch({"exit 3", "signal_parent 15", "signal_parent 15"});
  CHECK(result.code == 3);
  CHECK(result.lines.empty());
}

TEST_CASE("LAUNCH-1: nodes that ignore the request to end are killed") {
  CHECK(
      launch({"start;listen;exit 0", "ignore_term;wait", "ignore_term;wait"}, {.end = 20ms}).code ==
      0);
}

TEST_CASE("LAUNCH-3: a node that fails before the start ends the run with its own line") {
  const auto result =
      launch({"listen;await_term 130", "await_term 0", "say troupe: no data here;exit 3"});
  CHECK(result.code == 3);
  CHECK(result.lines == lines{"no data here"});
}

TEST_CASE("LAUNCH-3: a node that dies silently before the start is named") {
  const auto result = launch({"listen;await_term 130", "await_term 0", "die 9"});
  CHECK(result.code == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Contains("the process of worker node 1 (pid ") &&
                                  Contains("ended early with signal 9 (Killed)"));
}

TEST_CASE("a node that ends with an error after the start is the scheduler's to judge") {
  const auto result =
      launch({"start;listen;wait", "say troupe: a copy;exit 1", "say troupe: a copy;exit 1"},
             {.alone = 20ms});
  CHECK(result.code == 1);
  CHECK(result.lines ==
        lines{"no node process is left and the scheduler did not end the run; it was killed"});
}

TEST_CASE("a node that is killed after the start is named, because only the launcher knows why") {
  const auto result = launch({"start;listen;wait", "exit 1", "die 9"}, {.alone = 20ms});
  CHECK(result.code == 1);
  CHECK(result.lines.size() == 1);
  REQUIRE(result.notices.size() == 1);
  CHECK_THAT(result.notices[0], Contains("worker node 1") && Contains("signal 9"));
}

TEST_CASE("a scheduler that is killed fails the run and ends the nodes") {
  const auto result = launch({"start;listen;die 9"});
  CHECK(result.code == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Contains("the scheduler process") && Contains("signal 9 (Killed)"));
}

TEST_CASE("Ctrl-C lets the scheduler save and end") {
  const auto result = launch({"start;listen;signal_parent 2;await_term 130"});
  CHECK(result.code == 130);
  CHECK(result.lines.empty()); // the scheduler has said where the model is
}

TEST_CASE("Ctrl-C before training began is told by the launcher") {
  const auto result = launch({"signal_parent 2;await_term 130"});
  CHECK(result.code == 130);
  CHECK(result.lines == lines{"interrupted before training began; nothing was kept"});
}

TEST_CASE("LAUNCH-1: a second request to end kills everything at once") {
  // Two different signals: two of the same kind may arrive as one.
  const auto result = launch({"ignore_term;start;listen;signal_parent 2;signal_parent 15;wait",
                              "ignore_term;wait", "ignore_term;wait"},
                             {.end = 20ms});
  CHECK(result.code == 130);
  CHECK(result.lines ==
        lines{"interrupted twice; the run was ended at once, without saving the model"});
}

TEST_CASE("a scheduler that does not end after Ctrl-C is killed in the end") {
  const auto result = launch({"ignore_term;start;listen;signal_parent 2;wait"}, {.save = 20ms});
  CHECK(result.code == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Contains("did not end within"));
}

TEST_CASE("a program that cannot be run is an error, not a hang") {
  CHECK_THROWS_WITH(child_process({.program = "/no/such/program", .arguments = {}}),
                    Contains("cannot run /no/such/program") && Contains("No such file"));
}

TEST_CASE("a child that still runs is killed with its object") {
  ::setenv("TROUPE_FAKE_SCHEDULER", "ignore_term;wait", 1);
  { const child_process child({.program = TROUPE_FAKE_ROLE, .arguments = {"scheduler"}}); }
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}
