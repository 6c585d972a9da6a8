#include "troupe/cli/event_json.hpp"

#include <csignal>
#include <limits>

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "temporary_folder.hpp"
#include "troupe/cli/event_file.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/run_record.hpp"

using namespace troupe;
using namespace troupe::cli;
using Catch::Contains;
using Catch::StartsWith;
using nlohmann::json;
using troupe::cli_test::read_file;
using troupe::cli_test::temporary_folder;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

scheduler::staleness_histogram some_staleness() {
  scheduler::staleness_histogram h;
  h.add(0, 3);
  h.add(2, 1);
  return h;
}

} // namespace

TEST_CASE("the last event of a run has the documented keys") {
  finished_event e;
  e.held_out_accuracy = 0.957;
  e.held_out_loss = 0.25;
  e.loss = 0.125;
  e.parameter_hash = "0123456789abcdef";
  e.samples = 80000;
  e.seconds = 12.5;
  e.duplicates_dropped = 4;
  e.blocked_seconds = 0.5;
  e.staleness = some_staleness();
  using troupe::scheduler::activity;
  e.spent[troupe::scheduler::worker_id{0}].add(activity::computing, std::chrono::seconds(3));
  e.spent[troupe::scheduler::worker_id{0}].add(activity::bound, std::chrono::seconds(1));
  e.spent[troupe::scheduler::worker_id{2}].add(activity::lease, std::chrono::seconds(4));
  CHECK(event_json(e) ==
        R"({"event":"finished","held_out_accuracy":0.957,"held_out_loss":0.25,"loss":0.125,)"
        R"("parameter_hash":"0123456789abcdef","samples":80000,"seconds":12.5,)"
        R"("duplicates_dropped":4,"blocked_seconds":0.5,)"
        R"("staleness":{"mean":0.5,"max":2,"pulls":4,"histogram":[3,0,1]},)"
        R"("time":{"seconds":8.0,"computing":0.375,"parameters":0.0,"lease":0.5,"bound":0.125,)"
        R"("other":0.0},)"
        R"("workers":[{"worker":0,"seconds":4.0,"computing":0.75,"parameters":0.0,"lease":0.0,)"
        R"("bound":0.25,"other":0.0},{"worker":2,"seconds":4.0,"computing":0.0,)"
        R"("parameters":0.0,"lease":1.0,"bound":0.0,"other":0.0}]})");
}

TEST_CASE("an epoch has the documented keys") {
  epoch_event e{};
  e.epoch = 1;
  e.loss = 0.5;
  e.held_out_accuracy = 0.75;
  e.samples_per_second = 1000;
  CHECK(event_json(e) ==
        R"({"event":"epoch","epoch":1,"loss":0.5,"held_out_accuracy":0.75,"held_out_loss":null,)"
        R"("samples_per_second":1000.0,)"
        R"("staleness":{"mean":0.0,"max":0,"pulls":0,"histogram":[]}})");
}

TEST_CASE("numbers that are not finite become null") {
  epoch_event e{};
  e.loss = not_a_number;
  e.held_out_accuracy = infinity;
  e.samples_per_second = -infinity;
  const json line = json::parse(event_json(e));
  CHECK(line["loss"].is_null());
  CHECK(line["held_out_accuracy"].is_null());
  CHECK(line["samples_per_second"].is_null());
}

TEST_CASE("progress, notices and both bad ends are events") {
  progress_event p{};
  p.epoch = 2;
  p.epochs = 5;
  p.batches_done = 7;
  p.batches_total = 50;
  p.seconds_left = -1;
  p.workers = 3;
  const json progress = json::parse(event_json(p));
  CHECK(progress["event"] == "progress");
  CHECK(progress["batches_total"] == 50);
  CHECK(progress["seconds_left"].is_null());

  using kind = notice_event::kind;
  for (const auto& [k, name] :
       std::vector<std::pair<kind, std::string>>{{kind::listening, "listening"},
                                                 {kind::node_joined, "node_joined"},
                                                 {kind::node_lost, "node_lost"},
                                                 {kind::placed, "placed"},
                                                 {kind::started, "started"},
                                                 {kind::worker_lost, "worker_lost"},
                                                 {kind::warning, "warning"}}) {
    const json notice = json::parse(event_json(notice_event{k, "a \"line\"\nof text"}));
    CHECK(notice["event"] == "notice");
    CHECK(notice["kind"] == name);
    CHECK(notice["text"] == "a \"line\"\nof text");
  }
  CHECK(json::parse(event_json(failed_event{"why"}))["reason"] == "why");
  const json interrupted = json::parse(event_json(interrupted_event{3, 9}));
  CHECK(interrupted["event"] == "interrupted");
  CHECK(interrupted["batches_done"] == 3);
}

TEST_CASE("an event is one line, whatever bytes its text holds") {
  for (const std::string text : {"two\nlines", "\xff\xfe", "tab\there"}) {
    const auto line = event_json(failed_event{text});
    CHECK(line.find('\n') == std::string::npos);
    CHECK(json::accept(line));
  }
}

TEST_CASE("lines are in the file as soon as they are written") {
  temporary_folder folder;
  event_file file(folder / "events.jsonl");
  file.write("one");
  CHECK(read_file(folder / "events.jsonl") == "one\n");
  file.write("two");
  CHECK(read_file(folder / "events.jsonl") == "one\ntwo\n");
  CHECK(file.error().empty());
}

TEST_CASE("an events file that is there is refused and kept") {
  temporary_folder folder;
  const auto path = folder.write("events.jsonl", "an earlier run\n");
  CHECK_THROWS_WITH(event_file(path), Contains("expected a new file for the events"));
  CHECK(read_file(path) == "an earlier run\n");
  CHECK_THROWS_AS(event_file(folder.path()), file_error);
  CHECK_THROWS_WITH(event_file(folder / "no/such/folder"), Contains("No such file or directory"));
}

TEST_CASE("what does not fit on a disk is missing as a whole line, and lines go on when they fit") {
  temporary_folder folder;
  event_file file(folder / "events.jsonl");
  file.write("one");
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit full{6, before.rlim_max}; // "one\n" and half of the next
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
  file.write("two, which is longer");
  file.write("three");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old);
  CHECK_THAT(file.error(),
             Contains("cannot write the events: File too large (2 lines are missing)"));
  file.write("finished");
  CHECK(read_file(folder / "events.jsonl") == "one\nfinished\n");
}

TEST_CASE("a device that is full is remembered, not thrown, and ends the writing") {
  event_file file("/dev/full"); // a device may be there
  file.write("one");
  CHECK_THAT(file.error(), StartsWith("/dev/full: cannot write the events: No space left"));
  file.write("two");
  CHECK_THAT(file.error(), StartsWith("/dev/full"));
}

TEST_CASE("an events file is appended to where that is wanted, and made where there is none") {
  temporary_folder folder;
  const auto path = folder.write("events.jsonl", "one\n");
  event_file(path, event_file::mode::append).write("two");
  CHECK(read_file(path) == "one\ntwo\n");
  event_file(folder / "new", event_file::mode::append).write("one");
  CHECK(read_file(folder / "new") == "one\n");
  CHECK_THROWS_AS(event_file(folder.path(), event_file::mode::append), file_error);
}

TEST_CASE("half a line that a killed writer left does not spoil the next one") {
  temporary_folder folder;
  const auto path = folder.write("events.jsonl", "one\n{\"event\":\"pro");
  event_file(path, event_file::mode::append).write("two");
  CHECK(read_file(path) == "one\ntwo\n");
  const auto other = folder.write("other", "no line at all");
  event_file(other, event_file::mode::append).write("two");
  CHECK(read_file(other) == "no line at all\ntwo\n");
}

TEST_CASE("the record of a run is its last event and the highest epoch") {
  temporary_folder folder;
  CHECK(read_run_record(folder / "none").last.empty());
  const auto path = folder.write("events.jsonl", R"({"event":"notice","kind":"started","text":"x"}
{"event":"epoch","epoch":1}
{"event":"epoch","epoch":2}
{"event":"progress","epoch":9}
{"event":"failed","reason":"no shard is left"}
)");
  const auto record = read_run_record(path);
  CHECK(record.last == "failed");
  CHECK(record.reason == "no shard is left");
  CHECK(record.epochs_done == 2);
  folder.write("torn", "{\"event\":\"progress\"}\n7\n{\"event\":\"fin");
  CHECK(read_run_record(folder / "torn").last == "progress");
}
