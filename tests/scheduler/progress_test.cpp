#include "troupe/scheduler/progress.hpp"

#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe::scheduler;
using namespace std::chrono_literals;

namespace {

job_progress::time_point at(std::chrono::milliseconds since_start) {
  return job_progress::time_point(since_start);
}

// 2 epochs of 10 samples in batches of 4, 4 and 2.
job_progress small_job() {
  return job_progress(batch_plan({.samples = 10, .batch_size = 4, .epochs = 2}));
}

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

} // namespace

TEST_CASE("before the start nothing is known and nothing is claimed") {
  auto progress = small_job();
  CHECK(progress.batches_done() == 0);
  CHECK(progress.batches_total() == 6);
  CHECK_FALSE(progress.epoch_loss(0).has_value());
  CHECK_FALSE(progress.epoch_duration(0).has_value());
  CHECK_FALSE(progress.time_left(at(5s)).has_value());
  CHECK(progress.samples_per_second(at(5s)) == 0);
  CHECK(progress.elapsed(at(5s)).count() == 0);
  const auto recent = progress.take_recent(at(5s));
  CHECK(recent.batches == 0);
  CHECK_FALSE(recent.mean_loss.has_value());
  CHECK(progress.current_epoch() == 0);
}

TEST_CASE("the mean loss of an epoch is the mean over its samples (PROGRESS-1)") {
  auto progress = small_job();
  progress.start(at(0ms));
  CHECK(progress.complete({0, 0}, 1.0, at(1s)));
  CHECK(progress.epoch_loss(0) == 1.0);
  CHECK(progress.complete({0, 2}, 5.0, at(2s)));
  CHECK(*progress.epoch_loss(0) == Approx((4 * 1.0 + 2 * 5.0) / 6));
  CHECK(progress.complete({0, 1}, 2.0, at(3s)));
  CHECK(*progress.epoch_loss(0) == Approx((4 * 1.0 + 4 * 2.0 + 2 * 5.0) / 10));
  CHECK_FALSE(progress.epoch_loss(1).has_value());
  CHECK(progress.batches_in_epoch(0) == 3);
  CHECK(progress.samples_done() == 10);
}

TEST_CASE("a loss that is not finite enters no sum and is kept by name (PROGRESS-2)") {
  for (const double bad : {not_a_number, infinity, -infinity}) {
    auto progress = small_job();
    CHECK(progress.complete({0, 0}, 3.0, at(1s)));
    CHECK_FALSE(progress.non_finite_loss().has_value());
    CHECK_FALSE(progress.complete({0, 1}, bad, at(2s)));
    CHECK_FALSE(progress.complete({1, 0}, not_a_number, at(3s)));
    CHECK(progress.non_finite_loss() == batch_id{0, 1});
    CHECK(progress.epoch_loss(0) == 3.0);
    CHECK_FALSE(progress.epoch_loss(1).has_value());
    CHECK(progress.take_recent(at(4s)).mean_loss == 3.0);
    CHECK(progress.batches_done() == 3);
    CHECK(progress.samples_done() == 12);
  }
}

TEST_CASE("durations of epochs that overlap add up to the whole (PROGRESS-3)") {
  auto progress = small_job();
  progress.start(at(1s));
  progress.start(at(9s)); // only the first counts
  progress.complete({1, 0}, 1, at(2s));
  progress.complete({0, 0}, 1, at(3s));
  progress.complete({0, 1}, 1, at(3s));
  CHECK_FALSE(progress.epoch_duration(0).has_value());
  progress.complete({0, 2}, 1, at(5s));
  CHECK(progress.epoch_duration(0)->count() == 4);
  CHECK(*progress.epoch_samples_per_second(0) == Approx(10 / 4.0));
  CHECK(progress.current_epoch() == 1);
  progress.complete({1, 1}, 1, at(6s));
  progress.complete({1, 2}, 1, at(7s));
  CHECK(progress.epoch_duration(1)->count() == 2);
  CHECK(progress.finished());
  CHECK(progress.current_epoch() == 1);
  CHECK(progress.elapsed(at(7s)).count() == 6);
}

TEST_CASE("an epoch may be complete before an earlier one") {
  auto progress = small_job();
  progress.start(at(0s));
  for (std::uint32_t i = 0; i < 3; ++i) progress.complete({1, i}, 1, at(2s));
  CHECK(progress.epoch_complete(1));
  CHECK(progress.current_epoch() == 0);
  for (std::uint32_t i = 0; i < 3; ++i) progress.complete({0, i}, 1, at(3s));
  CHECK(progress.epoch_duration(1)->count() == 2);
  CHECK(progress.epoch_duration(0)->count() == 1);
  CHECK(progress.finished());
}

TEST_CASE("recent figures cover what came since the last look") {
  auto progress = small_job();
  progress.start(at(0s));
  progress.complete({0, 0}, 1, at(1s));
  progress.complete({0, 1}, 2, at(2s));
  auto recent = progress.take_recent(at(2s));
  CHECK(recent.batches == 2);
  CHECK(recent.samples == 8);
  CHECK(recent.mean_loss == 1.5);
  CHECK(recent.samples_per_second == Approx(4));
  progress.complete({0, 2}, 7, at(3s));
  recent = progress.take_recent(at(6s));
  CHECK(recent.batches == 1);
  CHECK(recent.mean_loss == 7);
  CHECK(recent.samples_per_second == Approx(0.5));
  CHECK(progress.samples_per_second(at(6s)) == Approx(10 / 6.0));
  recent = progress.take_recent(at(6s));
  CHECK(recent.batches == 0);
  CHECK(recent.samples_per_second == 0);
  CHECK_FALSE(recent.mean_loss.has_value());
}

TEST_CASE("the time left follows the recent rate, not the whole run's") {
  job_progress progress(batch_plan({.samples = 1000, .batch_size = 1, .epochs = 1}));
  progress.start(at(0s));
  std::uint32_t next = 0;
  auto now = at(0s);
  for (int second = 0; second < 40; ++second) { // 1 a second
    now += 1s;
    progress.complete({0, next++}, 1, now);
    progress.take_recent(now);
  }
  CHECK(progress.time_left(now)->count() == Approx(960));
  for (int second = 0; second < 40; ++second) { // 10 a second
    now += 1s;
    for (int i = 0; i < 10; ++i) progress.complete({0, next++}, 1, now);
    progress.take_recent(now);
  }
  CHECK(progress.time_left(now)->count() == Approx(56));
  for (int second = 0; second < 40; ++second) { // none: no rate, no promise
    now += 1s;
    progress.take_recent(now);
  }
  CHECK_FALSE(progress.time_left(now).has_value());
  while (next < 1000) progress.complete({0, next++}, 1, now);
  CHECK(progress.time_left(now)->count() == 0);
}

TEST_CASE("no figure is infinite or negative when no time has passed or a clock is behind") {
  auto progress = small_job();
  progress.complete({0, 0}, 1, at(5s)); // starts by itself
  CHECK(progress.samples_per_second(at(5s)) == 0);
  CHECK(progress.samples_per_second(at(4s)) == 0);
  CHECK(progress.elapsed(at(4s)).count() == 0);
  CHECK(progress.take_recent(at(4s)).samples_per_second == 0);
  CHECK_FALSE(progress.time_left(at(5s)).has_value());
  progress.complete({0, 1}, 1, at(5s));
  progress.complete({0, 2}, 1, at(4s));
  CHECK(progress.epoch_duration(0)->count() == 0);
  CHECK(progress.epoch_samples_per_second(0) == 0.0);
  CHECK(progress.take_recent(at(7s)).samples_per_second == Approx(3)); // 6 samples since 5 s
}

TEST_CASE("a batch too many and a batch of another job are refused") {
  auto progress = small_job();
  CHECK_THROWS_AS(progress.complete({2, 0}, 1, at(0s)), std::invalid_argument);
  for (std::uint32_t i = 0; i < 3; ++i) progress.complete({0, i}, 1, at(0s));
  CHECK_THROWS_AS(progress.complete({0, 0}, 1, at(0s)), std::logic_error);
  CHECK(progress.batches_done() == 3);
}

TEST_CASE("a job without batches is finished") {
  job_progress progress(batch_plan({.samples = 3, .batch_size = 1, .epochs = 0}));
  CHECK(progress.finished());
  CHECK(progress.time_left(at(0s))->count() == 0);
  CHECK(progress.current_epoch() == 0);
}

TEST_CASE("restored from its contents, progress goes on as if no time had passed (PROGRESS-4)") {
  auto before = small_job();
  before.start(at(1s));
  before.complete({0, 0}, 1, at(2s));
  before.complete({0, 1}, not_a_number, at(3s));
  before.complete({0, 2}, 4, at(5s));
  before.complete({1, 2}, 7, at(6s));
  before.take_recent(at(6s));
  const auto known = before.contents(at(8s));
  CHECK(known.elapsed->count() == 7);

  // In another process, whose clock shows another time.
  job_progress after(before.plan(), known, at(100s));
  CHECK(after.contents(at(100s)) == known);
  CHECK(after.batches_done() == 4);
  CHECK(after.samples_done() == 12);
  CHECK(after.current_epoch() == 1);
  CHECK(after.non_finite_loss() == batch_id{0, 1});
  CHECK(*after.epoch_loss(0) == Approx((4 * 1.0 + 2 * 4.0) / 6));
  CHECK(after.epoch_duration(0)->count() == 4);
  CHECK(after.elapsed(at(101s)).count() == 8);
  CHECK_FALSE(after.time_left(at(100s)).has_value());

  after.complete({1, 0}, 1, at(101s));
  CHECK(*after.epoch_loss(1) == Approx((2 * 7.0 + 4 * 1.0) / 6));
  CHECK(after.complete({1, 1}, 1, at(102s)));
  CHECK(after.finished());
  // Known for 3 s before the end of the old process, and for 2 s here (PROGRESS-3).
  CHECK(after.epoch_duration(1)->count() == Approx(5));
  const auto recent = after.take_recent(at(102s));
  CHECK(recent.batches == 2);
  CHECK(recent.samples_per_second == Approx(4));
}

TEST_CASE("progress that had not started is restored as such, and starts later") {
  const auto known = small_job().contents(at(8s));
  CHECK(known == job_progress::content{});
  job_progress after(small_job().plan(), known, at(3s));
  CHECK(after.elapsed(at(9s)).count() == 0);
  after.start(at(10s));
  CHECK(after.elapsed(at(12s)).count() == 2);
}

TEST_CASE("what was completed unseen counts, without a loss and without taking any away") {
  auto progress = small_job();
  progress.start(at(0s));
  progress.complete({0, 0}, 6, at(1s));
  progress.complete({1, 0}, 6, at(1s));
  progress.complete({1, 1}, 6, at(1s));
  applied_set completed(progress.plan());
  for (const batch_id id : {batch_id{0, 0}, batch_id{0, 1}, batch_id{0, 2}, batch_id{1, 0}})
    completed.insert(id);
  progress.catch_up(completed, at(3s));
  CHECK(progress.batches_in_epoch(0) == 3);
  CHECK(progress.batches_in_epoch(1) == 2);
  CHECK(progress.batches_done() == 5);
  CHECK(progress.samples_done() == 18);
  CHECK(progress.epoch_loss(0) == 6.0);
  CHECK(progress.epoch_duration(0)->count() == 3);
  CHECK(progress.current_epoch() == 1);
  CHECK_FALSE(progress.non_finite_loss().has_value());
  const auto once = progress.contents(at(4s));
  CHECK(once.epochs[0].samples == 10);
  CHECK(once.epochs[1].samples == 8);
  progress.catch_up(completed, at(4s));
  CHECK(progress.contents(at(4s)) == once);
  progress.complete({1, 2}, 6, at(5s));
  CHECK(progress.finished());
  CHECK_THROWS_AS(progress.catch_up(applied_set(3, 1), at(5s)), std::invalid_argument);
  CHECK_THROWS_AS(progress.catch_up(applied_set(4, 2), at(5s)), std::invalid_argument);
}

TEST_CASE("contents that no job of the plan can have are refused") {
  using content = job_progress::content;
  auto good = small_job();
  for (std::uint32_t i = 0; i < 3; ++i) good.complete({0, i}, 1, at(1s));
  good.complete({1, 0}, 1, at(2s));
  const auto known = good.contents(at(3s));
  const auto restored_with = [&](auto change) {
    auto changed = known;
    change(changed);
    return job_progress(good.plan(), changed, at(0s));
  };
  CHECK(restored_with([](content&) {}).batches_done() == 4);
  using seconds = job_progress::seconds;
  const std::vector<std::function<void(content&)>> impossible{
      [](content& c) { c.epochs.resize(3); },
      [](content& c) { c.epochs[0].batches = 4; },
      [](content& c) { c.epochs[1].batches = 3; },
      [](content& c) { c.epochs[0].samples = 9; },
      [](content& c) { c.epochs[1].samples = 0; },
      [](content& c) { c.epochs[1].samples = 11; },
      [](content& c) { c.epochs[1].loss_samples = 5; },
      [](content& c) { c.epochs[0].duration.reset(); },
      [](content& c) { c.epochs[0].duration = seconds(-1); },
      [](content& c) { c.epochs[0].duration = seconds(not_a_number); },
      [](content& c) { c.epochs[1].duration = seconds(1); },
      [](content& c) {
        c.non_finite_loss = batch_id{0, 3};
      },
      [](content& c) { c.elapsed.reset(); },
      [](content& c) { c.elapsed = seconds(-1); },
      [](content& c) { c.elapsed = seconds(infinity); },
  };
  for (std::size_t i = 0; i < impossible.size(); ++i) {
    CAPTURE(i);
    CHECK_THROWS_AS(restored_with(impossible[i]), std::invalid_argument);
  }
}
