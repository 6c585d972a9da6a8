#include "job_run.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <sstream>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "troupe/checker.hpp"
#include "troupe/cli/child_process.hpp"
#include "troupe/history_file.hpp"

namespace troupe::bench {

namespace fs = std::filesystem;
using bench_clock = std::chrono::steady_clock;
using cli::child_process;

namespace {

constexpr std::chrono::minutes longest_run{10}; // then something hangs

double seconds_of(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

// Of all processes that were started here, or by them, and have ended.
double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
}

bool readable(int fd, bench_clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - bench_clock::now());
    pollfd ready{fd, POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

// Empty when it ended well in time, else what became of it.
std::string ended_badly(child_process& p, bench_clock::time_point until) {
  const cli::unique_fd handle(static_cast<int>(::syscall(SYS_pidfd_open, p.pid(), 0)));
  if (!handle.open() || !readable(handle.get(), until)) return "it did not end";
  while (p.running()) p.check();
  if (p.end()->good()) return {};
  auto why = to_string(*p.end());
  for (const auto& line : p.error_lines().read_lines()) why += "; " + line;
  return why;
}

// Memory is shared among the processes of one user (shared_pools.hpp). What they may do does not
// change.
std::vector<std::string> as_user(std::uint32_t n, const fs::path& program) {
  return {"--user", "--map-user=" + std::to_string(1000 + n), program.string()};
}

fs::path parts_of(const fs::path& folder) { return folder / "run.parts"; }

} // namespace

std::string to_string(placement p) {
  switch (p) {
  case placement::one_process:
    return "one process";
  case placement::shared_memory:
    return "shared memory";
  case placement::tcp:
    break;
  }
  return "TCP";
}

double job_run::steady_samples_per_second() const {
  if (measured_steady) return *measured_steady;
  if (epochs.size() < 2) return samples_per_second();
  const auto of_epoch = samples / static_cast<double>(epochs.size());
  return of_epoch * static_cast<double>(epochs.size() - 1) /
         (epochs.back().seconds - epochs.front().seconds);
}

std::optional<double> job_run::seconds_to(double accuracy) const {
  for (const auto& e : epochs)
    if (e.held_out_accuracy && *e.held_out_accuracy >= accuracy) return e.seconds;
  return std::nullopt;
}

job_runner::job_runner(std::string benchmark)
    : benchmark_(std::move(benchmark)),
      program_(fs::read_symlink("/proc/self/exe").parent_path() / "troupe") {
  if (!fs::exists(program_)) fail("expected the program " + program_.string() + "; build it first");
  auto name = (fs::temp_directory_path() / (benchmark_ + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) fail("cannot make a folder " + name);
  folder_ = name;
  try {
    child_process p(
        {.program = "/usr/bin/unshare", .arguments = as_user(0, "true"), .quiet = true});
    other_users_ = ended_badly(p, bench_clock::now() + std::chrono::seconds(10)).empty();
  } catch (const std::system_error&) { // no such program
  }
}

job_runner::~job_runner() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void job_runner::fail(const std::string& why) const {
  std::cerr << benchmark_ << ": " << why << '\n';
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
  std::exit(1);
}

std::string job_runner::obstacle(placement where) const {
  return where == placement::tcp && !other_users_
             ? "unshare --user --map-user is not there or not allowed"
             : "";
}

void job_runner::run_together(const request& r) const {
  std::vector<std::string> words = {"train", r.job.string(), "--run", (folder_ / "run").string()};
  for (const auto& pair : r.set) words.insert(words.end(), {"--set", pair});
  if (r.record)
    words.insert(words.end(), {"--record", (parts_of(folder_) / "run.history").string()});
  if (r.where == placement::one_process) words.push_back("--in-process");
  child_process p({.program = program_, .arguments = std::move(words), .quiet = true});
  if (const auto why = ended_badly(p, bench_clock::now() + longest_run); !why.empty())
    fail("a training run failed: " + why);
}

// What `troupe train` does, but for the users.
void job_runner::run_apart(const request& r) const {
  const auto until = bench_clock::now() + longest_run;
  const auto record = [&](std::vector<std::string>& words, const std::string& who) {
    if (r.record) words.insert(words.end(), {"--record", (parts_of(folder_) / who).string()});
  };
  auto ready = cli::make_pipe();
  std::vector<std::string> words = {
      "scheduler", r.job.string(), "--run",      (folder_ / "run").string(),
      "--listen",  "127.0.0.1:0",  "--ready-fd", std::to_string(ready.write.get())};
  for (const auto& pair : r.set) words.insert(words.end(), {"--set", pair});
  record(words, "scheduler");
  child_process scheduler({.program = program_,
                           .arguments = std::move(words),
                           .inherited_fd = ready.write.get(),
                           .quiet = true});
  ready.write.close();
  cli::line_pipe said(std::move(ready.read));
  std::string address;
  while (address.empty() && said.fd() >= 0 && readable(said.fd(), until))
    for (const auto& line : said.read_lines()) {
      std::istringstream in(line);
      std::string word;
      if (in >> word && word == "listening") in >> address;
    }
  if (address.empty()) fail("a scheduler did not start: " + ended_badly(scheduler, until));
  std::vector<child_process> nodes;
  nodes.reserve(r.replicas + r.workers);
  for (std::uint32_t n = 0; n < r.replicas + r.workers; ++n) {
    auto node = as_user(n, program_);
    node.insert(node.end(), {"node", "--join", address, "--shards", n < r.replicas ? "1" : "0",
                             "--workers", n < r.replicas ? "0" : "1"});
    record(node, "node" + std::to_string(n));
    nodes.emplace_back(child_process::options{
        .program = "/usr/bin/unshare", .arguments = std::move(node), .quiet = true});
  }
  if (const auto why = ended_badly(scheduler, until); !why.empty())
    fail("a training run failed: " + why);
  for (auto& n : nodes)
    if (const auto why = ended_badly(n, until); !why.empty()) fail("a node failed: " + why);
}

void job_runner::check_history(const request& r, job_run& result) const {
  std::vector<fs::path> paths;
  if (r.where == placement::tcp)
    for (const auto& entry : fs::directory_iterator(parts_of(folder_)))
      paths.push_back(entry.path());
  else
    paths = {parts_of(folder_) / "run.history"};
  const auto proved = history::check(history::read_history(paths));
  if (!proved.violations.empty()) fail("the history breaks a rule: " + proved.violations[0].what);
  if (!proved.finished || !proved.missing.empty() || proved.total_judged() == 0)
    fail("the history of a run is not whole" +
         (proved.missing.empty() ? "" : ": missing: " + proved.missing[0]));
  result.events = proved.events;
  result.judged = proved.total_judged();
}

job_run job_runner::run(const request& r) const {
  fs::remove_all(folder_ / "run");
  fs::remove_all(parts_of(folder_));
  fs::create_directories(parts_of(folder_));
  const auto used = processor_seconds();
  const auto begun = bench_clock::now();
  if (r.where == placement::tcp)
    run_apart(r);
  else
    run_together(r);
  job_run result;
  result.whole_seconds = std::chrono::duration<double>(bench_clock::now() - begun).count();
  result.processor_seconds = processor_seconds() - used;
  std::ifstream events(folder_ / "run" / "events.jsonl");
  double elapsed = 0;
  for (std::string line; std::getline(events, line);) {
    const auto e = nlohmann::json::parse(line);
    if (e.at("event") == "epoch") {
      job_run::epoch epoch{e.at("samples_per_second").get<double>(), std::nullopt};
      if (const auto& a = e.at("held_out_accuracy"); !a.is_null())
        epoch.held_out_accuracy = a.get<double>();
      result.epochs.push_back(epoch);
    } else if (e.at("event") == "finished") {
      result.samples = e.at("samples").get<double>();
      result.seconds = e.at("seconds").get<double>();
      result.parameter_hash = e.at("parameter_hash").get<std::string>();
    }
  }
  if (result.samples <= 0 || result.epochs.empty()) fail("a run without a finished event");
  const auto of_epoch = result.samples / static_cast<double>(result.epochs.size());
  for (auto& e : result.epochs) e.seconds = elapsed += of_epoch / e.seconds; // was its rate
  if (r.record) check_history(r, result);
  return result;
}

} // namespace troupe::bench
