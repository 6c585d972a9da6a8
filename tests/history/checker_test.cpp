#include "troupe/checker.hpp"

#include <algorithm>
#include <chrono>

#include <catch2/catch.hpp>

#include "sample_history.hpp"

using namespace troupe::history;
namespace scheduler = troupe::scheduler;

namespace {

using sample = sample_history;
constexpr auto nodes = {sample::primary, sample::backup};

constexpr auto number(role r) { return static_cast<std::uint8_t>(r); }

// The worker takes what the n-th pull was served for what it is.
void land_as_served(sample& s, std::size_t n) {
  const auto& served = s.find(sample::primary, event_kind::pull_served, n);
  auto& landed = s.find(sample::worker, event_kind::parameters_landed, n);
  landed.value = served.value;
  landed.sequence = served.sequence; // every change brought a batch
}

} // namespace

TEST_CASE("a history in which nothing is wrong is judged by its rules and has no violation") {
  const auto r = check(sample{}.processes);
  CHECK(r.violations.empty());
  CHECK(r.missing.empty());
  CHECK(r.finished);
  CHECK(r.lives == 1);
  CHECK(r.processes == 4);
  for (std::size_t i = 0; i < rules; ++i) {
    INFO(name_of(static_cast<rule>(i + 1)));
    if (static_cast<rule>(i + 1) != rule::checkpoints) CHECK(r.counts.at(i).judged > 0);
    CHECK(r.counts.at(i).unknown == 0);
  }
  CHECK(broken(sample{scheduler::consistency::async()}).empty());
  CHECK(broken(sample{scheduler::consistency::bsp(2)}).empty());
}

TEST_CASE("CHECK-1: a batch that is applied twice") {
  sample s;
  // The last batch again, which the replicas took for another one.
  for (auto p : nodes) s.find(p, event_kind::change_applied, 3).batch = {0, 1};
  s.find(sample::primary, event_kind::push_acknowledged, 3).batch = {0, 1};
  const auto r = check(s.processes);
  CHECK(r.of(rule::exactly_once).violations > 0);
  CHECK_THAT(r.violations.front().what,
             Catch::Contains("batch 1 of epoch 0 was applied with change 4, and with change 2"));
  // The events that led to it are those of that batch, the one that shows it last.
  const auto& by = r.violations.front().by;
  REQUIRE(by.size() > 2);
  CHECK(std::ranges::all_of(
      by, [](const auto& line) { return line.find("batch 1 of epoch 0") != std::string::npos; }));
  CHECK_THAT(by.back(), Catch::Contains("applies change 4"));
}

TEST_CASE("CHECK-1: replicas that made different changes, or left one out") {
  sample s;
  s.find(sample::backup, event_kind::change_applied, 1).clock = 7;
  CHECK(broken(s) == only(rule::exactly_once));
  CHECK_THAT(first_line(s), Catch::Contains("different changes of number 2"));
  sample t;
  t.erase(sample::backup, event_kind::change_applied, 1);
  CHECK(broken(t) == only(rule::exactly_once));
  CHECK_THAT(first_line(t), Catch::Contains("applied change 3 after change 1"));
  sample u; // the one thinks that it was new
  u.find(sample::backup, event_kind::change_applied, 1).value = 0;
  CHECK(broken(u) == only(rule::exactly_once));
}

TEST_CASE("CHECK-1: a batch that is not of the job") {
  sample s;
  for (auto p : nodes) s.find(p, event_kind::change_applied, 3).batch = {7, 0};
  CHECK(check(s.processes).of(rule::exactly_once).violations >= 2); // and another is lacking
  CHECK_THAT(first_line(s), Catch::Contains("batch 0 of epoch 7 is not of the job"));
}

TEST_CASE("CHECK-1: a run that finished without a batch") {
  sample s;
  s.find(sample::scheduler, event_kind::job_described).batch = {3, 2};
  const auto r = check(s.processes);
  CHECK(r.of(rule::exactly_once).violations == 1);
  CHECK_THAT(r.violations.front().what,
             Catch::Contains("4 of 6 batches") && Catch::Contains("lacks batch 0 of epoch 2"));
}

TEST_CASE("CHECK-2: an acknowledged batch that its successor lacks") {
  sample s;
  // The backup takes over without the last change, which the primary had acknowledged.
  s.erase(sample::backup, event_kind::change_applied, 4);
  s.erase(sample::backup, event_kind::state_hashed);
  s.erase(sample::backup, event_kind::change_applied, 3);
  s.add(sample::scheduler, {.what = event_kind::view_decided,
                            .detail = number(role::primary),
                            .node = node_id{sample::backup},
                            .view = 2});
  auto installed = s.replica_event(event_kind::view_installed, sample::backup);
  installed.view = 2;
  installed.detail = number(role::primary);
  installed.sequence = installed.value = 3;
  s.add(sample::backup, installed);
  const auto r = check(s.processes);
  CHECK(broken_rules(r) == only(rule::nothing_lost));
  // Seen twice: by who takes over, and by what a replica of that view never had.
  CHECK(r.of(rule::nothing_lost).violations == 2);
  CHECK(std::ranges::any_of(r.violations, [](const auto& v) {
    return v.what.find("had been acknowledged in view 1 as change 4") != std::string::npos;
  }));
}

TEST_CASE("CHECK-2: an acknowledgement, or a repetition, of what was never applied") {
  sample s;
  for (auto p : nodes) {
    auto& e = s.find(p, event_kind::change_applied, 3);
    e.detail = static_cast<std::uint8_t>(change_kind::repeated);
    e.value = 0;
  }
  const auto r = check(s.processes);
  CHECK_THAT(r.violations.front().what, !Catch::Contains("dropped")); // CHECK-1: it lacks one
  CHECK(r.of(rule::nothing_lost).violations >= 2);
  CHECK(std::ranges::any_of(r.violations, [](const auto& v) {
    return v.what.find("was dropped with change 4 as one applied before, and was not") !=
           std::string::npos;
  }));
  CHECK(std::ranges::any_of(r.violations, [](const auto& v) {
    return v.what.find("acknowledged batch 1 of epoch 1, which it had not applied") !=
           std::string::npos;
  }));
  sample t; // acknowledged before the change
  t.find(sample::primary, event_kind::push_acknowledged, 2).sequence = 2;
  CHECK(broken(t) == only(rule::nothing_lost));
}

TEST_CASE("CHECK-2: a worker that sees acknowledged what no replica applied") {
  sample s;
  s.find(sample::scheduler, event_kind::job_described).batch = {3, 2};
  s.erase(sample::scheduler, event_kind::run_ended);
  s.lease({2, 0});
  s.add(sample::worker, {.what = event_kind::push_sent, .clock = 4, .batch = {2, 0}});
  CHECK(broken(s).empty());
  s.add(sample::worker, {.what = event_kind::acknowledgement_seen, .batch = {2, 0}});
  CHECK(broken(s) == (std::vector{rule::nothing_lost, rule::acknowledged})); // nor acknowledged it
  CHECK_THAT(first_line(s), Catch::Contains("no replica ever applied it"));
}

TEST_CASE("CHECK-3: a read that lacks what its reader had seen acknowledged") {
  sample s;
  s.find(sample::primary, event_kind::pull_served, 3).value = 2;
  land_as_served(s, 3);
  CHECK(broken(s) == only(rule::own_writes));
  CHECK_THAT(first_line(s), Catch::Contains("below clock 2") && Catch::Contains("below clock 3"));
}

TEST_CASE("CHECK-3: a read that says more of its reader than it contains") {
  sample s;
  // The pull at clock 3 overlaps the push at clock 2, and is served before it.
  s.erase(sample::worker, event_kind::pull_sent, 3);
  s.insert_before(sample::worker, event_kind::push_sent, 2,
                  {.what = event_kind::pull_sent, .clock = 3});
  // What it may know: batches 0 and 1; its lease came later.
  auto& served = s.find(sample::primary, event_kind::pull_served, 3);
  served.sequence = 2;
  served.value = 2;
  land_as_served(s, 3);
  CHECK(broken(s).empty());
  s.find(sample::primary, event_kind::pull_served, 3).value = 3;
  land_as_served(s, 3);
  CHECK(broken(s) == only(rule::own_writes));
  CHECK_THAT(first_line(s), Catch::Contains("that at clock 2, batch 0 of epoch 1"));
}

TEST_CASE("CHECK-4: ssp: a read beyond the bound, by the clocks that the changes tell") {
  sample s;
  CHECK(check(s.processes).of(rule::staleness).judged == 4);
  // A second worker enters at clock 0 and does nothing; the first is at most one ahead of it.
  sample t;
  t.find(sample::primary, event_kind::replica_began).clock = 2;
  t.find(sample::backup, event_kind::replica_began).clock = 2;
  const auto r = check(t.processes);
  CHECK(broken_rules(r) == only(rule::staleness));
  CHECK(r.of(rule::staleness).violations == 2); // at clocks 2 and 3
  CHECK_THAT(first_line(t), Catch::Contains("worker 1 had its pushes below clock 0") &&
                                Catch::Contains("staleness 2, the bound is 1"));
}

TEST_CASE("CHECK-4: a worker that left holds nobody back, one with a gap does") {
  sample s;
  for (auto p : nodes) {
    s.find(p, event_kind::replica_began).clock = 2;
    auto leaves = s.replica_event(event_kind::change_applied, p);
    leaves.detail = static_cast<std::uint8_t>(change_kind::leave);
    leaves.worker = worker_id{1};
    leaves.sequence = 1;
    s.insert_before(p, event_kind::change_applied, 0, leaves);
    bool first = true;
    for (auto& e : s.processes[p].events)
      if (e.what == event_kind::change_applied) {
        if (!std::exchange(first, false)) ++e.sequence;
      } else if (e.sequence > 0 && e.what != event_kind::view_installed) {
        ++e.sequence;
      }
  }
  s.find(sample::primary, event_kind::pull_served).sequence = 1;
  CHECK(broken(s).empty());
  sample t; // the push at clock 1 counts for clock 2: there is a gap, and the clock stays at 1
  for (auto p : nodes) t.find(p, event_kind::change_applied, 1).clock = 2;
  CHECK(std::ranges::count(broken(t), rule::staleness) == 1);
}

TEST_CASE("CHECK-4: bsp: a read of another step than the one before, and a step too early") {
  const auto mode = scheduler::consistency::bsp(2);
  sample s{mode};
  s.find(sample::primary, event_kind::pull_served, 2).sequence = 1;
  CHECK_THAT(first_line(s), Catch::Contains("for step 1 from the state before step 0"));
  sample late{mode}; // served after its own step was applied, and not from before it
  late.find(sample::primary, event_kind::pull_served, 1).sequence = 2;
  land_as_served(late, 1);
  CHECK(broken(late) == only(rule::staleness));
  late.find(sample::primary, event_kind::pull_served, 1).detail = 1;
  CHECK(broken(late).empty());
  sample t{mode};
  t.find(sample::primary, event_kind::step_applied, 0).sequence = 1;
  CHECK(broken(t) == only(rule::staleness));
  CHECK_THAT(first_line(t), Catch::Contains("applied step 0 with change 1"));
}

TEST_CASE("CHECK-5: a worker's clock that goes back, or has two batches") {
  sample s;
  s.find(sample::worker, event_kind::push_sent, 3).clock = 2;
  for (auto p : nodes) s.find(p, event_kind::change_applied, 3).clock = 2;
  CHECK(broken(s) == only(rule::clocks));
  CHECK_THAT(first_line(s), Catch::Contains("at clock 2, and batch 0 of epoch 1 at clock 2"));
  sample t;
  t.find(sample::worker, event_kind::pull_sent, 3).clock = 1;
  CHECK(std::ranges::count(broken(t), rule::clocks) == 1);
  sample u; // what a shard says goes back
  u.find(sample::primary, event_kind::pull_served, 2).value = 9;
  land_as_served(u, 2);
  CHECK(broken(u) == only(rule::clocks));
}

TEST_CASE("CHECK-6: two primaries of one view, and one that was not decided") {
  sample s;
  s.find(sample::primary, event_kind::push_acknowledged, 3).view = 1;
  auto other = s.find(sample::primary, event_kind::push_acknowledged, 3);
  other.node = node_id{sample::backup};
  s.add(sample::backup, other);
  CHECK(broken(s) == only(rule::one_primary));
  CHECK_THAT(first_line(s), Catch::Contains("both answered as primary"));
  sample t;
  t.find(sample::scheduler, event_kind::view_decided, 0).node = node_id{sample::backup};
  t.find(sample::scheduler, event_kind::view_decided, 1).node = node_id{sample::primary};
  CHECK(broken(t) == only(rule::one_primary));
  CHECK_THAT(first_line(t), Catch::Contains("whose primary is node 3"));
}

TEST_CASE("CHECK-6: a read of the past, of one's own pushes or of what was completed by others") {
  sample s{scheduler::consistency::async()};
  s.find(sample::primary, event_kind::pull_served, 3).sequence = 2;
  land_as_served(s, 3);
  CHECK(std::ranges::count(broken(s), rule::one_primary) == 1);
  CHECK_THAT(last_line(s), Catch::Contains("after change 2, and the worker knew of change 3"));
  // Another worker, which never pushed: that its lease came after the completion tells.
  sample t{scheduler::consistency::async()};
  t.insert_before(
      sample::scheduler, event_kind::run_ended, 0,
      {.what = event_kind::lease_given, .detail = 1, .worker = worker_id{1}, .batch = {1, 1}});
  auto& events = t.processes[sample::scheduler].events;
  std::iter_swap(events.end() - 2, std::ranges::find_if(events, [](const event& e) {
                   return e.what == event_kind::batch_completed && e.batch == batch_id{1, 1};
                 }));
  t.add(sample::worker,
        {.what = event_kind::lease_received, .worker = worker_id{1}, .batch = {1, 1}});
  t.add(sample::worker, {.what = event_kind::pull_sent, .worker = worker_id{1}, .clock = 0});
  auto served = t.replica_event(event_kind::pull_served, sample::primary);
  served.worker = worker_id{1};
  served.sequence = 3;
  t.add(sample::primary, served);
  CHECK(broken(t).empty());
  t.processes[sample::primary].events.back().sequence = 2; // without batch 0 of epoch 1
  CHECK(broken(t) == only(rule::one_primary));
}

TEST_CASE("CHECK-6: with one clock, a read that lacks what anybody had been acknowledged") {
  sample s{scheduler::consistency::async()};
  // A worker that knows of nothing, so that its own events say nothing about its read.
  auto& sent =
      s.add(sample::worker, {.what = event_kind::pull_sent, .worker = worker_id{1}, .clock = 0});
  sent.time_ns = 0;
  auto served = s.replica_event(event_kind::pull_served, sample::primary);
  served.worker = worker_id{1};
  served.sequence = 3;
  s.add(sample::primary, served);
  const check_options one_clock{.one_clock = true};
  CHECK(broken(s).empty());
  CHECK(broken_rules(check(s.processes, one_clock)) == only(rule::one_primary));
  CHECK_THAT(check(s.processes, one_clock).violations.front().what,
             Catch::Contains("served a pull in view 1 after change 3, when node 2 had acknowledged "
                             "change 4"));
  auto& late = s.processes[sample::primary].events.back();
  late.sequence = 4;
  CHECK(broken_rules(check(s.processes, one_clock)).empty());
  // At the very instant of the acknowledgement nobody knows which came first.
  late.sequence = 3;
  late.time_ns = s.find(sample::primary, event_kind::push_acknowledged, 3).time_ns;
  CHECK(broken_rules(check(s.processes, one_clock)).empty());
}

TEST_CASE("CHECK-7: an image that says of more, or of fewer changes than its maker had applied") {
  for (const std::uint64_t sequence : {3, 4, 5}) {
    sample s;
    auto image = s.replica_event(event_kind::image_sent, sample::backup);
    image.sequence = sequence;
    image.value = 77; // as the hash that follows
    s.insert_before(sample::backup, event_kind::state_hashed, 0, image);
    // It has applied change 5, a comparison.
    CHECK(broken(s) == (sequence == 5 ? std::vector<rule>{} : only(rule::replicas_equal)));
  }
}

TEST_CASE("CHECK-7: states that differ after the same change") {
  sample s;
  CHECK(check(s.processes).of(rule::replicas_equal).judged == 1);
  s.find(sample::backup, event_kind::state_hashed).value = 78;
  CHECK(broken(s) == only(rule::replicas_equal));
  CHECK_THAT(first_line(s), Catch::Contains("node 2 and node 3 after change 5 differ"));
}

TEST_CASE("what is missing from a history is unknown, not wrong") {
  const sample whole;
  for (std::size_t p = 0; p < whole.processes.size(); ++p) {
    INFO(whole.processes[p].name);
    sample s;
    s.processes.erase(s.processes.begin() + static_cast<std::ptrdiff_t>(p));
    const auto r = check(s.processes);
    CHECK(r.violations.empty());
    CHECK_FALSE(r.missing.empty());
  }
  // Any one process that stopped recording at any time.
  for (std::size_t p = 0; p < whole.processes.size(); ++p)
    for (std::size_t keep = 1; keep < whole.processes[p].events.size(); ++keep) {
      sample s;
      s.processes[p].events.resize(keep);
      s.processes[p].complete = false;
      const auto r = check(s.processes);
      INFO(whole.processes[p].name << ", " << keep << " events");
      INFO((r.violations.empty() ? "" : r.violations.front().what));
      CHECK(r.violations.empty());
      CHECK_FALSE(r.missing.empty());
    }
  CHECK(check({}).violations.empty());
}

TEST_CASE("a part without events stands for a node that did nothing, and for no other") {
  const process_history nameless{"node 99", {}};
  const sample whole;
  // Any node that did something.
  for (const auto gone : {sample::worker, sample::primary, sample::backup}) {
    INFO(whole.processes[gone].name);
    sample s;
    s.processes.erase(s.processes.begin() + gone);
    s.processes.insert(s.processes.end(), 3, nameless);
    const auto r = check(s.processes);
    CHECK(r.missing == std::vector{"the events of node " + std::to_string(gone)});
    CHECK(r.violations.empty());
  }
  // The primary's part is lost, the backup was killed early: what is acknowledged has no change.
  sample lost;
  lost.processes[sample::backup].events.resize(4);
  lost.processes.erase(lost.processes.begin() + sample::primary);
  lost.processes.push_back(nameless);
  CHECK(broken(lost).empty());
  // A node that was named a learner, and lost again, may have been killed before it heard of it.
  sample s;
  s.insert_before(sample::scheduler, event_kind::run_ended, 0,
                  {.what = event_kind::view_decided,
                   .detail = number(role::learner),
                   .node = node_id{9},
                   .view = 2});
  CHECK(check(s.processes).missing == std::vector<std::string>{"the events of node 9"});
  s.processes.push_back(nameless);
  CHECK(check(s.processes).missing.empty());
  CHECK(check(s.processes).of(rule::nothing_lost).unknown == 0);
  s.find(sample::scheduler, event_kind::view_decided, 2).detail = number(role::backup);
  CHECK(check(s.processes).missing == std::vector<std::string>{"the events of node 9"});
}

TEST_CASE("the order of the processes changes nothing") {
  sample s;
  s.find(sample::backup, event_kind::state_hashed).value = 78;
  const auto first = check(s.processes);
  std::ranges::reverse(s.processes);
  const auto second = check(s.processes);
  CHECK(first.total_judged() == second.total_judged());
  CHECK(broken_rules(first) == broken_rules(second));
}

TEST_CASE("only so many violations of a rule are kept, and all are counted") {
  sample s;
  for (std::size_t i = 0; i < 4; ++i)
    s.find(sample::backup, event_kind::change_applied, i).clock += 9;
  const auto r = check(s.processes, {.violations_kept = 2, .events_shown = 3});
  CHECK(r.violations.size() == 2);
  CHECK(r.of(rule::exactly_once).violations == 4);
  CHECK(r.total_violations() == 4);
  CHECK(r.violations.front().by.size() <= 3);
}
