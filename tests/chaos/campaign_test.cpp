#include "troupe/chaos/campaign.hpp"

#include <algorithm>
#include <csignal>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "troupe/chaos/schedule.hpp"
#include "troupe/random.hpp"

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;
using Catch::Contains;

scenario six_pauses() {
  scenario s;
  s.cluster.nodes = {{3, 2, 0}, {4, 0, 1}};
  fault_family f;
  f.kind = fault_kind::pause;
  f.target = fault_target::node;
  f.count = {6, 6};
  f.window = {0ms, 1s};
  f.lasts = {8ms, 64ms};
  s.families = {f};
  return s;
}

/// A run that does nothing, and says what was asked of it.
outcome empty_run(std::uint64_t seed, const schedule& faults, bool with_timeline) {
  outcome o;
  o.fingerprint = tensor::mix(seed);
  o.faults[static_cast<std::size_t>(fault_kind::pause)] = faults.size();
  o.virtual_time = 2s;
  o.judged["staleness"] = 3;
  if (with_timeline) o.seen.processes = {"scheduler"};
  return o;
}

TEST_CASE("CAMPAIGN-1: every seed is run, and what came of them adds up") {
  const auto r = run_campaign(
      six_pauses(),
      [](const scenario&, std::uint64_t seed, const schedule& faults, bool with_timeline) {
        auto o = empty_run(seed, faults, with_timeline);
        o.probes[5] = seed;
        return o;
      },
      {.first_seed = 100, .seeds = 50, .jobs = 2});
  CHECK(r.seeds == 50);
  CHECK(r.failed == 0);
  CHECK_FALSE(r.interrupted);
  CHECK(r.faults[static_cast<std::size_t>(fault_kind::pause)] == 300);
  CHECK(r.virtual_time == 100s);
  CHECK(r.judged.at("staleness") == 150);
  CHECK(r.probes[5] == (100 + 149) * 50 / 2);
}

TEST_CASE("a failing seed is told with its schedule, and with a smaller one that still fails") {
  const auto guilty = [](const fault& f) { return f.index == 2; };
  const auto fails = [&](const schedule& s) { return std::ranges::any_of(s, guilty); };
  const auto r = run_campaign(
      six_pauses(),
      [&](const scenario&, std::uint64_t seed, const schedule& faults, bool with_timeline) {
        auto o = empty_run(seed, faults, with_timeline);
        if (fails(faults))
          o.violations.push_back({"clocks", 1s, "expected 1, found 2", {"this", "that"}});
        // Another bug, which smaller schedules lead to: not the one that is looked for.
        if (faults.size() < 2) o.violations.push_back({"staleness", 1s, "expected 3, found 4", {}});
        return o;
      },
      {.first_seed = 1, .seeds = 200, .jobs = 2, .stop_after = 3});
  CHECK(r.failed == 3);
  CHECK_FALSE(r.interrupted);
  REQUIRE(r.failures.size() == 3);
  CHECK(std::ranges::is_sorted(r.failures, {}, &failing_seed::seed));
  for (const auto& f : r.failures) {
    CHECK(f.faults == draw(six_pauses(), f.seed));
    REQUIRE(f.shrunk.size() == 1);
    CHECK(guilty(f.shrunk[0]));
    CHECK(f.minimal);
    CHECK(f.what.violations.front().rule == "clocks");
    CHECK(f.what.violations.front().by == std::vector<std::string>{"this", "that"});
    CHECK(f.what.seen.processes.size() == 1);
  }
}

TEST_CASE("CAMPAIGN-2: a run that crashes is a violation, is made smaller, and ends nothing") {
  const auto r = run_campaign(
      six_pauses(),
      [](const scenario&, std::uint64_t seed, const schedule& faults, bool with_timeline) {
        if (seed == 7 && faults.size() >= 2) std::raise(SIGKILL);
        if (seed == 9) throw std::runtime_error("no luck");
        return empty_run(seed, faults, with_timeline);
      },
      {.first_seed = 1, .seeds = 30, .jobs = 2});
  CHECK(r.seeds == 30);
  REQUIRE(r.failures.size() == 2);
  CHECK(r.failures[0].seed == 7);
  CHECK(r.failures[0].what.violations.front().rule == "crash");
  CHECK_THAT(r.failures[0].what.violations.front().what, Contains("signal 9"));
  CHECK(r.failures[0].shrunk.size() == 2);
  CHECK_THAT(r.failures[1].what.violations.front().what, Contains("no luck"));
  CHECK(r.failures[1].shrunk.empty());
}

TEST_CASE("a run that comes out differently the second time is a violation of replay") {
  int runs = 0; // of this process: what a run must not depend on
  const auto r = run_campaign(
      six_pauses(),
      [&](const scenario&, std::uint64_t seed, const schedule& faults, bool with_timeline) {
        auto o = empty_run(seed, faults, with_timeline);
        if (seed == 5) o.fingerprint += static_cast<std::uint64_t>(++runs);
        return o;
      },
      {.first_seed = 1, .seeds = 10, .jobs = 2, .twice = true});
  REQUIRE(r.failures.size() == 1);
  CHECK(r.failures[0].seed == 5);
  CHECK(r.failures[0].what.violations.front().rule == "replay");
}

TEST_CASE("a campaign that is stopped gives what it has so far") {
  campaign_options options{.first_seed = 1, .seeds = 1'000'000, .jobs = 2};
  std::uint64_t done = 0;
  options.on_progress = [&](std::uint64_t seeds, std::uint64_t) { done = seeds; };
  options.stop = [&] { return done >= 40; };
  const auto r = run_campaign(
      six_pauses(),
      [](const scenario&, std::uint64_t seed, const schedule& faults, bool with_timeline) {
        return empty_run(seed, faults, with_timeline);
      },
      options);
  CHECK(r.interrupted);
  CHECK(r.seeds >= 40);
  CHECK(r.seeds < 10'000);
}

TEST_CASE("one seed alone is told with its timeline") {
  const auto r =
      run_campaign(six_pauses(),
                   [](const scenario&, std::uint64_t seed, const schedule& faults,
                      bool with_timeline) { return empty_run(seed, faults, with_timeline); },
                   {.first_seed = 12, .seeds = 1, .jobs = 2});
  REQUIRE(r.only);
  CHECK(r.only->fingerprint == tensor::mix(12));
  CHECK(r.only->seen.processes.size() == 1);
}

TEST_CASE(
    "runs that cannot be repeated are made once each, with their timeline, and told at once") {
  std::map<std::uint64_t, outcome> told;
  const auto r = run_campaign(
      six_pauses(),
      [](const scenario&, std::uint64_t seed, const schedule& faults, bool with_timeline) {
        auto o = empty_run(seed, faults, with_timeline);
        o.not_run["disk (there is none)"] = seed;
        // In one process only the first run would pass.
        static int runs = 0;
        if (++runs > 1 || seed == 4) o.violations.push_back({"finishes", {}, "it did not", {}});
        return o;
      },
      {.first_seed = 3,
       .seeds = 3,
       .jobs = 1,
       .repeatable = false,
       .on_outcome = [&](std::uint64_t seed, const outcome& o) { told[seed] = o; }});
  CHECK(told.size() == 3);
  CHECK(told[5].violations.empty());
  CHECK(told[5].seen.processes.size() == 1);
  CHECK(r.not_run == std::map<std::string, std::uint64_t>{{"disk (there is none)", 12}});
  REQUIRE(r.failures.size() == 1);
  CHECK(r.failures[0].seed == 4);
  CHECK(r.failures[0].what.seen.processes.size() == 1);
  CHECK(r.failures[0].faults.size() == 6);
  CHECK(r.failures[0].shrunk == r.failures[0].faults);
  CHECK(r.failures[0].shrink_runs == 0);
  CHECK_FALSE(r.repeatable);
}

TEST_CASE("a campaign's fingerprint is that of all its seeds, in whatever order they were run") {
  const auto of = [](unsigned jobs, std::uint64_t change) {
    return run_campaign(six_pauses(),
                        [=](const scenario&, std::uint64_t seed, const schedule& faults, bool t) {
                          auto o = empty_run(seed, faults, t);
                          if (seed == 33) o.fingerprint += change;
                          return o;
                        },
                        {.first_seed = 1, .seeds = 64, .jobs = jobs})
        .fingerprint;
  };
  CHECK(of(1, 0) == of(2, 0));
  CHECK(of(2, 0) != of(2, 1));
}

} // namespace
} // namespace troupe::chaos
