#include "troupe/cli/launcher.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "temporary_folder.hpp"
#include "troupe/cli/child_process.hpp"
#include "troupe/cli/failure.hpp"

using namespace troupe;
using namespace troupe::cli;
using namespace std::chrono_literals;
using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;
using troupe::cli_test::read_file;
using troupe::cli_test::temporary_folder;

namespace {

using lines = std::vector<std::string>;

struct outcome {
  int code = 0;
  std::vector<std::string> lines;                       // failures
  std::vector<std::string> notices;                     // what is good to know
  std::vector<std::string> schedulers, shards, workers; // the arguments of each start
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
  std::uint32_t restarts = 3; // of a process, in any time that a test lasts
  std::chrono::milliseconds delay = 1ms;
  bool resumed = false;
  bool interrupt_when_away = false; // Ctrl-C once the end of a process has been noticed
  bool call_when_given_up = false;  // whoever hears "given_up"
  disturbance* faults = nullptr;
};

lines lines_of(const std::filesystem::path& file) {
  lines result;
  if (!std::filesystem::exists(file)) return result;
  std::istringstream in(read_file(file));
  for (std::string line; std::getline(in, line);) result.push_back(line);
  return result;
}

// As a fake role does it.
void call(const std::filesystem::path& pipe) {
  ::mkfifo(pipe.c_str(), 0600);
  ::close(::open(pipe.c_str(), O_WRONLY));
}

// Where a script has both, "start" stands before "listen": then no node can end between the two.
outcome launch(const scripts& s, const limits& l = {}) {
  ::setenv("TROUPE_FAKE_SCHEDULER", s.scheduler, 1);
  ::setenv("TROUPE_FAKE_SHARD", s.shard, 1);
  ::setenv("TROUPE_FAKE_WORKER", s.worker, 1);
  temporary_folder folder;
  ::setenv("TROUPE_FAKE_FOLDER", folder.path().c_str(), 1);
  outcome result;
  launcher::options options;
  options.program = TROUPE_FAKE_ROLE;
  options.scheduler_arguments = {"job.toml"};
  options.nodes = {{1, 0, "shard node 1"}, {0, 1, "worker node 1"}};
  options.end_grace = l.end;
  options.save_grace = l.save;
  options.alone_grace = l.alone;
  options.node_rule =
      options.scheduler_rule = {.intensity = {.restarts = l.restarts, .period = 60s},
                                .backoff = {.first = l.delay, .max = l.delay}};
  options.random = [&] { // drawn for the delay of a restart
    if (l.interrupt_when_away) ::kill(::getpid(), SIGINT);
    return 0.5;
  };
  options.restart_arguments = {"--events", "e"};
  options.faults = l.faults;
  options.resumed = l.resumed;
  options.report = [&](std::string_view line) { result.lines.emplace_back(line); };
  options.notify = [&](std::string_view line) {
    result.notices.emplace_back(line);
    if (l.call_when_given_up && line.ends_with("given up")) call(folder / "pipe.given_up");
  };
  result.code = launcher(std::move(options)).run();
  result.schedulers = lines_of(folder / "scheduler");
  result.shards = lines_of(folder / "shard");
  result.workers = lines_of(folder / "worker");
  // LAUNCH-1: nothing is left to reap.
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
  return result;
}

} // namespace

TEST_CASE("a cluster has a process for every shard and worker, for hogwild one for all") {
  job j;
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

TEST_CASE("the replicas of a shard are on nodes of their own, and no offer is short") {
  job j;
  const auto offers = [&](std::uint32_t shards, std::uint32_t replicas) {
    j.cluster = {.workers = 1, .shards = shards, .replicas = replicas};
    std::vector<std::uint32_t> result;
    for (const auto& node : plan_nodes(j)) result.push_back(node.shards);
    CHECK(result.back() == 0); // the worker
    result.pop_back();
    return result;
  };
  using list = std::vector<std::uint32_t>;
  CHECK(offers(1, 1) == list{1});
  CHECK(offers(1, 3) == list{1, 1, 1});
  CHECK(offers(2, 3) == list{2, 2, 2});
  CHECK(offers(3, 2) == list{2, 2, 2});
  CHECK(offers(3, 5) == list{3, 3, 3, 3, 3});
  CHECK(plan_nodes(j)[4].name == "shard node 5");
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

TEST_CASE("LAUNCH-3: a node that ends silently before the start is named") {
  const auto result = launch({"listen;await_term 130", "await_term 0", "exit 1"});
  CHECK(result.code == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Contains("the process of worker node 1 (pid ") &&
                                  Contains("ended early with exit code 1"));
}

TEST_CASE("LAUNCH-4: a node that is killed before the start is started again") {
  const auto result =
      launch({"listen;hear again;start;exit 0", "await_term 0", "die 9|call again;await_term 0"});
  CHECK(result.code == 0);
  CHECK(result.lines.empty());
  CHECK(result.notices.size() == 1);
  CHECK(result.workers.size() == 2);
}

TEST_CASE("LAUNCH-4: a node that is killed too often before the start ends the run with a line") {
  const auto result = launch({"listen;await_term 130", "await_term 0", "die 9"}, {.restarts = 2});
  CHECK(result.code == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Contains("worker node 1") && EndsWith("and is given up"));
}

TEST_CASE("LAUNCH-4: a node that ends because its scheduler was killed is started again") {
  const auto result = launch({"listen;hear up;die 9|listen;hear again;start;exit 0", "await_term 0",
                              "call up;pass 50;exit 1|call again;await_term 0"});
  CHECK(result.code == 0);
  CHECK(result.lines.empty());
  CHECK(result.workers.size() == 2);
}

TEST_CASE("LAUNCH-4: a node that is killed after the start is started again as it was") {
  const auto result =
      launch({"start;listen;hear again;exit 0", "await_term 0", "die 9|call again;await_term 0"});
  CHECK(result.code == 0);
  CHECK(result.lines.empty());
  REQUIRE(result.notices.size() == 1);
  CHECK_THAT(result.notices[0], StartsWith("the process of worker node 1 (pid ") &&
                                    Contains(") was ended by SIGKILL; started again as pid "));
  CHECK(result.workers ==
        lines(2, "node --launched --join 127.0.0.1:1 --job job --shards 0 --workers 1"));
  CHECK(result.shards.size() == 1);
  CHECK(result.schedulers.size() == 1);
}

TEST_CASE("LAUNCH-4: a node that ends with an error is started again and its reason is told") {
  const auto result = launch({"start;listen;hear again;exit 0", "await_term 0",
                              "say troupe: no data here;exit 3|call again;await_term 0"});
  CHECK(result.code == 0);
  REQUIRE(result.notices.size() == 1);
  CHECK_THAT(result.notices[0],
             Contains("ended with exit code 3 (no data here); started again as pid "));
}

TEST_CASE("LAUNCH-5: a node that ends well is not started again") {
  const auto result = launch({"start;listen;hear shard;hear worker;exit 0", "call shard;exit 0",
                              "die 9|call worker;await_term 0"});
  CHECK(result.code == 0);
  CHECK(result.shards.size() == 1);
  CHECK(result.workers.size() == 2);
}

TEST_CASE("LAUNCH-4: a node that fails too often is given up and the run goes on") {
  const auto result = launch({"start;listen;hear given_up;exit 0", "await_term 0", "die 9"},
                             {.alone = 0ms, .restarts = 3, .call_when_given_up = true});
  CHECK(result.code == 0);
  CHECK(result.lines.empty());
  CHECK(result.workers.size() == 4);
  REQUIRE(result.notices.size() == 4);
  CHECK_THAT(result.notices[3], Contains("was ended by SIGKILL; it was started again 3 times "
                                         "within 60 s and is given up"));
}

TEST_CASE("LAUNCH-4: when the last node is given up the scheduler that stays is killed") {
  const auto result =
      launch({"start;listen;wait", "exit 1", "die 9"}, {.alone = 20ms, .restarts = 2});
  CHECK(result.code == 1);
  CHECK(result.lines ==
        lines{"no node process is left and the scheduler did not end the run; it was killed"});
  CHECK(result.shards.size() == 3);
  CHECK(result.workers.size() == 3);
  CHECK(std::ranges::count_if(result.notices, [](const auto& line) {
          return line.ends_with("it was started again 2 times within 60 s and is given up");
        }) == 2);
}

TEST_CASE("LAUNCH-4: a scheduler that is killed is started again where it was, and nodes stay") {
  const auto result = launch(
      {"start;listen;hear up;die 9|listen;start;exit 0", "await_term 0", "call up;await_term 0"});
  CHECK(result.code == 0);
  CHECK(result.lines.empty());
  REQUIRE(result.notices.size() == 1);
  CHECK_THAT(result.notices[0], StartsWith("the process of the scheduler (pid ") &&
                                    Contains(") was ended by SIGKILL; started again as pid "));
  REQUIRE(result.schedulers.size() == 2);
  CHECK_THAT(result.schedulers[0],
             StartsWith("scheduler job.toml --listen 127.0.0.1:0 --ready-fd "));
  CHECK_THAT(result.schedulers[1],
             StartsWith("scheduler --restart runs/of a job --events e --listen 127.0.0.1:1 "
                        "--ready-fd "));
  CHECK(result.shards.size() == 1);
  CHECK(result.workers.size() == 1);
}

TEST_CASE("LAUNCH-4: a scheduler may be killed again before it listens") {
  const auto result = launch({"start;listen;die 11|die 6|exit 0"});
  CHECK(result.code == 0);
  REQUIRE(result.notices.size() == 2);
  CHECK_THAT(result.notices[0], Contains("was ended by SIGSEGV; started again"));
  CHECK_THAT(result.notices[1], Contains("was ended by SIGABRT; started again"));
}

TEST_CASE("LAUNCH-4: a scheduler that is killed too often fails the run and ends the nodes") {
  const auto result = launch({"start;listen;die 9"}, {.restarts = 2});
  CHECK(result.code == 1);
  CHECK(result.schedulers.size() == 3);
  CHECK(result.notices.size() == 2);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0],
             Contains("the process of the scheduler (pid ") &&
                 Contains(") was ended by SIGKILL; it was started again 2 times within 60 s and is "
                          "given up") &&
                 EndsWith("go on with troupe train --resume runs/of a job"));
}

TEST_CASE("LAUNCH-4: a scheduler that is killed before it has a folder is started as at first") {
  const auto result = launch({"die 9|listen;start;exit 0"});
  CHECK(result.code == 0);
  REQUIRE(result.schedulers.size() == 2);
  CHECK_THAT(result.schedulers[1],
             StartsWith("scheduler job.toml --listen 127.0.0.1:0 --ready-fd "));
}

TEST_CASE("LAUNCH-4: a scheduler that is killed before the start goes on with its folder") {
  const auto result = launch({"listen;die 9|listen;start;exit 0"});
  CHECK(result.code == 0);
  REQUIRE(result.schedulers.size() == 2);
  CHECK_THAT(result.schedulers[1], StartsWith("scheduler --restart runs/of a job --events e "
                                              "--listen 127.0.0.1:1 --ready-fd "));
}

TEST_CASE("LAUNCH-4: a scheduler that is killed too often before the start fails the run") {
  const auto result = launch({"die 9"}, {.restarts = 2});
  CHECK(result.code == 1);
  CHECK(result.schedulers.size() == 3);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], EndsWith("and is given up"));
}

TEST_CASE("LAUNCH-5: the exit code of a scheduler that was started again is the run's") {
  const auto result = launch({"start;listen;die 9|exit 3"});
  CHECK(result.code == 3);
  CHECK(result.schedulers.size() == 2);
}

TEST_CASE("LAUNCH-5: a scheduler that is killed after Ctrl-C is not started again") {
  const auto result = launch({"start;listen;signal_parent 2;take_term;die 9"});
  CHECK(result.code == 130);
  CHECK(result.schedulers.size() == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(
      result.lines[0],
      EndsWith(") was ended by SIGKILL, and the model was not saved; go on with troupe train "
               "--resume runs/of a job"));
}

TEST_CASE("LAUNCH-5: Ctrl-C while the scheduler is away ends the run at once") {
  const auto result = launch({"start;listen;die 9"}, {.delay = 60s, .interrupt_when_away = true});
  CHECK(result.code == 130);
  CHECK(result.schedulers.size() == 1);
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Contains("go on with troupe train --resume"));
}

TEST_CASE("Ctrl-C before an earlier run goes on leaves it as it was") {
  const auto result = launch({"signal_parent 2;await_term 130"}, {.resumed = true});
  CHECK(result.code == 130);
  CHECK(result.lines == lines{"interrupted before training went on; the run is as it was"});
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

TEST_CASE("LAUNCH-7: signals from several sides are one request to end") {
  for (const auto* signals :
       {"signal_parent 15;pass 300;signal_parent 15", "signal_parent 1;pass 300;signal_parent 1",
        "signal_parent 2;signal_parent 2", "signal_parent 15;pass 300;signal_parent 2"}) {
    const auto script = std::string("start;listen;") + signals + ";pass 50;await_term 130";
    const auto result = launch({script.c_str()});
    CHECK(result.code == 130);
    CHECK(result.lines.empty());
  }
}

TEST_CASE("LAUNCH-1: a second Ctrl-C kills everything at once") {
  const auto result =
      launch({"ignore_term;start;listen;signal_parent 2;pass 300;signal_parent 2;wait",
              "ignore_term;wait", "ignore_term;wait"},
             {.end = 20ms});
  CHECK(result.code == 130);
  CHECK(result.lines ==
        lines{"interrupted twice; the run was ended at once, without saving the model; go on with "
              "troupe train --resume runs/of a job"});
}

TEST_CASE("an interrupted scheduler that had not started is told by the launcher, whoever asked") {
  const auto result = launch({"listen;exit 130"});
  CHECK(result.code == 130);
  CHECK(result.lines == lines{"interrupted before training began; nothing was kept"});
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

namespace {

// Kills what it is told to, at once, and then waits for nothing or gives the run up.
class killer : public disturbance {
 public:
  std::vector<std::size_t> victims;
  std::optional<kept_process::duration> away = 0ms; // none: for good
  std::optional<std::string> gives_up;
  unsigned begun = 0;

  void begin(time_point now) override {
    ++begun;
    due_ = now;
  }
  std::optional<time_point> due() const override { return due_; }
  std::optional<std::string> act(time_point, std::span<kept_process* const> processes) override {
    due_.reset();
    if (processes.size() != 3) return "there are " + std::to_string(processes.size());
    for (const auto i : victims) {
      processes[i]->keep_away(away);
      processes[i]->send(SIGKILL);
    }
    return gives_up;
  }

 private:
  std::optional<time_point> due_;
};

} // namespace

TEST_CASE("LAUNCH-6: what a disturbance kills comes back when it says, the scheduler as well") {
  killer k;
  k.victims = {0, 1, 2};
  // The backoff is longer than any test. Each start is counted before its process can be killed.
  const auto r = launch({"listen;hear shard;hear worker;start;wait|hear shard2;hear worker2;exit 0",
                         "call shard;wait|call shard2;wait", "call worker;wait|call worker2;wait"},
                        {.end = 1ms, .delay = 1h, .faults = &k});
  INFO((r.lines.empty() ? "" : r.lines.front()));
  CHECK(r.code == 0);
  CHECK(k.begun == 1);
  CHECK(r.schedulers.size() == 2);
  CHECK(r.shards.size() == 2);
  CHECK(r.workers.size() == 2);
}

TEST_CASE("LAUNCH-6: a scheduler that is killed for good has ended the run") {
  killer k;
  k.victims = {0};
  k.away.reset();
  const auto r = launch({"listen;start;wait"}, {.faults = &k});
  CHECK(r.code == 1);
  CHECK(r.schedulers.size() == 1);
  REQUIRE(r.lines.size() == 1);
  CHECK_THAT(r.lines[0], EndsWith("was ended by SIGKILL"));
}

TEST_CASE("LAUNCH-6: a disturbance may give the run up") {
  killer k;
  k.gives_up = "enough";
  const auto r = launch({"listen;start;wait", "wait", "wait"}, {.faults = &k});
  CHECK(r.code == 1);
  CHECK(r.lines == lines{"enough"});
}

TEST_CASE("LAUNCH-6: a disturbance does not begin before training does") {
  killer k;
  CHECK(launch({"listen;exit 1"}, {.faults = &k}).code == 1);
  CHECK(k.begun == 0);
}

TEST_CASE("a node that was stopped hears that the run is over") {
  class stopper : public killer {
    std::optional<std::string> act(time_point, std::span<kept_process* const> processes) override {
      if (std::exchange(acted_, true)) return std::nullopt;
      processes[1]->send(SIGSTOP);
      processes[0]->send(SIGTERM);
      return std::nullopt;
    }
    std::optional<time_point> due() const override { return acted_ ? std::nullopt : killer::due(); }
    bool acted_ = false;
  };
  stopper s;
  const auto begun = std::chrono::steady_clock::now();
  const auto r = launch({"listen;start;await_term 0", "await_term 0"}, {.end = 30s, .faults = &s});
  CHECK(r.code == 0);
  CHECK(std::chrono::steady_clock::now() - begun < 20s); // it was not waited for in vain
}
