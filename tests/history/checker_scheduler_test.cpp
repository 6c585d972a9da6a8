// CHECK-8 to CHECK-10: what the scheduler says, and goings-back to a checkpoint.
#include <algorithm>

#include <catch2/catch.hpp>

#include "sample_history.hpp"
#include "troupe/checker.hpp"

using namespace troupe::history;

namespace {

using sample = sample_history;
constexpr auto nodes = {sample::primary, sample::backup};

// Back to the beginning or to a checkpoint, and all of it again, by worker 0's successor.
void go_back(sample& s, std::uint64_t checkpoint, std::uint64_t completed) {
  s.add(sample::scheduler, {.what = event_kind::went_back, .view = 2});
  s.view = 0;
  for (auto p : nodes) {
    auto began = s.replica_event(event_kind::replica_began, p);
    began.instance = 2;
    began.detail = checkpoint == 0;
    s.add(p, began);
    if (checkpoint == 0) continue;
    auto used = s.replica_event(event_kind::image_used, p);
    used.instance = 2;
    used.clock = p == sample::primary ? checkpoint : 0;
    used.batch = as_batch(completed);
    used.value = 55;
    s.add(p, used);
  }
  s.sequence = 0;
  s.begin_view(3);
  for (auto p : nodes)
    for (auto& e : s.processes[p].events)
      if (e.view == 3) e.instance = 2;
  s.add(sample::scheduler,
        {.what = event_kind::training_began, .clock = checkpoint, .value = completed});
}

// Worker 1 trains from here on, on the replicas' second instances.
void as_successor(sample& s, std::size_t from_scheduler, std::size_t from_worker,
                  const std::vector<std::size_t>& from_replicas) {
  const auto change = [](process_history& p, std::size_t from, bool replica) {
    for (; from < p.events.size(); ++from) {
      p.events[from].worker = worker_id{1};
      if (replica) p.events[from].instance = 2;
    }
  };
  change(s.processes[sample::scheduler], from_scheduler, false);
  change(s.processes[sample::worker], from_worker, false);
  change(s.processes[sample::primary], from_replicas[0], true);
  change(s.processes[sample::backup], from_replicas[1], true);
}

// A worker enters the clocks, for a life that begins with nobody in them.
void enter(sample& s, clock_value clock) {
  ++s.sequence;
  for (auto p : nodes) {
    auto e = s.replica_event(event_kind::change_applied, p);
    e.detail = static_cast<std::uint8_t>(change_kind::enter);
    e.clock = clock;
    e.sequence = s.sequence;
    s.add(p, e);
  }
}

// The sample up to two batches, a checkpoint with them, and then back to it and on to the end.
sample with_checkpoint() {
  sample s;
  for (auto& p : s.processes) // cut off what came after the first epoch
    std::erase_if(p.events, [](const event& e) {
      const bool of_epoch = e.batch.epoch == 1;
      const bool later = (e.what == event_kind::pull_sent || e.what == event_kind::pull_served ||
                          e.what == event_kind::parameters_landed) &&
                         e.clock >= 2;
      const bool end =
          e.what == event_kind::state_hashed || e.what == event_kind::run_ended || e.sequence == 5;
      return of_epoch || later || end;
    });
  s.sequence = 2;
  s.add(sample::scheduler, {.what = event_kind::checkpoint_opened, .clock = 1});
  auto taken = s.replica_event(event_kind::image_taken, sample::primary);
  taken.clock = 1;
  taken.sequence = 2;
  taken.value = 55;
  s.add(sample::primary, taken);
  s.add(sample::scheduler, {.what = event_kind::checkpoint_written, .clock = 1, .value = 2});
  go_back(s, 1, 2);
  const auto at_scheduler = s.processes[sample::scheduler].events.size();
  const auto at_worker = s.processes[sample::worker].events.size();
  const std::vector<std::size_t> at_replicas{s.processes[sample::primary].events.size(),
                                             s.processes[sample::backup].events.size()};
  enter(s, 2);
  s.train({1, 0}, 2);
  s.train({1, 1}, 3);
  s.end();
  as_successor(s, at_scheduler, at_worker, at_replicas);
  return s;
}

} // namespace

TEST_CASE("a run that goes back to a checkpoint breaks no rule") {
  CHECK(broken(with_checkpoint()).empty());
}

TEST_CASE("CHECK-8: a batch completed twice, a count that does not add up, a snapshot too early") {
  sample s;
  s.find(sample::scheduler, event_kind::batch_completed, 3).batch = {1, 0};
  CHECK(broken(s) == only(rule::every_sample));
  CHECK_THAT(first_line(s), Catch::Contains("batch 0 of epoch 1 is completed twice"));
  sample t;
  t.erase(sample::scheduler, event_kind::batch_completed, 3);
  CHECK(broken(t) == only(rule::every_sample));
  CHECK_THAT(first_line(t), Catch::Contains("finished with 3 of 4 batches completed"));
  sample u;
  u.find(sample::primary, event_kind::snapshot_served, 1).sequence = 3;
  CHECK(broken(u) == only(rule::every_sample));
  CHECK_THAT(first_line(u), Catch::Contains("snapshot of epoch 1 with 1 of its 2 batches"));
}

TEST_CASE("CHECK-9: a batch leased twice; backup tasks are marked") {
  const event again{
      .what = event_kind::lease_given, .worker = worker_id{1}, .batch = batch_id{0, 1}};
  sample s;
  s.insert_before(sample::scheduler, event_kind::batch_completed, 1, again);
  CHECK(broken(s) == only(rule::one_lease));
  CHECK_THAT(first_line(s), Catch::Contains("leased to worker 1 while worker 0 holds it"));
  sample backup;
  backup.insert_before(sample::scheduler, event_kind::batch_completed, 1, again);
  backup.find(sample::scheduler, event_kind::lease_given, 2).detail = 1;
  CHECK(broken(backup).empty());
  sample returned;
  returned.insert_before(sample::scheduler, event_kind::batch_completed, 1, again);
  returned.insert_before(sample::scheduler, event_kind::lease_given, 2,
                         {.what = event_kind::lease_returned, .batch = {0, 1}});
  CHECK(broken(returned).empty());
  sample late;
  late.insert_before(sample::scheduler, event_kind::run_ended, 0, again);
  CHECK(broken(late) == only(rule::one_lease));
  sample nobody; // a backup of what nobody holds
  nobody.find(sample::scheduler, event_kind::lease_given, 2).detail = 1;
  CHECK(std::ranges::count(broken(nobody), rule::one_lease) == 1);
}

TEST_CASE(
    "CHECK-8, CHECK-9: a restarted scheduler goes on from what it is told, and adopts a lease "
    "once") {
  sample s;
  s.erase(sample::scheduler, event_kind::run_ended);
  s.erase(sample::scheduler, event_kind::batch_completed, 3); // the first did not live to hear it
  s.processes.push_back({"the second scheduler", {}});
  auto job = s.find(sample::scheduler, event_kind::job_described);
  job.sequence = 1;
  s.add(4, job);
  s.add(4, {.what = event_kind::took_up, .clock = 1, .value = 3});
  s.add(4, {.what = event_kind::lease_adopted, .batch = {1, 1}});
  s.add(4, {.what = event_kind::batch_completed, .batch = {1, 1}});
  s.add(4, {.what = event_kind::run_ended, .detail = outcome_finished});
  CHECK(broken(s).empty());
  CHECK(check(s.processes).missing.empty());
  sample counted = s;
  counted.find(4, event_kind::took_up).value = 4;
  CHECK(broken(counted) == only(rule::every_sample));
  s.insert_before(4, event_kind::batch_completed, 0,
                  {.what = event_kind::lease_adopted, .worker = worker_id{1}, .batch = {1, 1}});
  CHECK(broken(s) == only(rule::one_lease));
  CHECK_THAT(first_line(s), Catch::Contains("adopted for worker 1 while worker 0 holds it"));
  // Without the first one's events nothing is known of what it did.
  s.processes.erase(s.processes.begin());
  CHECK(broken(s).empty());
  CHECK_FALSE(check(s.processes).missing.empty());
}

TEST_CASE("CHECK-9: a worker that pushes what was never leased to it") {
  sample s;
  s.find(sample::scheduler, event_kind::lease_given, 3).worker = worker_id{5};
  CHECK(broken(s) == only(rule::one_lease));
  CHECK_THAT(first_line(s), Catch::Contains("never leased to it"));
}

TEST_CASE("CHECK-10: a state that is not the one taken, a checkpoint not whole, a wrong count") {
  sample s = with_checkpoint();
  CHECK(check(s.processes).lives == 2);
  CHECK(check(s.processes).of(rule::checkpoints).judged == 3);
  s.find(sample::primary, event_kind::image_used).value = 56;
  s.find(sample::backup, event_kind::image_used).value = 56;
  CHECK(std::ranges::count(broken(s), rule::checkpoints) == 1);
  CHECK_THAT(last_line(s), Catch::Contains("not the one taken for checkpoint 1"));
  sample t = with_checkpoint();
  t.erase(sample::scheduler, event_kind::checkpoint_written);
  CHECK(broken(t) == only(rule::checkpoints));
  sample u = with_checkpoint();
  u.find(sample::scheduler, event_kind::training_began, 1).value = 1;
  CHECK(std::ranges::count(broken(u), rule::checkpoints) == 1);
}

TEST_CASE(
    "CHECK-1, CHECK-2: after going back a batch of the checkpoint counts as applied, one that "
    "it lacks may be applied again") {
  sample s = with_checkpoint();
  // The last batch is one that the checkpoint has.
  for (auto p : nodes)
    for (auto& e : s.processes[p].events)
      if (e.instance == 2 && e.sequence == 3 && e.what != event_kind::snapshot_served)
        e.batch = {0, 0};
  CHECK(std::ranges::count(broken(s), rule::exactly_once) == 1);
  CHECK_THAT(first_line(s), Catch::Contains("the checkpoint that it went on from has it"));
}
