#include "chaos_run.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "integer_cluster.hpp"
#include "program_fixture.hpp"
#include "temporary_folder.hpp"

namespace troupe::chaos_test {

using namespace std::chrono_literals;
using cli_test::program;
using clock = std::chrono::steady_clock;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr auto run_limit = 60s;

// What is counted, and the beginning or the middle of the notices that tell of it.
const std::map<std::string, std::string> counted_notices = {
    {"checkpoints gone back to", "going on from checkpoint"},
    {"begun again", "training with"}, // the first time it began
    {"scheduler restarts", "the restarted scheduler goes on"},
    {"replicas brought up", "has a replica on"},
    {"nodes lost", "was lost ("},
};

std::vector<std::string> train_arguments(const workload& work, const chaos_options& options) {
  return {"train",
          "job.toml",
          "--run",
          "run",
          "--replicas",
          std::to_string(options.replicas),
          "--checkpoint-batches",
          "500",
          "--set",
          "train.consistency=" + work.mode,
          "--set",
          "train.epochs=" + std::to_string(work.epochs)};
}

/// One run while it goes on.
class chaos_run {
 public:
  chaos_run(const workload& work, const chaos_options& options)
      : work_(work), options_(options), draws_(options.seed), run_(folder_ / "run") {
    folder_.write("job.toml", work.job);
  }

  chaos_outcome carry_out() {
    program train(train_arguments(work_, options_), folder_.path());
    const auto begun = clock::now();
    try {
      train.wait_for_line("epoch 1/");
      begun_ = clock::now();
      deadline_ = begun_ + run_limit;
      fault_injector faults(train.pid(), run_, draws_);
      const bool ended = inject_faults(train, faults) || wait(train, faults, deadline_);
      if (ended) {
        const auto result = train.finish();
        reaped_ = true;
        check_end(result);
      } else {
        on_hang(train);
      }
    } catch (const std::exception& e) { // the output did not come to where it had to
      outcome_.violations.push_back(e.what());
      train.send(SIGKILL);
    }
    outcome_.seconds = std::chrono::duration<double>(clock::now() - begun).count();
    check_orphans(train);
    if (!outcome_.violations.empty()) keep(train);
    return std::move(outcome_);
  }

 private:
  // Gives whether the program has ended.
  bool wait(program& train, fault_injector& faults, clock::time_point until) {
    while (clock::now() < until) {
      if (!train.read_until(std::min(until, faults.next_due()))) return true;
      for (const auto& line : faults.continue_due(clock::now())) remark(train, line);
    }
    return false;
  }

  bool inject_faults(program& train, fault_injector& faults) {
    for (std::uint32_t i = 0; i < options_.faults; ++i) {
      const auto gap = draws_.between(0ms, options_.longest_gap);
      const auto kind = draws_.one_of(options_.kinds);
      if (wait(train, faults, std::min(deadline_, clock::now() + gap))) return true;
      if (const auto done = faults.inject(kind)) {
        remark(train, *done);
        ++outcome_.faults[kind];
      } else {
        remark(train, std::string(name(kind)) + ": nobody to do it to");
      }
    }
    return false;
  }

  void remark(program& train, const std::string& line) const {
    const std::chrono::duration<double> at = clock::now() - begun_;
    std::ostringstream text;
    text.precision(3);
    text << std::fixed << "## " << at.count() << " s: " << line;
    train.remark(text.str());
  }

  void check_end(const cli_test::program_result& result) {
    if (result.code != 0)
      outcome_.violations.push_back("expected exit code 0, found " + std::to_string(result.code) +
                                    " (signal " + std::to_string(result.signal) +
                                    "): " + result.err);
    const json last = read_events();
    if (last.value("event", "") != "finished") {
      outcome_.violations.push_back("expected a last event \"finished\", found " + last.dump());
      return;
    }
    outcome_.parameter_hash = last.at("parameter_hash");
    if (!work_.expected_hash.empty() && outcome_.parameter_hash != work_.expected_hash)
      outcome_.violations.push_back("expected the parameters " + work_.expected_hash + ", found " +
                                    outcome_.parameter_hash);
    const auto samples = std::uint64_t{work_.epochs} * work_.samples;
    if (last.at("samples") != samples)
      outcome_.violations.push_back("expected " + std::to_string(samples) + " samples, found " +
                                    last.at("samples").dump());
  }

  // Counts what the events tell of, and gives the last one.
  json read_events() {
    std::istringstream in(cli_test::read_file(run_ / "events.jsonl"));
    json last = json::object();
    for (std::string line; std::getline(in, line);) {
      last = json::parse(line, nullptr, false);
      if (last.is_discarded()) {
        outcome_.violations.push_back("expected an event, found the line " + line);
        last = json::object();
      }
      if (last.value("event", "") != "notice") continue;
      for (const auto& [what, part] : counted_notices)
        if (last.at("text").get<std::string>().find(part) != std::string::npos)
          ++outcome_.seen[what];
    }
    if (auto& begun = outcome_.seen["begun again"]; begun > 0) --begun;
    return last;
  }

  void on_hang(program& train) {
    outcome_.violations.push_back("the run did not end within " +
                                  std::to_string(run_limit.count()) + " s");
    if (const auto status = cli_test::status_of(run_)) status_ = status->dump(1);
    train.send(SIGKILL); // the kernel kills its processes with it
    while (train.read_until(clock::now() + run_limit)) {
    }
  }

  void check_orphans(program& train) {
    try {
      if (!reaped_) train.finish(); // it was killed, and is not its own orphan
      const auto orphans = orphans_.reap_all();
      if (reaped_ && orphans > 0)
        outcome_.violations.push_back(std::to_string(orphans) +
                                      " processes of the run outlived their launcher");
    } catch (const std::exception& e) {
      outcome_.violations.push_back(e.what());
    }
  }

  void keep(const program& train) {
    outcome_.kept =
        options_.keep / (work_.name + "-" + work_.mode + "-" + std::to_string(options_.seed));
    fs::remove_all(outcome_.kept);
    fs::create_directories(outcome_.kept);
    fs::copy(folder_.path(), outcome_.kept, fs::copy_options::recursive);
    std::ofstream(outcome_.kept / "output.txt") << train.out();
    std::ofstream(outcome_.kept / "errors.txt") << train.err();
    if (!status_.empty()) std::ofstream(outcome_.kept / "status.json") << status_;
    std::ofstream violations(outcome_.kept / "violations.txt");
    for (const auto& line : outcome_.violations) violations << line << "\n";
  }

  const workload& work_;
  const chaos_options& options_;
  seeded_draws draws_;
  cli_test::temporary_folder folder_;
  const fs::path run_;
  cli_test::orphan_watch orphans_;
  clock::time_point begun_ = clock::now();
  clock::time_point deadline_;
  bool reaped_ = false; ///< the program ended by itself
  std::string status_;
  chaos_outcome outcome_;
};

} // namespace

workload integers(const std::string& mode, std::uint32_t epochs) {
  return {"integers", cli_test::integer_job(epochs), mode,
          epochs,     cli_test::integer_samples,     cli_test::expected_hash(epochs, mode)};
}

workload digits() { return {"digits", cli_test::digits_job(), "bsp", 150, 480, {}}; }

chaos_outcome run_with_faults(const workload& work, const chaos_options& options) {
  return chaos_run(work, options).carry_out();
}

} // namespace troupe::chaos_test
