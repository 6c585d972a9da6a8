#include "troupe/cli/process_faults.hpp"

#include <csignal>
#include <cstdlib>

#include <catch2/catch.hpp>
#include <sys/wait.h>

#include "temporary_folder.hpp"

using namespace troupe;
using namespace troupe::cli;
using namespace std::chrono_literals;
using chaos::fault;
using chaos::fault_kind;
using chaos::fault_target;
using troupe::cli_test::temporary_folder;

namespace {

const kept_process::time_point t0{}; // nothing here reads a clock

// A scheduler and two nodes that wait for ever; node 0 holds shard 0, node 1 runs a worker.
struct stage {
  explicit stage(chaos::schedule schedule)
      : faults({.faults = std::move(schedule),
                .finish_by = 10s,
                .workers = {0, 1},
                .chains = [this] { return chains; },
                .drain = [this](std::uint32_t number) { drained.push_back(number); },
                .no_network = "none here"}) {
    ::setenv("TROUPE_FAKE_FOLDER", folder.path().c_str(), 1);
    ::setenv("TROUPE_FAKE_SCHEDULER", "wait", 1);
    for (int i = 0; i < 3; ++i)
      kept.emplace_back(kept_process::options{
          .name = "a role",
          .start =
              [] {
                return child_process({.program = TROUPE_FAKE_ROLE, .arguments = {"scheduler"}});
              },
          .rule = {.intensity = {.restarts = 3, .period = 10s},
                   .backoff = {.first = 100ms, .max = 1s}},
          .random = [] { return 0.5; }});
    for (auto& k : kept) all.push_back(&k);
    faults.begin(t0);
  }

  std::optional<std::string> act(std::chrono::nanoseconds at) { return faults.act(t0 + at, all); }

  // What becomes of it next: CLD_STOPPED, CLD_CONTINUED, CLD_KILLED.
  int next_of(std::size_t i) const {
    siginfo_t info{};
    const auto pid = static_cast<id_t>(kept[i].process().pid());
    REQUIRE(::waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WCONTINUED | WNOWAIT) == 0);
    // What was seen is taken, but an end is left for its owner.
    if (info.si_code != CLD_KILLED)
      REQUIRE(::waitid(P_PID, pid, &info, WSTOPPED | WCONTINUED) == 0);
    return info.si_code;
  }
  // Whether something has become of it that was not seen yet.
  bool quiet(std::size_t i) const {
    siginfo_t info{};
    const auto pid = static_cast<id_t>(kept[i].process().pid());
    REQUIRE(::waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == 0);
    return info.si_pid == 0;
  }

  temporary_folder folder;
  std::vector<std::vector<std::uint32_t>> chains = {{1}};
  std::vector<std::uint32_t> drained;
  process_faults faults;
  std::vector<kept_process> kept;
  std::vector<kept_process*> all;
};

fault of(fault_kind kind, fault_target target, chaos::sim_time at, chaos::sim_time lasts) {
  fault f;
  f.at = at;
  f.kind = kind;
  f.target = target;
  f.lasts = lasts;
  return f;
}

} // namespace

TEST_CASE("FAULTS-1: a kill comes at its time, to who holds the shard then, and says until when") {
  stage s({of(fault_kind::kill, fault_target::primary, 100ms, 250ms),
           of(fault_kind::kill, fault_target::primary, 100ms, 250ms),
           of(fault_kind::kill, fault_target::scheduler, 200ms, 0ms)});
  CHECK(s.faults.due() == t0 + 100ms);
  CHECK_FALSE(s.act(99ms));
  CHECK(s.faults.done().empty());
  s.chains = {{2, 1}}; // it has moved
  CHECK_FALSE(s.act(110ms));
  CHECK(s.next_of(2) == CLD_KILLED);
  CHECK(s.next_of(1) == CLD_KILLED); // the second one found the next primary
  CHECK(s.quiet(0));
  REQUIRE(s.faults.done().size() == 2);
  CHECK(s.faults.done()[0].at == 110ms);
  CHECK(s.faults.done()[0].to == std::vector<std::uint32_t>{2});
  CHECK(s.faults.done()[1].to == std::vector<std::uint32_t>{1});
  REQUIRE(s.kept[2].check());
  CHECK_FALSE(s.kept[2].restart(t0 + 120ms, "why"));
  CHECK(s.kept[2].due() == t0 + 120ms + 250ms); // from its end on
  s.act(200ms);
  CHECK(s.next_of(0) == CLD_KILLED);
  REQUIRE(s.kept[0].check());
  s.kept[0].restart(t0 + 210ms, "why");
  CHECK(s.kept[0].now() == kept_process::state::ended); // for good
}

TEST_CASE("FAULTS-2: a process that is paused twice goes on when the longer pause is over") {
  stage s({of(fault_kind::pause, fault_target::worker_node, 0ms, 500ms),
           of(fault_kind::pause, fault_target::worker_node, 100ms, 100ms)});
  s.act(0ms);
  CHECK(s.next_of(2) == CLD_STOPPED);
  s.act(100ms);
  s.act(200ms); // the end of the second
  CHECK(s.quiet(2));
  s.act(500ms);
  CHECK(s.next_of(2) == CLD_CONTINUED);
  CHECK(s.faults.done().size() == 2);
}

TEST_CASE("FAULTS-3: what cannot be done is counted with the reason, if it had a target") {
  stage s({of(fault_kind::partition, fault_target::node, 0ms, 1ms),
           of(fault_kind::link, fault_target::everybody, 0ms, 1ms),
           of(fault_kind::partition, fault_target::backup, 0ms, 1ms), // there is none
           of(fault_kind::disk, fault_target::scheduler, 0ms, 1ms),
           of(fault_kind::power_loss, fault_target::scheduler, 0ms, 1ms),
           of(fault_kind::clock_jump, fault_target::node, 0ms, 1ms),
           of(fault_kind::clock_jump, fault_target::node, 9ms, 1ms)});
  s.act(0ms);
  CHECK(s.faults.done().empty());
  CHECK(s.faults.not_run() == std::map<std::string, std::uint64_t>{
                                  {"clock_jump (only the simulator has such clocks)", 1},
                                  {"disk (only the simulator has such a disk)", 1},
                                  {"link (none here)", 1},
                                  {"partition (none here)", 1},
                                  {"power_loss (only the simulator has such a disk)", 1}});
  for (std::size_t i = 0; i < 3; ++i) CHECK(s.quiet(i));
}

TEST_CASE("a drain asks for the node to go, and says how long after that it comes back") {
  stage s({of(fault_kind::drain, fault_target::primary, 0ms, 70ms)});
  s.act(0ms);
  CHECK(s.drained == std::vector<std::uint32_t>{1});
  CHECK(s.quiet(1));
  CHECK(s.faults.done().size() == 1);
  CHECK(s.kept[1].kept_away());
}

TEST_CASE("FAULTS-4: a run that goes on after its time is given up, once") {
  stage s({});
  CHECK(s.faults.due() == t0 + 10s);
  CHECK_FALSE(s.faults.gave_up());
  CHECK(s.act(10s));
  CHECK(s.faults.gave_up());
  CHECK_FALSE(s.faults.due());
}
