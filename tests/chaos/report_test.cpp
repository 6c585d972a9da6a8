#include "troupe/chaos/report.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;
using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;

fault kill_at(sim_time at) {
  fault f;
  f.at = at;
  f.target = fault_target::primary;
  f.index = 1;
  f.lasts = 250ms;
  return f;
}

outcome bad_run() {
  outcome o;
  o.fingerprint = 0xab;
  o.virtual_time = 2s;
  o.violations = {{"clocks", 1500ms, "expected 3 < 4, found \"5\"", {"worker 1 does & dies"}}};
  o.seen.processes = {"scheduler", "node 0"};
  o.seen.spans = {{1, fault_kind::kill, 500ms, 750ms, "kill of node 0"}};
  o.seen.views = {{0, 1, 0ms, {1}}, {0, 2, 600ms, {}}};
  o.seen.clocks = {{7, 1, 400ms}, {7, 2, 900ms}};
  o.seen.notices = {{600ms, "node 0 was lost"}};
  return o;
}

failing_seed bad_seed() {
  failing_seed f;
  f.seed = 42;
  f.what = bad_run();
  f.faults = {kill_at(100ms), kill_at(500ms), kill_at(900ms)};
  f.shrunk = {kill_at(500ms)};
  f.shrink_runs = 9;
  f.minimal = true;
  return f;
}

campaign_report bad_campaign() {
  campaign_report r;
  r.first_seed = 1;
  r.seeds = 50;
  r.failed = 1;
  r.failures = {bad_seed()};
  r.faults[0] = 12;
  r.faults[2] = 3;
  r.probes[static_cast<std::size_t>(probe::took_over)] = 17;
  r.judged["staleness"] = 1234;
  r.virtual_time = 100s;
  r.seconds = 1.5;
  r.fingerprint = 0x1f;
  return r;
}

bool balanced(const std::string& page, const std::string& tag) {
  std::size_t opened = 0, closed = 0;
  for (std::size_t at = 0; (at = page.find("<" + tag, at)) != page.npos; ++at) ++opened;
  for (std::size_t at = 0; (at = page.find("</" + tag + ">", at)) != page.npos; ++at) ++closed;
  return opened > 0 && opened == closed;
}

TEST_CASE("the last line of a campaign has the totals") {
  auto r = bad_campaign();
  CHECK(totals_line(r) ==
        "50 seeds, 1 violation; 12 kill, 3 partition; 2000 seeds per minute, 100.0 "
        "s of virtual time, fingerprint 000000000000001f");
  r.interrupted = true;
  r.faults = {};
  CHECK_THAT(totals_line(r), StartsWith("interrupted after 50 seeds, 1 violation; no fault; "));
}

TEST_CASE("a campaign on real processes has no fingerprint, and says what it could not do") {
  auto r = bad_campaign();
  r.repeatable = false;
  r.not_run = {{"disk (none)", 2}, {"partition (not allowed)", 3}};
  CHECK(totals_line(r) == "50 seeds, 1 violation; 12 kill, 3 partition; 2000 seeds per minute, "
                          "100.0 s of training");
  CHECK(not_run_line(r.not_run) == "not run here: 2 disk (none), 3 partition (not allowed)");
  CHECK(not_run_line({}).empty());
  auto o = bad_run();
  o.faults[1] = 2;
  CHECK(seed_line(7, o) == "seed 7 FAILED after 2.0 s: 2 pause");
  o.violations.clear();
  o.not_run = r.not_run;
  CHECK(seed_line(7, o) == "seed 7 held after 2.0 s: 2 pause; not run here: 2 disk (none), 3 "
                           "partition (not allowed)");
  CHECK_THAT(text_of(o, {}, false), !Contains("fingerprint"));
  scenario s;
  const auto page = html_report({s, &r, nullptr, nullptr});
  CHECK_THAT(page, Contains("not run here: 2 disk (none)") && !Contains("Rare branches"));
}

TEST_CASE("a failing seed is told with its violation, what led to it, and the faults that do it") {
  const auto text = text_of(bad_seed());
  CHECK_THAT(text, StartsWith("seed 42 failed:\n  clocks at 1.500000 s: expected 3 < 4, found "
                              "\"5\"\n    worker 1 does & dies\n"));
  CHECK_THAT(text, Contains("1 fault of 3 is enough, found in 9 runs:\n    kill of the primary of "
                            "shard 1 at 0.500 s, back after 0.250 s\n"));
  CHECK_THAT(text, !Contains("0.100 s, back"));
}

TEST_CASE("probes that were never reached are listed, after those that were") {
  const auto text = text_of(bad_campaign().probes);
  CHECK_THAT(text, StartsWith("        17  took_over: "));
  CHECK_THAT(text, Contains("     never  lease_expired: "));
  CHECK(std::count(text.begin(), text.end(), '\n') == static_cast<long>(probes));
}

TEST_CASE("a mutant is told with the seed and the rule that caught it, or that none did") {
  mutant_result m{mutant::resend_dropped, 42, bad_seed()};
  CHECK(text_of(m) == "resend_dropped: caught by seed 42 (clocks) with 1 fault of 3");
  m.caught.reset();
  m.seeds = 300;
  CHECK(text_of(m) == "resend_dropped: NOT CAUGHT by 300 seeds");
}

TEST_CASE("the page shows nodes, faults, views, clocks and violations, and needs nothing else") {
  const auto r = bad_campaign();
  const std::vector<mutant_result> mutants = {{mutant::resend_dropped, 42, bad_seed()},
                                              {mutant::view_number_reused, 300, std::nullopt}};
  scenario s;
  s.name = "a-name";
  const auto page = html_report({s, &r, &mutants, [](std::uint64_t seed) {
                                   return "troupe chaos x <" + std::to_string(seed) + ">";
                                 }});
  CHECK_THAT(page, StartsWith("<!DOCTYPE html>") && EndsWith("</html>\n"));
  for (const auto* tag :
       {"html", "body", "svg", "table", "tr", "td", "pre", "rect", "text", "title"})
    CHECK(balanced(page, tag));
  CHECK_THAT(page, Contains(totals_line(r)) && Contains("<title>kill of node 0</title>"));
  CHECK_THAT(page, Contains("shard 0, view 1: primary node 0, from 0.000 s to 0.600 s"));
  CHECK_THAT(page, Contains("shard 0, view 2: nobody holds it"));
  CHECK_THAT(page, Contains("<title>worker 7</title>") && Contains("0.600 s: node 0 was lost"));
  CHECK_THAT(page, Contains("1 of 2 caught") && Contains("not by 300 seeds"));
  // What a run says is text, not markup.
  CHECK_THAT(page, Contains("clocks: expected 3 &lt; 4, found &quot;5&quot;"));
  CHECK_THAT(page, Contains("troupe chaos x &lt;42&gt;"));
  for (const auto* outside : {"http", "src=", "href=", "url(", "<script", "@import"})
    CHECK_THAT(page, !Contains(outside));
}

} // namespace
} // namespace troupe::chaos
