// Measures how long training stands after faults to the process of a shard's primary: trains
// integers without an end on real processes, with 2 replicas, and sends a signal to the primary of
// a drawn shard so many times, each time with all chains whole again. A stopped process goes on
// when its node was replaced. The status is asked for over one connection, every 2 ms.
//
// A batch is applied everywhere when `batches_done` has grown by more than the leases that were out
// when the view was first seen: at least one of those was leased afterwards, so the figure is an
// upper bound.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cluster_processes.hpp"
#include "integer_cluster.hpp"
#include "program_fixture.hpp"
#include "temporary_folder.hpp"
#include "troupe/actors/status_connection.hpp"
#include "troupe/random.hpp"

namespace troupe::chaos_test {

using namespace std::chrono_literals;
using cli_test::program;
using clock = std::chrono::steady_clock;
using nlohmann::json;

namespace {

struct recovery_times {
  using duration = std::chrono::duration<double, std::milli>;

  std::vector<duration> until_view;    ///< from the signal until the status shows the next view
  std::vector<duration> until_applied; ///< until a batch leased in that view is applied everywhere
  duration longest_look{};             ///< between two looks at the status: the error of the above
};

constexpr auto look_pause = 2ms;
constexpr auto patience = 60s;
constexpr auto ask_timeout = 10s;
constexpr std::size_t replicas = 2;

endpoint address_in(const std::filesystem::path& run) {
  std::ifstream in(run / "scheduler.address");
  std::string line;
  std::getline(in, line);
  return parse_endpoint(line);
}

bool whole(const json& status) {
  if (status.at("phase") != "training") return false;
  return std::ranges::all_of(status.at("shards"), [](const json& shard) {
    return shard.at("chain").size() == replicas && shard.at("learner").is_null();
  });
}

std::uint64_t leases_out(const json& status) {
  std::uint64_t leases = 0;
  for (const auto& node : status.at("nodes"))
    for (const auto& worker : node.at("workers")) leases += worker.at("leases").size();
  return leases;
}

/// Trains and is watched.
class watched_run {
 public:
  watched_run(const std::string& mode, std::uint64_t seed)
      : draws_(seed), run_(write_job()),
        train_({"train", "job.toml", "--run", "run", "--replicas", std::to_string(replicas),
                "--set", "train.consistency=" + mode},
               folder_.path()) {
    train_.wait_for_line("epoch 1/");
    scheduler_.emplace(address_in(run_), ask_timeout);
  }

  void measure(int signal, recovery_times& times) {
    const json before = look_until(whole, times);
    const auto shard = draws_.below(before.at("shards").size());
    const auto chain = cli_test::processes_of_chain(train_.pid(), before, shard);
    if (chain.empty()) throw std::runtime_error("the process of a primary was not found");
    const auto primary = chain.front();

    const auto begun = clock::now();
    last_look_ = begun;
    ::kill(primary, signal);
    const auto view = [&](const json& status) {
      return status.at("shards").at(shard).at("view").get<std::uint64_t>();
    };
    const json first = look_until([&](const json& s) { return view(s) > view(before); }, times);
    times.until_view.push_back(clock::now() - begun);
    const auto enough = first.at("batches_done").get<std::uint64_t>() + leases_out(first) + 1;
    look_until([&](const json& s) { return s.at("batches_done") >= enough; }, times);
    times.until_applied.push_back(clock::now() - begun);
    if (signal == SIGSTOP) ::kill(primary, SIGCONT);
  }

  void end() {
    train_.send(SIGINT);
    train_.finish();
  }

 private:
  std::filesystem::path write_job() const {
    folder_.write("job.toml", cli_test::integer_job(1'000'000));
    return folder_ / "run";
  }

  template <class Predicate>
  json look_until(Predicate seen, recovery_times& times) {
    const auto deadline = clock::now() + patience;
    last_look_ = clock::now();
    while (clock::now() < deadline) {
      const json status = json::parse(scheduler_->ask(ask_timeout));
      const auto now = clock::now();
      times.longest_look = std::max<recovery_times::duration>(times.longest_look, now - last_look_);
      last_look_ = now;
      if (seen(status)) return status;
      if (!train_.read_until(now + look_pause)) break;
    }
    throw std::runtime_error("training did not go on\n" + train_.out() + train_.err());
  }

  tensor::generator draws_;
  cli_test::temporary_folder folder_;
  const std::filesystem::path run_;
  program train_;
  std::optional<actors::status_connection> scheduler_;
  clock::time_point last_look_;
};

recovery_times measure_recovery(int signal, std::uint32_t count, const std::string& mode,
                                std::uint64_t seed) {
  cli_test::orphan_watch orphans;
  recovery_times times;
  // A node is given up after 10 restarts in 10 s, so a cluster is asked for 8.
  constexpr std::uint32_t each = 8;
  for (std::uint32_t done = 0; done < count;) {
    watched_run run(mode, seed + done);
    for (std::uint32_t i = 0; i < each && done < count; ++i, ++done) run.measure(signal, times);
    run.end();
  }
  orphans.reap_all();
  return times;
}

void print_times(std::string_view what, std::vector<recovery_times::duration> times) {
  std::ranges::sort(times);
  std::cout << "  " << what << ": median " << times[times.size() / 2].count() << " ms, worst "
            << times.back().count() << " ms" << std::endl;
}

void measure(int signal, const char* name, std::uint32_t count, const std::string& mode,
             std::uint64_t seed) {
  const auto times = measure_recovery(signal, count, mode, seed);
  std::cout << name << " to a primary, " << mode << ", " << times.until_view.size() << " times:\n";
  print_times("until the next view was seen", times.until_view);
  print_times("until a batch leased in it was applied on every shard", times.until_applied);
  std::cout << "  longest time between two looks: " << times.longest_look.count() << " ms"
            << std::endl;
}

} // namespace
} // namespace troupe::chaos_test

int main(int argc, char** argv) {
  CLI::App app{"Measures how long training stands after a primary was killed or stopped"};
  std::uint32_t count = 40;
  std::string mode = "async";
  std::uint64_t seed = std::random_device{}();
  app.add_option("--count", count, "of each signal")->check(CLI::PositiveNumber);
  app.add_option("--mode", mode, "async, ssp or bsp")
      ->check(CLI::IsMember({"async", "ssp", "bsp"}));
  app.add_option("--seed", seed, "of which shards; drawn if left out");
  CLI11_PARSE(app, argc, argv);
  std::cout << "seed " << seed << std::endl;
  try {
    troupe::chaos_test::measure(SIGKILL, "SIGKILL", count, mode, seed);
    troupe::chaos_test::measure(SIGSTOP, "SIGSTOP", count, mode, seed);
  } catch (const std::exception& e) {
    std::cerr << "recovery_time: " << e.what() << std::endl;
    return 1;
  }
  return 0;
}
