#include "troupe/cli/end_signals.hpp"

#include <csignal>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::cli;
using namespace std::chrono_literals;

TEST_CASE("END-1: one request to stop, from however many sides and in whatever order") {
  using wish = end_requests::wish;
  const end_requests::time_point start{};
  for (const auto& signals : std::vector<std::vector<int>>{{SIGTERM, SIGTERM, SIGTERM},
                                                           {SIGHUP, SIGHUP, SIGTERM},
                                                           {SIGINT, SIGTERM, SIGHUP},
                                                           {SIGTERM, SIGINT, SIGTERM}}) {
    end_requests requests;
    auto now = start;
    for (const int signal : signals) {
      CHECK(requests.heard(signal, now) == wish::stop);
      now += 10s;
    }
  }
  end_requests both; // timeout -s INT: to the child, and to its group
  CHECK(both.heard(SIGINT, start) == wish::stop);
  CHECK(both.heard(SIGINT, start + 1ms) == wish::stop);
}

TEST_CASE("END-2: Ctrl-C again hurries") {
  using wish = end_requests::wish;
  const end_requests::time_point start{};
  end_requests requests;
  CHECK(requests.heard(SIGTERM, start) == wish::stop);
  CHECK(requests.heard(SIGINT, start + 1s) == wish::stop);
  CHECK(requests.heard(SIGINT, start + 1s + end_requests::again_after) == wish::hurry);
}
