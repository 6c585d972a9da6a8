// What recording the history of a run costs.
//
//     build/release/bin/bench_recording [--pairs N] [--mode MODE] [--replicas R] [--json FILE]
//
// First: nanoseconds of processor time for one event into a file, by one thread and by as many as
// there are cores, beside reading the clock and copying 64 bytes into a file's mapping, which is
// the least it could take. Second: samples per second, and processor time per sample of all
// processes together, of a digits job under `troupe train` with `--record` and without, N times
// each in alternation; medians and ranges, and those of the ratio within a pair. Last: what the
// events of a batch take, of the processor time of a batch; on a busy machine this is the figure to
// go by.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command_line.hpp"
#include "job_run.hpp"
#include "report.hpp"
#include "troupe/file_recorder.hpp"

namespace fs = std::filesystem;
namespace history = troupe::history;
using troupe::bench::spread;
using troupe::bench::spread_of;
using bench_clock = std::chrono::steady_clock;

namespace {

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "bench_recording: " << why << '\n';
  std::exit(1);
}

/// Of all threads of this process; on a busy machine the clock on the wall says little.
double processor_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

// -- one event ------------------------------------------------------------------------------------

constexpr std::uint64_t events_each = 1'000'000;

double ns_of_event(const fs::path& folder, unsigned threads) {
  history::file_recorder recorder({.file = folder / "events.part", .name = "bench"});
  std::vector<std::jthread> all;
  const auto begun = processor_ns();
  for (unsigned t = 0; t < threads; ++t)
    all.emplace_back([&recorder, t] {
      for (std::uint64_t n = 0; n < events_each; ++n)
        recorder.record(
            {.what = history::event_kind::push_sent, .worker = history::worker_id{t}, .clock = n});
    });
  all.clear();
  const auto took = (processor_ns() - begun) / static_cast<double>(events_each * threads);
  fs::remove(folder / "events.part");
  return took;
}

// The clock and 64 bytes into fresh pages of a file: what no recorder of this kind can avoid.
double ns_at_least(const fs::path& folder) {
  const auto file = folder / "least";
  const auto bytes = events_each * sizeof(history::event);
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0 || ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)) != 0)
    fail("cannot write " + file.string());
  auto* to = static_cast<char*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  if (to == MAP_FAILED) fail("cannot map " + file.string());
  history::event e{.what = history::event_kind::push_sent};
  const auto begun = processor_ns();
  for (std::uint64_t n = 0; n < events_each; ++n) {
    e.time_ns = bench_clock::now().time_since_epoch().count();
    e.clock = n;
    std::memcpy(to + n * sizeof e, &e, sizeof e);
  }
  const auto took = (processor_ns() - begun) / static_cast<double>(events_each);
  ::munmap(to, bytes);
  ::close(fd);
  fs::remove(file);
  return took;
}

// -- a training job -------------------------------------------------------------------------------

constexpr const char* job_text = R"(name = "digits"
[model]
layers = [ { dense = 128 }, "relu", { dense = 10 } ]
[data]
format = "digits"
samples = 12000
[train]
epochs = 20
batch_size = 64
optimizer = { name = "sgd", learning_rate = 0.05 }
[cluster]
workers = 2
shards = 2
[checkpoint]
every_seconds = 0
)";

void print(const char* what, const spread& s, const char* unit) {
  std::printf("%-44s %9.3f %s (%.3f to %.3f)\n", what, s.median, unit, s.least, s.most);
}

} // namespace

int main(int argc, char** argv) {
  int pairs = 9;
  std::string mode = "async", replicas = "1", json_file;
  troupe::bench::command_line line("What recording the history of a run costs.", json_file);
  line.app.add_option("--pairs", pairs, "Jobs with and without, in turns")
      ->check(troupe::bench::count);
  line.app.add_option("--mode", mode)->check(CLI::IsMember({"async", "ssp", "bsp", "hogwild"}));
  line.app.add_option("--replicas", replicas)->check(CLI::Range(1, 16));
  line.read(argc, argv);
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  auto figures = troupe::bench::origin("recording", troupe::bench::command_of(argc, argv));
  troupe::bench::print_origin(figures);
  const troupe::bench::job_runner runner("bench_recording");
  std::vector<double> least, one, many;
  for (int i = 0; i < 5; ++i) {
    least.push_back(ns_at_least(runner.folder()));
    one.push_back(ns_of_event(runner.folder(), 1));
    many.push_back(ns_of_event(runner.folder(), cores));
  }
  print("the clock and 64 bytes of a mapped file", spread_of(least), "ns");
  print("an event, one thread", spread_of(one), "ns");
  print("an event, a thread for each core", spread_of(many), "ns");

  const auto job = runner.folder() / "job.toml";
  std::ofstream(job) << job_text;
  std::printf("\ntroupe train, 784-128-10 on 9600 digits, batches of 64, 20 epochs, %s, 2 shards, "
              "%s replicas, 2 workers, %d pairs\n",
              mode.c_str(), replicas.c_str(), pairs);
  std::vector<double> rates[2], times[2], rate_ratio, time_ratio, per_batch;
  for (int p = 0; p < pairs; ++p) {
    for (int turn : {0, 1}) {
      const auto recorded = (p + turn) % 2;
      const auto run =
          runner.run({.job = job,
                      .set = {"train.consistency=" + mode, "cluster.replicas=" + replicas},
                      .record = recorded == 1});
      rates[recorded].push_back(run.samples_per_second());
      times[recorded].push_back(1e6 * run.processor_seconds / run.samples);
      if (recorded == 1) per_batch.push_back(static_cast<double>(run.events) / (run.samples / 64));
    }
    rate_ratio.push_back(rates[1].back() / rates[0].back());
    time_ratio.push_back(times[1].back() / times[0].back());
  }
  print("not recorded", spread_of(rates[0]), "samples/s");
  print("recorded", spread_of(rates[1]), "samples/s");
  print("recorded, of not recorded", spread_of(rate_ratio), "");
  print("not recorded, processor time of a sample", spread_of(times[0]), "us");
  print("recorded, processor time of a sample", spread_of(times[1]), "us");
  print("recorded, of not recorded", spread_of(time_ratio), "");
  print("events of a batch", spread_of(per_batch), "");
  const auto of_batch = 1e3 * 64 * spread_of(times[0]).median;
  const auto share =
      of_batch > 0 ? spread_of(per_batch).median * spread_of(one).median / of_batch : 0;
  std::printf("%-44s %9.4f\n", "their processor time, of that of a batch", share);
  figures.update({{"ns_at_least", spread_of(least)},
                  {"ns_of_event", spread_of(one)},
                  {"ns_of_event_on_every_core", spread_of(many)},
                  {"pairs", pairs},
                  {"mode", mode},
                  {"replicas", replicas},
                  {"samples_per_second", spread_of(rates[0])},
                  {"samples_per_second_recorded", spread_of(rates[1])},
                  {"rate_ratio", spread_of(rate_ratio)},
                  {"processor_time_ratio", spread_of(time_ratio)},
                  {"events_per_batch", spread_of(per_batch)},
                  {"events_of_processor_time", share}});
  if (!troupe::bench::write_json(json_file, figures)) fail(json_file + ": cannot write");
}
