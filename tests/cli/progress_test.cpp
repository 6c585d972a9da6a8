#include "troupe/cli/progress_display.hpp"

#include <limits>
#include <sstream>

#include <catch2/catch.hpp>

#include "troupe/cli/progress_text.hpp"

using namespace troupe;
using namespace troupe::cli;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

progress_event some_progress() {
  progress_event e{};
  e.epoch = 3;
  e.epochs = 10;
  e.batches_done = 1234;
  e.batches_total = 12500;
  e.loss = 0.51234;
  e.samples_per_second = 21430.4;
  e.seconds_left = 12.4;
  e.workers = 2;
  e.staleness.add(1, 3);
  e.staleness.add(3, 1);
  return e;
}

epoch_event some_epoch() {
  epoch_event e{};
  e.epoch = 3;
  e.loss = 0.25;
  e.held_out_accuracy = 0.9574;
  e.samples_per_second = 999.6;
  return e;
}

struct shown {
  std::ostringstream out;
  std::chrono::steady_clock::time_point time{};
  progress_display display;

  explicit shown(bool live, bool gathering = true)
      : display(out, {.live = live,
                      .gathering = gathering,
                      .epochs = 10,
                      .interval = 5s,
                      .width = [] { return std::size_t{40}; },
                      .now = [this] { return time; }}) {}

  std::string take() {
    std::string text = out.str();
    out.str("");
    return text;
  }
};

} // namespace

TEST_CASE("progress in words") {
  CHECK(progress_line(some_progress()) ==
        "epoch 3/10  batch 1,234/12,500  12 s left  loss 0.5123  21,430 samples/s  "
        "staleness mean 1.5 max 3");
  CHECK(epoch_line(some_epoch(), 10) ==
        "epoch 3/10 done  loss 0.2500  held-out accuracy 95.74 %  1,000 samples/s");
  finished_event e;
  e.loss = 0.1234;
  e.samples = 80000;
  e.seconds = 12.34;
  CHECK(finished_line(e) == "finished: training loss 0.1234, 80,000 samples in 12.3 s");
  e.held_out_loss = 2;
  CHECK_THAT(finished_line(e), Contains("finished: held-out loss 2.0000, "));
  e.held_out_accuracy = 1;
  CHECK_THAT(finished_line(e), Contains("finished: held-out accuracy 100.00 %, "));
  CHECK(interrupted_line({1234, 5000}) == "interrupted after 1,234 of 5,000 batches");
  CHECK(interrupted_line({1234, 0}) == "interrupted after 1,234 batches");
}

TEST_CASE("what the workers' time went into, in words") {
  using troupe::scheduler::activity;
  using troupe::scheduler::worker_id;
  finished_event e;
  CHECK(time_lines(e).empty()); // nobody told
  e.spent[worker_id{0}].add(activity::computing, std::chrono::milliseconds(930));
  e.spent[worker_id{0}].add(activity::parameters, std::chrono::milliseconds(70));
  const std::string first = "computing 93.0 %, waiting for parameters 7.0 %, a lease 0.0 %, the "
                            "bound 0.0 %, other 0.0 %";
  CHECK(time_lines(e) == std::vector<std::string>{"workers: " + first});
  e.spent[worker_id{3}].add(activity::bound, std::chrono::milliseconds(750));
  e.spent[worker_id{3}].add(activity::lease, std::chrono::milliseconds(200));
  e.spent[worker_id{3}].add(activity::other, std::chrono::milliseconds(50));
  CHECK(time_lines(e) ==
        std::vector<std::string>{"workers: computing 46.5 %, waiting for parameters 3.5 %, a lease "
                                 "10.0 %, the bound 37.5 %, other 2.5 %",
                                 "  worker 0: " + first,
                                 "  worker 3: computing 0.0 %, waiting for parameters 0.0 %, a "
                                 "lease 20.0 %, the bound 75.0 %, other 5.0 %"});
  for (std::uint32_t w = 4; w < 20; ++w)
    e.spent[worker_id{w}].add(activity::computing, std::chrono::milliseconds(1));
  CHECK(time_lines(e).size() == 1 + 16 + 1);
  CHECK(time_lines(e).back() == "and 2 more: events.jsonl in the run folder");
}

TEST_CASE("no number breaks the line") {
  for (const double x :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity(), 1e300, -1e300, -1.0, 0.0}) {
    auto e = some_progress();
    e.loss = e.samples_per_second = e.seconds_left = x;
    CHECK(progress_line(e).size() < 160);
    CHECK(duration_text(x).size() < 40);
  }
}

TEST_CASE("numbers and durations are easy to read") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(18446744073709551615u) == "18,446,744,073,709,551,615");
  CHECK(duration_text(0.424) == "0.42 s");
  CHECK(duration_text(59.94) == "59.9 s");
  CHECK(duration_text(59.96) == "1 min 00 s");
  CHECK(duration_text(245) == "4 min 05 s");
  CHECK(duration_text(2 * 3600 + 13 * 60) == "2 h 13 min");
}

TEST_CASE("a terminal has one live line, cut to its width, and lasting lines above it") {
  shown s(true);
  s.display.show(some_progress());
  CHECK(s.take() == "\r\x1b[Kepoch 3/10  batch 1,234/12,500  12 s le");
  s.display.show(some_progress());
  CHECK(s.take() == "\r\x1b[Kepoch 3/10  batch 1,234/12,500  12 s le");
  s.display.show(some_epoch());
  CHECK_THAT(s.take(), Catch::StartsWith("\r\x1b[Kepoch 3/10 done") && Catch::EndsWith("\n"));
  s.display.line("said");
  CHECK(s.take() == "said\n");
  s.display.show(some_progress());
  s.take();
  s.display.clear();
  CHECK(s.take() == "\r\x1b[K");
}

TEST_CASE("elsewhere progress is a plain line every few seconds") {
  shown s(false);
  s.display.show(some_progress());
  CHECK(s.take().empty());
  s.time += 4999ms;
  s.display.show(some_progress());
  CHECK(s.take().empty());
  s.time += 1ms;
  s.display.show(some_progress());
  CHECK(s.take() == progress_line(some_progress()) + "\n");
  s.display.show(some_progress());
  CHECK(s.take().empty());
  s.time += 5s;
  s.display.show(some_epoch()); // counts as a sign of life
  s.display.show(some_progress());
  CHECK(s.take() == epoch_line(some_epoch(), 10) + "\n");
}

TEST_CASE("who starts one command sees no nodes join, but every loss") {
  using kind = notice_event::kind;
  shown s(false, false);
  s.display.show(notice_event{kind::listening, "listening"});
  s.display.show(notice_event{kind::node_joined, "joined"});
  CHECK(s.take().empty());
  s.display.show(notice_event{kind::worker_lost, "worker 1 was lost"});
  CHECK(s.take() == "worker 1 was lost\n");
  shown by_hand(false);
  by_hand.display.show(notice_event{kind::node_joined, "joined"});
  CHECK(by_hand.take() == "joined\n");
}
