// Trains on real processes, kills and stops them at random instants, and says whether every run
// ended by itself in the exact result. README.md tells how to use it.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "chaos_run.hpp"
#include "recovery_time.hpp"

using namespace troupe::chaos_test;

namespace {

struct campaign_options {
  std::uint32_t runs = 6;
  std::uint64_t seed = std::random_device{}();
  std::uint32_t kills = 6;
  std::uint32_t gap_ms = 300;
  std::uint32_t epochs = 60;
  std::uint32_t replicas = 2;
  std::string mode = "all";
  std::vector<std::string> only;
  std::string keep = "kill_campaign.kept";
  bool digits = true;
  bool measure = false;
};

const std::vector<std::string> modes = {"async", "ssp", "bsp"};

std::vector<fault_kind> kinds_of(const campaign_options& o) {
  std::vector<fault_kind> kinds;
  for (const auto& text : o.only) kinds.push_back(*fault_named(text));
  return kinds.empty() ? all_faults() : kinds;
}

// The run's own seed decides the mode too, so that one run can be repeated alone.
std::string mode_of(const campaign_options& o, std::uint64_t seed) {
  return o.mode == "all" ? modes[seed % modes.size()] : o.mode;
}

class campaign {
 public:
  explicit campaign(const campaign_options& o) : options_(o) {}

  int carry_out() {
    for (std::uint32_t i = 0; i < options_.runs; ++i) {
      const auto seed = options_.seed + i;
      run(integers(mode_of(options_, seed), options_.epochs), seed, options_.kills,
          options_.digits ? " --no-digits" : "");
    }
    const bool bsp = options_.mode == "all" || options_.mode == "bsp";
    if (options_.digits && bsp) run_digits();
    print_totals();
    return violations_ == 0 ? 0 : 1;
  }

 private:
  void run_digits() {
    auto work = digits();
    const auto without = run(work, options_.seed, 0, "");
    work.expected_hash = without.parameter_hash;
    if (!work.expected_hash.empty()) run(work, options_.seed, options_.kills, "");
  }

  chaos_outcome run(const workload& work, std::uint64_t seed, std::uint32_t faults,
                    const std::string& more) {
    const chaos_options o{.seed = seed,
                          .replicas = options_.replicas,
                          .faults = faults,
                          .longest_gap = std::chrono::milliseconds(options_.gap_ms),
                          .kinds = kinds_of(options_),
                          .keep = options_.keep};
    const auto outcome = run_with_faults(work, o);
    ++runs_;
    for (const auto& [kind, count] : outcome.faults) faults_[kind] += count;
    for (const auto& [what, count] : outcome.seen) seen_[what] += count;
    std::uint32_t done = 0;
    for (const auto& [kind, count] : outcome.faults) done += count;
    std::cout << work.name << " " << work.mode << " seed " << seed << ": "
              << (outcome.violations.empty() ? "exact" : "VIOLATED") << " after " << done
              << " faults, " << outcome.seconds << " s" << std::endl;
    if (!outcome.violations.empty()) {
      ++violations_;
      for (const auto& line : outcome.violations) std::cout << "  " << line << "\n";
      std::cout << "  kept in " << outcome.kept.string() << "\n  again: " << command(seed, work)
                << more << std::endl;
    }
    return outcome;
  }

  std::string command(std::uint64_t seed, const workload& work) const {
    std::ostringstream line;
    line << "kill_campaign --runs " << (work.name == "digits" ? 0 : 1) << " --seed " << seed
         << " --kills " << options_.kills << " --gap " << options_.gap_ms << " --mode " << work.mode
         << " --replicas " << options_.replicas << " --epochs " << options_.epochs;
    for (const auto& text : options_.only) line << " --only " << text;
    return line.str();
  }

  void print_totals() const {
    std::cout << "totals: " << runs_ << " runs";
    for (const auto kind : all_faults()) {
      const auto count = faults_.find(kind);
      std::cout << ", " << name(kind) << " " << (count == faults_.end() ? 0 : count->second);
    }
    for (const auto& [what, count] : seen_) std::cout << ", " << what << " " << count;
    std::cout << ", violations " << violations_ << std::endl;
  }

  const campaign_options& options_;
  std::uint32_t runs_ = 0;
  std::uint32_t violations_ = 0;
  std::map<fault_kind, std::uint32_t> faults_;
  std::map<std::string, std::uint32_t> seen_;
};

void print_times(std::string_view what, std::vector<recovery_times::duration> times) {
  std::ranges::sort(times);
  std::cout << "  " << what << ": median " << times[times.size() / 2].count() << " ms, worst "
            << times.back().count() << " ms" << std::endl;
}

int measure(const campaign_options& o) {
  for (const auto kind : {fault_kind::kill_shard, fault_kind::stop_shard}) {
    const auto mode = mode_of(o, o.seed);
    const auto times = measure_recovery(kind, o.kills, mode, o.seed);
    std::cout << name(kind) << " of a primary, " << mode << ", " << times.until_view.size()
              << " times:\n";
    print_times("until the next view was seen", times.until_view);
    print_times("until a batch leased in it was applied on every shard", times.until_applied);
    std::cout << "  longest time between two looks: " << times.longest_look.count() << " ms"
              << std::endl;
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  campaign_options o;
  CLI::App app{"Kills processes of training runs at random instants and checks what becomes of it"};
  std::vector<std::string> kinds;
  for (const auto kind : all_faults()) kinds.emplace_back(name(kind));
  app.add_option("--runs", o.runs, "runs of the integer job");
  app.add_option("--seed", o.seed,
                 "of the first run, the next one has the next; drawn if left out");
  app.add_option("--kills", o.kills, "faults in a run; with --measure, of each kind");
  app.add_option("--gap", o.gap_ms, "milliseconds between two faults, at most");
  app.add_option("--epochs", o.epochs, "of the integer job")->check(CLI::PositiveNumber);
  app.add_option("--replicas", o.replicas, "of each shard")->check(CLI::PositiveNumber);
  app.add_option("--mode", o.mode, "async, ssp, bsp or all")
      ->check(CLI::IsMember({"async", "ssp", "bsp", "all"}));
  app.add_option("--only", o.only, "faults to draw from, repeatable; all if left out")
      ->check(CLI::IsMember(kinds));
  app.add_option("--keep", o.keep, "folder for runs with a violation");
  app.add_flag("!--no-digits", o.digits, "leave the run of a real model out");
  app.add_flag("--measure", o.measure, "only measure how long training stands after a fault");
  CLI11_PARSE(app, argc, argv);
  std::cout << "seed " << o.seed << std::endl;
  try {
    return o.measure ? measure(o) : campaign(o).carry_out();
  } catch (const std::exception& e) {
    std::cerr << "kill_campaign: " << e.what() << std::endl;
    return 1;
  }
}
