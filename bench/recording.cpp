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

#include "report.hpp"
#include "troupe/history/file_recorder.hpp"

namespace fs = std::filesystem;
namespace history = troupe::history;
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

struct spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto middle = values.size() / 2;
  return {values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2,
          values.front(), values.back()};
}

nlohmann::json as_json(const spread& s) {
  return {{"median", s.median}, {"least", s.least}, {"most", s.most}};
}

class scratch {
 public:
  scratch() {
    auto name = (fs::temp_directory_path() / "bench_recording-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail("cannot make a folder " + name);
    path_ = name;
  }
  ~scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

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

struct outcome {
  double samples_per_second = 0;
  double processor_us_per_sample = 0;
  double events_per_batch = 0; // recorded
};

double seconds_of(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

outcome run_job(const fs::path& program, const fs::path& folder, const std::string& mode,
                const std::string& replicas, bool record) {
  const auto run = folder / "run", file = folder / "run.history";
  fs::remove_all(run);
  fs::remove_all(file);
  const auto job = (folder / "job.toml").string(), set = "train.consistency=" + mode;
  std::vector<const char*> words{program.c_str(),  "train",     job.c_str(),
                                 "--set",          set.c_str(), "--replicas",
                                 replicas.c_str(), "--run",     run.c_str()};
  if (record) words.insert(words.end(), {"--record", file.c_str()});
  words.push_back(nullptr);
  const auto pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, STDOUT_FILENO);
    ::execv(program.c_str(), const_cast<char* const*>(words.data()));
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  if (pid < 0 || ::wait4(pid, &status, 0, &used) != pid || status != 0)
    fail("a training run did not end well");
  std::ifstream events(run / "events.jsonl");
  for (std::string line; std::getline(events, line);) {
    const auto e = nlohmann::json::parse(line);
    if (e.at("event") != "finished") continue;
    const auto samples = e.at("samples").get<double>();
    outcome o;
    o.samples_per_second = samples / e.at("seconds").get<double>();
    o.processor_us_per_sample =
        1e6 * (seconds_of(used.ru_utime) + seconds_of(used.ru_stime)) / samples;
    if (record)
      o.events_per_batch =
          static_cast<double>(fs::file_size(file)) / sizeof(history::event) / (samples / 64);
    return o;
  }
  fail("a run without a finished event");
}

void print(const char* what, const spread& s, const char* unit) {
  std::printf("%-44s %9.3f %s (%.3f to %.3f)\n", what, s.median, unit, s.least, s.most);
}

} // namespace

int main(int argc, char** argv) {
  int pairs = 9;
  std::string mode = "async", replicas = "1", json_file, command;
  for (int i = 0; i < argc; ++i) command += (i > 0 ? " " : "") + std::string(argv[i]);
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--pairs" && i + 1 < argc)
      pairs = std::atoi(argv[++i]);
    else if (argument == "--mode" && i + 1 < argc)
      mode = argv[++i];
    else if (argument == "--replicas" && i + 1 < argc)
      replicas = argv[++i];
    else if (argument == "--json" && i + 1 < argc)
      json_file = argv[++i];
    else {
      std::cerr
          << "usage: bench_recording [--pairs N] [--mode MODE] [--replicas R] [--json FILE]\n";
      return 2;
    }
  }
  const auto program = fs::read_symlink("/proc/self/exe").parent_path() / "troupe";
  if (!fs::exists(program)) fail("expected the program " + program.string() + "; build it first");
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  double load[1] = {0};
  ::getloadavg(load, 1);
  std::printf("%s\n%s, %u cores, load %.1f before\n\n", command.c_str(),
              troupe::bench::processor().c_str(), cores, load[0]);
  const scratch folder;
  std::vector<double> least, one, many;
  for (int i = 0; i < 5; ++i) {
    least.push_back(ns_at_least(folder.path()));
    one.push_back(ns_of_event(folder.path(), 1));
    many.push_back(ns_of_event(folder.path(), cores));
  }
  print("the clock and 64 bytes of a mapped file", spread_of(least), "ns");
  print("an event, one thread", spread_of(one), "ns");
  print("an event, a thread for each core", spread_of(many), "ns");

  std::ofstream(folder.path() / "job.toml") << job_text;
  std::printf("\ntroupe train, 784-128-10 on 9600 digits, batches of 64, 20 epochs, %s, 2 shards, "
              "%s replicas, 2 workers, %d pairs\n",
              mode.c_str(), replicas.c_str(), pairs);
  std::vector<double> rates[2], times[2], rate_ratio, time_ratio, per_batch;
  for (int p = 0; p < pairs; ++p) {
    outcome of[2];
    for (int turn : {0, 1}) {
      const auto recorded = (p + turn) % 2;
      of[recorded] = run_job(program, folder.path(), mode, replicas, recorded == 1);
      rates[recorded].push_back(of[recorded].samples_per_second);
      times[recorded].push_back(of[recorded].processor_us_per_sample);
    }
    rate_ratio.push_back(of[1].samples_per_second / of[0].samples_per_second);
    time_ratio.push_back(of[1].processor_us_per_sample / of[0].processor_us_per_sample);
    per_batch.push_back(of[1].events_per_batch);
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
  if (json_file.empty()) return 0;
  std::ofstream out(json_file);
  out << nlohmann::json{{"benchmark", "recording"},
                        {"command", command},
                        {"processor", troupe::bench::processor()},
                        {"cores", cores},
                        {"load_before", load[0]},
                        {"ns_at_least", as_json(spread_of(least))},
                        {"ns_of_event", as_json(spread_of(one))},
                        {"ns_of_event_on_every_core", as_json(spread_of(many))},
                        {"pairs", pairs},
                        {"samples_per_second", as_json(spread_of(rates[0]))},
                        {"samples_per_second_recorded", as_json(spread_of(rates[1]))},
                        {"rate_ratio", as_json(spread_of(rate_ratio))},
                        {"processor_time_ratio", as_json(spread_of(time_ratio))},
                        {"events_per_batch", as_json(spread_of(per_batch))},
                        {"events_of_processor_time", share}}
             .dump(2)
      << '\n';
  if (!out) fail(json_file + ": cannot write");
}
