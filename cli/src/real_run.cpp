#include "troupe/cli/real_run.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <memory>
#include <system_error>
#include <variant>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "troupe/chaos/simulated_run.hpp"
#include "troupe/cli/cluster_watch.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/launcher.hpp"
#include "troupe/cli/process_faults.hpp"
#include "troupe/cli/run_record.hpp"
#include "troupe/history_file.hpp"
#include "troupe/tensor/model_file.hpp"

namespace troupe::cli {

namespace fs = std::filesystem;
using chaos::fault_kind;
using chaos::packet_switch;
using clock = std::chrono::steady_clock;

namespace {

// The faults of a scenario kill on purpose: that a process dies often says nothing about it.
constexpr std::uint32_t restarts_allowed = 1'000'000;

/// The run's processes, number 0 being the scheduler.
struct place {
  std::string host;
  int network = -1;
};

bool needs_network(const chaos::schedule& faults) {
  return std::ranges::any_of(faults, [](const chaos::fault& f) {
    return f.kind == fault_kind::partition || f.kind == fault_kind::link;
  });
}

fs::path folder_of(const chaos::scenario& s, std::uint64_t seed, const fs::path& in) {
  return in / (s.name + "-" + std::to_string(seed) + ".run");
}

class real_run {
 public:
  real_run(const chaos::scenario& s, std::uint64_t seed, const chaos::schedule& faults,
           const real_run_options& o)
      : scenario_(s), options_(o), job_(chaos::job_of(s, seed)),
        folder_(folder_of(s, seed, o.folder)) {
    fs::create_directory(folder_);
    for (const auto& group : s.cluster.nodes)
      shares_.insert(shares_.end(), group.count, {group.shards, group.workers, {}, {}});
    process_faults::options f;
    f.faults = faults;
    f.finish_by = s.quiet.finish_by;
    for (const auto& share : shares_) f.workers.push_back(share.workers);
    make_places(faults, seed, f);
    std::vector<std::string> hosts;
    for (const auto& p : places_) hosts.push_back(p.host);
    watch_.emplace(folder_ / "run", hosts);
    f.chains = [this] { return watch_->chains(); };
    f.drain = [this](std::uint32_t number) { watch_->drain(number); };
    faults_.emplace(std::move(f));
  }

  void carry_out() {
    std::ofstream(folder_ / "job.json") << to_json(job_).dump(2) << std::flush;
    const unique_fd output(
        ::open((folder_ / "output.txt").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    if (!output.open())
      throw std::system_error(errno, std::generic_category(), (folder_ / "output.txt").string());
    code_ = launcher(launch(output.get())).run();
    ended_ = clock::now();
    sight_ = watch_->stop();
    count_orphans();
  }

  void conclude(chaos::outcome& o) {
    const auto r = remains();
    chaos::judge(scenario_, r, o);
    o.not_run = faults_->not_run();
    o.seen = chaos::picture_of(r);
    if (orphans_ > 0)
      o.violations.push_back({"orphan",
                              r.end,
                              "expected every process to have ended with the run, found " +
                                  std::to_string(orphans_) + " more",
                              {}});
  }

  const fs::path& folder() const { return folder_; }

 private:
  // Each process listens at an address of its own, by which it is known.
  void make_places(const chaos::schedule& faults, std::uint64_t seed, process_faults::options& f) {
    const auto count = static_cast<std::uint32_t>(shares_.size() + 1);
    if (needs_network(faults)) {
      auto made = chaos::private_network::make(count + 1, seed); // the last one is the watch's
      if (auto* network = std::get_if<0>(&made))
        network_ = std::move(*network);
      else
        f.no_network = std::get<1>(made);
    }
    f.network = network_.get();
    for (std::uint32_t i = 0; i < count; ++i)
      places_.push_back(network_ ? place{packet_switch::address_of(i), network_->namespace_of(i)}
                                 : place{"127.0.1." + std::to_string(i + 1), -1});
  }

  fs::path parts_of(std::uint32_t number) const {
    return folder_ / "parts" / std::to_string(number);
  }

  launcher::options launch(int output) {
    launcher::options l;
    l.program = options_.program;
    l.restart_arguments = {"--record", parts_of(0).string()};
    l.scheduler_arguments = {(folder_ / "job.json").string(), "--run", (folder_ / "run").string()};
    l.scheduler_arguments.insert(l.scheduler_arguments.end(), l.restart_arguments.begin(),
                                 l.restart_arguments.end());
    l.listen = places_[0].host + ":0";
    l.network = places_[0].network;
    l.output = output;
    for (std::uint32_t i = 0; i < shares_.size(); ++i) {
      auto share = shares_[i];
      const auto& at = places_[i + 1];
      share.name = "node " + std::to_string(i);
      share.arguments = {"--listen", at.host + ":0", "--record", parts_of(i + 1).string()};
      share.network = at.network;
      l.nodes.push_back(std::move(share));
    }
    l.node_rule.intensity.restarts = restarts_allowed;
    l.scheduler_rule.intensity.restarts = restarts_allowed;
    l.faults = &*faults_;
    const auto say = [this](std::string_view line) {
      told_.push_back({clock::now(), std::string(line)});
    };
    l.report = say;
    l.notify = say;
    return l;
  }

  chaos::sim_time since_begin(clock::time_point t) const {
    return faults_->begun() ? t - *faults_->begun() : chaos::sim_time{};
  }

  void count_orphans() {
    while (true) {
      const auto child = ::waitpid(-1, nullptr, WNOHANG);
      if (child < 0) return; // none is left
      if (child == 0) break;
      ++orphans_;
    }
    // They live. They die with this process.
    ++orphans_;
  }

  chaos::run_remains remains() {
    chaos::run_remains r;
    r.work = job_;
    r.end = since_begin(ended_);
    take_result(r);
    r.processes.push_back("scheduler");
    for (std::size_t i = 0; i < shares_.size(); ++i)
      r.processes.push_back("node " + std::to_string(i));
    take_histories(r);
    r.done = faults_->done();
    for (const auto& line : sight_.said) r.notices.push_back({since_begin(line.at), line.text});
    for (const auto& line : told_) r.notices.push_back({since_begin(line.at), line.text});
    std::ranges::stable_sort(r.notices, {}, &chaos::timeline::notice::at);
    r.status = sight_.status;
    return r;
  }

  void take_result(chaos::run_remains& r) const {
    const auto record = read_run_record(folder_ / "run" / "events.jsonl");
    r.finished = code_ == success && record.last == "finished";
    if (r.finished) {
      r.parameters = tensor::load_model(folder_ / "run" / "model.troupe").parameters;
      r.samples = record.samples;
    } else if (faults_->gave_up()) {
      r.why_not = "that it has not ended";
    } else {
      r.why_not = "that it failed: exit code " + std::to_string(code_) +
                  (record.reason.empty() ? "" : ", " + record.reason) +
                  (told_.empty() ? "" : "; " + told_.back().text);
    }
  }

  void take_histories(chaos::run_remains& r) const {
    const auto zero = faults_->begun().value_or(ended_).time_since_epoch();
    for (std::uint32_t i = 0; i < places_.size(); ++i) {
      if (!fs::exists(parts_of(i))) continue;
      for (auto& h : history::read_history(std::vector{parts_of(i)})) {
        for (auto& e : h.events) e.time_ns -= std::chrono::nanoseconds(zero).count();
        r.histories.push_back(std::move(h));
        r.recorded_by.push_back(i);
      }
    }
  }

  const chaos::scenario& scenario_;
  const real_run_options& options_;
  const job job_;
  const fs::path folder_;
  std::vector<node_share> shares_; // by node
  std::vector<place> places_;
  std::unique_ptr<chaos::private_network> network_; // before its processes' watch
  std::optional<cluster_watch> watch_;
  std::optional<process_faults> faults_;
  std::vector<cluster_watch::line> told_; // by the launcher
  cluster_watch::sight sight_;
  clock::time_point ended_;
  int code_ = success;
  std::size_t orphans_ = 0;
};

void keep_or_remove(const fs::path& folder, const fs::path& kept, bool keep) {
  std::error_code failed;
  if (keep) {
    fs::remove_all(kept, failed);
    fs::create_directories(kept.parent_path(), failed);
    fs::rename(folder, kept, failed);
    if (failed) fs::copy(folder, kept, fs::copy_options::recursive, failed); // another disk
  }
  fs::remove_all(folder, failed);
}

} // namespace

fs::path kept_run(const chaos::scenario& s, std::uint64_t seed, const real_run_options& o) {
  return folder_of(s, seed, o.kept);
}

std::optional<fs::path> keep_killed_run(const chaos::scenario& s, std::uint64_t seed,
                                        const real_run_options& o) {
  const auto folder = folder_of(s, seed, o.folder), kept = kept_run(s, seed, o);
  std::error_code failed;
  if (fs::exists(folder, failed)) keep_or_remove(folder, kept, true);
  return fs::exists(kept, failed) ? std::optional(kept) : std::nullopt;
}

chaos::outcome run_real(const chaos::scenario& s, std::uint64_t seed, const chaos::schedule& faults,
                        const real_run_options& o) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1); // nobody is to get away unseen
  chaos::outcome result;
  fs::path folder;
  try {
    real_run run(s, seed, faults, o);
    folder = run.folder();
    run.carry_out();
    run.conclude(result);
  } catch (const std::exception& e) {
    result.violations.push_back(
        {"crash", {}, "the run did not end well: " + plain_line(e.what()), {}});
  }
  if (!folder.empty()) keep_or_remove(folder, kept_run(s, seed, o), !result.violations.empty());
  return result;
}

} // namespace troupe::cli
