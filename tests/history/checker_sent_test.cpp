// CHECK-11 to CHECK-13: what one says that it had of another, and the other says of it.
#include <algorithm>

#include <catch2/catch.hpp>

#include "sample_history.hpp"
#include "troupe/checker.hpp"

using namespace troupe::history;

namespace {

using sample = sample_history;
constexpr auto nodes = {sample::primary, sample::backup};

} // namespace

TEST_CASE("CHECK-11: a push that was applied, and that its worker never sent to that shard") {
  sample s;
  CHECK(check(s.processes).of(rule::all_sent).judged == 8); // as many pushes as ranges
  s.erase(sample::worker, event_kind::push_sent, 2);
  s.erase(sample::worker, event_kind::acknowledgement_seen, 2);
  CHECK(broken(s) == only(rule::all_sent));
  CHECK_THAT(first_line(s), Catch::Contains("applied batch 0 of epoch 1 of worker 0 at clock 2, "
                                            "and the worker never pushed that to it"));
  s.processes[sample::worker].complete = false; // it may have, after its disk was full
  CHECK(broken(s).empty());
  CHECK(check(s.processes).of(rule::all_sent).unknown == 1);
  sample t; // both replicas say another clock than the worker
  for (auto p : nodes) t.find(p, event_kind::change_applied, 3).clock = 4;
  CHECK(broken(t) == only(rule::all_sent));
}

TEST_CASE("CHECK-11: a range that its reader takes for another than it was served") {
  for (const auto field : {&event::value, &event::sequence, &event::clock}) {
    sample s;
    s.find(sample::worker, event_kind::parameters_landed, 3).*field = 1;
    CHECK(broken(s) == only(rule::all_sent));
  }
  sample s;
  s.find(sample::worker, event_kind::parameters_landed, 3).sequence = 0;
  CHECK_THAT(first_line(s), Catch::Contains("for clock 3 with its own pushes below clock 3 and 0 "
                                            "updates, and was served one with those below clock 3 "
                                            "and 3 updates"));
  sample t; // nobody served it
  t.erase(sample::primary, event_kind::pull_served, 1);
  CHECK(broken(t) == only(rule::all_sent));
  CHECK_THAT(first_line(t), Catch::Contains("and was served none"));
  t.processes[sample::primary].complete = false;
  CHECK(broken(t).empty());
  // A pull that was sent again is served again, and either may be the one that comes.
  sample u;
  auto again = u.find(sample::primary, event_kind::pull_served, 2);
  again.value = again.sequence = 1;
  u.insert_before(sample::primary, event_kind::pull_served, 2, again);
  CHECK_FALSE(std::ranges::count(broken(u), rule::all_sent));
}

TEST_CASE("CHECK-12: an acknowledgement that nobody gave") {
  sample s;
  CHECK(check(s.processes).of(rule::acknowledged).judged == 4);
  s.erase(sample::primary, event_kind::push_acknowledged, 2);
  CHECK(broken(s) == only(rule::acknowledged));
  CHECK_THAT(first_line(s), Catch::Contains("worker 0 saw batch 0 of epoch 1 acknowledged by shard "
                                            "0, and no replica of it acknowledged that"));
  s.processes[sample::backup].complete =
      false; // it may have been a primary, after its disk was full
  CHECK(broken(s).empty());
  CHECK(check(s.processes).of(rule::acknowledged).unknown == 1);
  sample t; // another worker's push of the batch was acknowledged, as a backup task's is
  t.find(sample::primary, event_kind::push_acknowledged, 2).worker = worker_id{1};
  CHECK(broken(t) == only(rule::acknowledged));
  sample u; // acknowledged twice, seen three times
  for (int i = 0; i < 2; ++i)
    u.insert_before(sample::worker, event_kind::batch_finished, 2,
                    {.what = event_kind::acknowledgement_seen, .batch = {1, 0}});
  const auto again = u.find(sample::primary, event_kind::push_acknowledged, 2);
  u.insert_before(sample::primary, event_kind::push_acknowledged, 3, again);
  CHECK(broken(u).empty());
  CHECK(check(u.processes).of(rule::acknowledged).judged == 6);
}

TEST_CASE("CHECK-13: a pull that was served, and that its worker never sent") {
  sample s;
  CHECK(check(s.processes).of(rule::asked).judged == 4);
  s.erase(sample::worker, event_kind::pull_sent, 2);
  CHECK(broken(s) == only(rule::asked));
  CHECK_THAT(first_line(s), Catch::Contains("shard 0 served a pull of worker 0 at clock 2, and the "
                                            "worker never sent it that"));
  s.processes[sample::worker].complete = false; // it may have, after its disk was full
  CHECK(broken(s).empty());
  CHECK(check(s.processes).of(rule::asked).unknown == 1);
  sample t; // of another step; the range that came of it is another too
  t.find(sample::primary, event_kind::pull_served, 2).batch = as_batch(1);
  CHECK(std::ranges::count(broken(t), rule::asked) == 1);
  // Placed twice: what its first node recorded is not all here.
  sample u;
  u.erase(sample::worker, event_kind::pull_sent, 2);
  u.insert_before(sample::scheduler, event_kind::worker_placed, 0,
                  {.what = event_kind::worker_placed, .node = node_id{3}});
  CHECK(broken(u) == only(rule::asked));
  u.processes[sample::backup].complete = false;
  CHECK(broken(u).empty());
}
