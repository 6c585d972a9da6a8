#include "troupe/cli/kept_process.hpp"

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

#include <catch2/catch.hpp>
#include <sys/wait.h>

#include "temporary_folder.hpp"

using namespace troupe::cli;
using namespace std::chrono_literals;
using Catch::Contains;
using Catch::EndsWith;
using state = kept_process::state;
using troupe::cli_test::temporary_folder;

namespace {

// A process that plays `script`; from start number `broken` on it cannot be started.
struct stage {
  temporary_folder folder;
  unsigned starts = 0;
  unsigned broken = 100;
  kept_process::time_point t0; // any time: nothing here reads a clock

  kept_process keep(const char* script, std::uint32_t restarts) {
    ::setenv("TROUPE_FAKE_FOLDER", folder.path().c_str(), 1);
    ::setenv("TROUPE_FAKE_SCHEDULER", script, 1);
    return kept_process({.name = "a role",
                         .start =
                             [this] {
                               if (++starts >= broken)
                                 throw std::system_error(EAGAIN, std::generic_category(), "no");
                               return child_process(
                                   {.program = TROUPE_FAKE_ROLE, .arguments = {"scheduler"}});
                             },
                         .rule = {.intensity = {.restarts = restarts, .period = 10s},
                                  .backoff = {.first = 100ms, .max = 1s, .jitter = 0.5}},
                         .random = [] { return 1.0; }});
  }
};

// Until it has ended, and is not yet reaped.
void await_end(const kept_process& p) {
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(p.process().pid()), &info, WEXITED | WNOWAIT) == 0);
}

} // namespace

TEST_CASE("an end is seen once, and told with its signal or code") {
  stage s;
  auto killed = s.keep("die 9", 1);
  await_end(killed);
  CHECK(killed.check());
  CHECK_FALSE(killed.check());
  CHECK(killed.now() == state::ended);
  CHECK(killed.ending() == "the process of a role (pid " + std::to_string(killed.process().pid()) +
                               ") was ended by SIGKILL");
  auto failed = s.keep("exit 3", 1);
  await_end(failed);
  CHECK(failed.check());
  CHECK_THAT(failed.ending(), EndsWith(") ended with exit code 3"));
}

TEST_CASE("KEPT-1: a process is started again when its delay is over and not before") {
  stage s;
  auto p = s.keep("die 9|wait", 3);
  await_end(p);
  REQUIRE(p.check());
  CHECK_FALSE(p.start_if_due(s.t0)); // nobody wants it
  CHECK_FALSE(p.restart(s.t0, "why"));
  CHECK(p.now() == state::waiting);
  REQUIRE(p.due());
  CHECK(*p.due() == s.t0 + 50ms); // half of the first delay
  CHECK_FALSE(p.start_if_due(s.t0 + 49ms));
  CHECK(s.starts == 1);
  const auto told = p.start_if_due(s.t0 + 50ms);
  REQUIRE(told);
  CHECK(*told == "why; started again as pid " + std::to_string(p.process().pid()));
  CHECK(p.now() == state::running);
  CHECK_FALSE(p.due());
  CHECK_FALSE(p.start_if_due(s.t0 + 1h));
  CHECK(s.starts == 2);
}

TEST_CASE("KEPT-2: one start too many within the period and a process is given up for good") {
  stage s;
  auto p = s.keep("die 9", 2);
  auto now = s.t0;
  for (int i = 0; i < 2; ++i) {
    await_end(p);
    REQUIRE(p.check());
    REQUIRE_FALSE(p.restart(now, "why"));
    now = *p.due();
    REQUIRE(p.start_if_due(now));
  }
  await_end(p);
  REQUIRE(p.check());
  const auto told = p.restart(now, "why");
  REQUIRE(told);
  CHECK(*told == "why; it was started again 2 times within 10 s and is given up");
  CHECK(p.now() == state::given_up);
  CHECK_FALSE(p.due());
  CHECK_FALSE(p.start_if_due(now + 1h));
  CHECK(s.starts == 3);
}

TEST_CASE("KEPT-2: a start that fails counts like one that ended") {
  stage s;
  s.broken = 2;
  auto p = s.keep("die 9", 2);
  await_end(p);
  REQUIRE(p.check());
  REQUIRE_FALSE(p.restart(s.t0, "why"));
  CHECK_FALSE(p.start_if_due(*p.due()));
  CHECK(p.now() == state::waiting);
  const auto told = p.start_if_due(*p.due());
  REQUIRE(told);
  CHECK_THAT(*told, Contains("the process of a role could not be started again (") &&
                        EndsWith("is given up"));
  CHECK(p.now() == state::given_up);
}

TEST_CASE("KEPT-3: a process that is kept away comes back at its time, whatever the backoff says") {
  stage s;
  auto p = s.keep("die 9", 3);
  await_end(p);
  REQUIRE(p.check());
  p.keep_away(3ms); // less than the backoff
  REQUIRE_FALSE(p.restart(s.t0, "why"));
  CHECK(p.due() == s.t0 + 3ms);
  REQUIRE(p.start_if_due(s.t0 + 3ms));
  await_end(p);
  REQUIRE(p.check());
  REQUIRE_FALSE(p.restart(s.t0 + 1s, "why")); // said of one end, not of the next
  CHECK(*p.due() > s.t0 + 1s + 3ms);
  REQUIRE(p.start_if_due(s.t0 + 1h));
  await_end(p);
  REQUIRE(p.check());
  p.keep_away(std::nullopt);
  CHECK_FALSE(p.restart(s.t0 + 1h, "why"));
  CHECK(p.now() == state::ended);
  CHECK_FALSE(p.start_if_due(s.t0 + 10h));
  CHECK(s.starts == 3);
}

TEST_CASE("a process that waits for its start need not be waited for") {
  stage s;
  auto p = s.keep("die 9", 2);
  await_end(p);
  REQUIRE(p.check());
  REQUIRE_FALSE(p.restart(s.t0, "why"));
  p.stop_waiting();
  CHECK(p.now() == state::ended);
  CHECK_FALSE(p.start_if_due(s.t0 + 1h));
  p.send(SIGKILL); // to nobody
}

TEST_CASE("a first start that fails is the caller's to see") {
  stage s;
  s.broken = 1;
  CHECK_THROWS_AS(s.keep("wait", 2), std::system_error);
}
