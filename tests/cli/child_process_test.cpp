#include "troupe/cli/child_process.hpp"

#include <cerrno>
#include <cstdlib>

#include <catch2/catch.hpp>
#include <sys/wait.h>

using namespace troupe::cli;

TEST_CASE("a child that still runs is killed with its object") {
  ::setenv("TROUPE_FAKE_SCHEDULER", "ignore_term;wait", 1);
  { const child_process child({.program = TROUPE_FAKE_ROLE, .arguments = {"scheduler"}}); }
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}
