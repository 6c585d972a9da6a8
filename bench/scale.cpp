// What many actors cost, from 10 workers to 1,000 and from 20 nodes to 200; and how many leases a
// second the scheduler gives.
//
//     build/release/bin/bench_scale [--workers N,N,...] [--nodes N,N,...] [--shards S] [--mode
//     MODE]
//                                   [--rounds R] [--batches N] [--leases N] [--folder DIR]
//                                   [--json FILE]
//
// Each figure comes from a child process of its own; the rounds take the sizes in turn. A toy job:
// 16 parameters a shard, whose gradients are integers, so that what is measured are messages and
// bookkeeping. MODE is async, ssp (bound 3) or bsp (a step of as many batches as workers).
//
//  1. Whole clusters in this process: processor time of a batch, all threads and the scheduler
//     actor's alone, memory and processor time to start. Beside them actors that send each other as
//     many messages and do nothing else: what CAF takes of it.
//  2. The scheduler actor, journal in DIR included, with workers that complete their leases at
//     once: leases a second, and how long a worker waits for the next. Beside it an actor in its
//     place that decides nothing.
//  3. Clusters of 5 workers a node in the simulator: messages of a batch, exactly, and those that
//     the scheduler takes of them.
//
// Prints medians over the rounds, and the ratio of the last size to the first: flat is 1.
#include "scale.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <vector>

#include "command_line.hpp"
#include "report.hpp"

using namespace troupe;
using nlohmann::json;

namespace {

constexpr std::uint32_t workers_a_node = 5;

struct options {
  std::vector<std::uint32_t> workers = {10, 100, 1000};
  std::vector<std::uint32_t> nodes = {20, 64, 200};
  std::uint32_t shards = 64;
  std::string mode = "async";
  unsigned rounds = 3;
  std::uint64_t batches = 10'000;
  std::uint64_t leases = 300'000;
  std::filesystem::path folder = "bench_scale.tmp";
  std::string json_file;
};

options parse(int argc, char** argv) {
  options o;
  bench::command_line line(
      "What many actors cost, and how many leases a second the scheduler gives.", o.json_file);
  auto add = [&](const std::string& name, auto& value, const std::string& what) {
    return line.app.add_option(name, value, what)->check(troupe::bench::count);
  };
  add("--workers", o.workers, "In one process: sizes")->delimiter(',');
  line.app.add_option("--nodes", o.nodes, "In the simulator: numbers of nodes, or none")
      ->delimiter(',')
      ->transform(CLI::Transformer({{"none", "0"}}))
      ->check(CLI::Range(0, 1'000'000));
  add("--shards", o.shards, "");
  line.app.add_option("--mode", o.mode)->check(CLI::IsMember({"async", "ssp", "bsp"}));
  add("--rounds", o.rounds, "");
  add("--batches", o.batches, "Measured in a run, at least");
  add("--leases", o.leases, "Measured in a run");
  line.app.add_option("--folder", o.folder, "For the scheduler's journal");
  line.read(argc, argv);
  std::erase(o.nodes, 0u);
  return o;
}

scheduler::consistency mode_of(const options& o, std::uint32_t workers) {
  if (o.mode == "ssp") return scheduler::consistency::ssp(3);
  if (o.mode == "bsp") return scheduler::consistency::bsp(workers);
  return scheduler::consistency::async();
}

// A worker computes at least so many batches in a run of many.
constexpr std::uint64_t batches_a_worker = 20;

std::uint64_t batches_of(const options& o, std::uint32_t workers) {
  return std::max(o.batches, batches_a_worker * workers);
}

// One measurement of a size, over all rounds.
class series {
 public:
  void add(const json& measured) { all_.push_back(measured); }

  std::vector<double> sorted(const json::json_pointer& figure) const {
    std::vector<double> values;
    for (const auto& one : all_) values.push_back(one.at(figure).get<double>());
    std::ranges::sort(values);
    return values;
  }
  double median(const std::string& figure) const {
    return bench::percentile(sorted(json::json_pointer("/" + figure)), 50);
  }
  std::string spread(const std::string& figure, int digits) const {
    const auto values = sorted(json::json_pointer("/" + figure));
    char text[96];
    std::snprintf(text, sizeof text, "%.*f (%.*f to %.*f)", digits, bench::percentile(values, 50),
                  digits, values.front(), digits, values.back());
    return text;
  }
  const json& rounds() const { return all_; }

 private:
  json all_ = json::array();
};

// Of one size to the next, so that what a cluster of any size has counts for nothing.
double kilobytes_a_worker(const series& fewer, const series& more) {
  return (more.median("resident_bytes") - fewer.median("resident_bytes")) / 1024 /
         (more.median("workers") - fewer.median("workers"));
}

void print_ratio(const char* what, double last, double first) {
  std::printf("  %-58s %6.2f\n", what, last / first);
}

json one_process(const options& o) {
  std::vector<series> real(o.workers.size()), bare(o.workers.size());
  for (unsigned r = 0; r < o.rounds; ++r)
    for (std::size_t i = 0; i < o.workers.size(); ++i) {
      const auto n = o.workers[i];
      const auto batches = batches_of(o, n);
      real[i].add(
          bench::in_child([&] { return bench::whole_run(n, o.shards, batches, mode_of(o, n)); }));
      bare[i].add(bench::in_child([&] { return bench::bare_run(n, o.shards, batches); }));
    }
  std::printf("one process, %u shards, %s: processor time of a batch in us, medians (range) of %u "
              "rounds\n%8s %28s %28s %28s %14s\n",
              o.shards, o.mode.c_str(), o.rounds, "workers", "all actors", "bare CAF",
              "scheduler actor", "start, ms each");
  for (std::size_t i = 0; i < o.workers.size(); ++i)
    std::printf("%8u %28s %28s %28s %14.2f\n", o.workers[i],
                real[i].spread("cpu_us_per_batch", 1).c_str(),
                bare[i].spread("cpu_us_per_batch", 1).c_str(),
                real[i].spread("scheduler_us_per_batch", 2).c_str(),
                real[i].median("start_cpu_ms") / o.workers[i]);
  for (std::size_t i = 1; i < o.workers.size(); ++i)
    std::printf("  memory of each worker from %u to %u: %.0f KiB\n", o.workers[i - 1], o.workers[i],
                kilobytes_a_worker(real[i - 1], real[i]));
  print_ratio("a batch, the most workers by the fewest", real.back().median("cpu_us_per_batch"),
              real.front().median("cpu_us_per_batch"));
  print_ratio("the same, bare CAF", bare.back().median("cpu_us_per_batch"),
              bare.front().median("cpu_us_per_batch"));
  print_ratio("the scheduler actor's part", real.back().median("scheduler_us_per_batch"),
              real.front().median("scheduler_us_per_batch"));
  std::printf("\n");
  std::fflush(stdout);
  json result = json::array();
  for (std::size_t i = 0; i < o.workers.size(); ++i)
    result.push_back(
        {{"workers", o.workers[i]}, {"cluster", real[i].rounds()}, {"bare_caf", bare[i].rounds()}});
  return result;
}

json leases(const options& o) {
  std::vector<series> real(o.workers.size()), bare(o.workers.size());
  for (unsigned r = 0; r < o.rounds; ++r)
    for (std::size_t i = 0; i < o.workers.size(); ++i)
      for (bool decides : {true, false}) {
        std::filesystem::remove_all(o.folder);
        (decides ? real : bare)[i].add(bench::in_child([&] {
          return bench::lease_rate(
              bench::toy_job(o.workers[i], o.shards, o.leases, mode_of(o, o.workers[i])), o.folder,
              decides);
        }));
      }
  std::filesystem::remove_all(o.folder);
  std::printf("leases a second, %llu of them, medians (range) of %u rounds\n%8s %34s %34s %24s "
              "%24s\n",
              static_cast<unsigned long long>(o.leases), o.rounds, "workers", "scheduler",
              "bare actor in its place", "its processor us a lease", "wait p50, p99, us");
  for (std::size_t i = 0; i < o.workers.size(); ++i)
    std::printf("%8u %34s %34s %24.2f %14.0f %9.0f\n", o.workers[i],
                real[i].spread("leases_per_second", 0).c_str(),
                bare[i].spread("leases_per_second", 0).c_str(),
                real[i].median("scheduler_us_per_lease"), real[i].median("latency_us/p50"),
                real[i].median("latency_us/p99"));
  print_ratio("processor time of a lease, the most workers by the fewest",
              real.back().median("scheduler_us_per_lease"),
              real.front().median("scheduler_us_per_lease"));
  std::printf("\n");
  std::fflush(stdout);
  json result = json::array();
  for (std::size_t i = 0; i < o.workers.size(); ++i)
    result.push_back(
        {{"workers", o.workers[i]}, {"scheduler", real[i].rounds()}, {"bare", bare[i].rounds()}});
  return result;
}

json many_nodes(const options& o) {
  json result = json::array();
  if (o.nodes.empty()) return result;
  std::printf("simulated nodes of %u workers, %u shards, %s\n%8s %8s %20s %26s %24s %20s\n",
              workers_a_node, o.shards, o.mode.c_str(), "nodes", "workers", "messages a batch",
              "the scheduler's of them", "to start, by node*shard", "processor us each");
  for (auto n : o.nodes) {
    const auto workers = n * workers_a_node;
    result.push_back(bench::in_child([&] {
      return bench::simulated(
          bench::toy_job(workers, o.shards, batches_of(o, workers), mode_of(o, workers)), n,
          workers_a_node);
    }));
    const auto& s = result.back();
    std::printf(
        "%8u %8u %20.1f %26.3f %24.1f %20.2f\n", n, workers, s["messages_per_batch"].get<double>(),
        s["scheduler_messages_per_batch"].get<double>(),
        s["messages_to_start"].get<double>() / n / o.shards, s["cpu_us_per_message"].get<double>());
    std::fflush(stdout);
  }
  for (const char* figure : {"messages_per_batch", "scheduler_messages_per_batch"})
    print_ratio((std::string(figure) + ", the most nodes by the fewest").c_str(),
                result.back()[figure].get<double>(), result.front()[figure].get<double>());
  return result;
}

} // namespace

int main(int argc, char** argv) {
  const auto o = parse(argc, argv);
  auto report = bench::origin("scale", bench::command_of(argc, argv));
  bench::print_origin(report);
  std::fflush(stdout); // before the children copy it
  try {
    report["shards"] = o.shards;
    report["mode"] = o.mode;
    report["one_process"] = one_process(o);
    report["leases"] = leases(o);
    report["simulated"] = many_nodes(o);
    if (!bench::write_json(o.json_file, report))
      throw std::runtime_error(o.json_file + ": cannot write");
  } catch (const std::exception& e) {
    std::cerr << "bench_scale: " << e.what() << '\n';
    return 1;
  }
}
