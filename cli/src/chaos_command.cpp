#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

#include <sys/prctl.h>
#include <sys/wait.h>

#include "troupe/chaos/campaign.hpp"
#include "troupe/chaos/report.hpp"
#include "troupe/chaos/scenario_file.hpp"
#include "troupe/chaos/schedule.hpp"
#include "troupe/chaos/simulated_run.hpp"
#include "troupe/cli/commands.hpp"
#include "troupe/cli/end_signals.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/real_run.hpp"
#include "troupe/cli/terminal.hpp"

namespace troupe::cli {

namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using chaos::failing_seed;

constexpr std::uint64_t seeds_by_default = 100;
constexpr std::uint64_t real_seeds_by_default = 5;
// Of a real run, beside its own time: until training begins, and to end what is left.
constexpr auto time_around_a_run = std::chrono::seconds(60);
constexpr auto display_pause = std::chrono::milliseconds(200);

void list_probes() {
  for (const auto& p : probe_texts) std::cout << p.name << ": " << p.text << "\n";
}

void list_mutants() {
  for (const auto& m : mutant_texts) std::cout << m.name << ": " << m.text << "\n";
}

std::vector<mutant> mutants_named(const std::string& text) {
  std::vector<mutant> which;
  if (text.empty()) return which;
  if (!mutants_built_in)
    throw usage_error("--mutant: this troupe was built without mutants; configure it with "
                      "-DTROUPE_MUTANTS=ON (cmake --preset mutants)");
  if (text == "all") {
    for (const auto& m : mutant_texts) which.push_back(m.what);
    return which;
  }
  const auto one = mutant_named(text);
  if (!one)
    throw usage_error("--mutant: expected all or a name of troupe chaos --list-mutants, found \"" +
                      text + "\"");
  return {*one};
}

/// A file that is written when everything is over; that it can be is found out before.
class later_file {
 public:
  explicit later_file(const std::optional<fs::path>& path) : path_(path) {
    if (path_ && !std::ofstream(*path_, std::ios::app)) fail();
  }
  void write(const std::string& text) const {
    std::ofstream out(*path_, std::ios::trunc);
    out << text << std::flush;
    if (!out) fail();
  }
  explicit operator bool() const { return path_.has_value(); }

 private:
  [[noreturn]] void fail() const {
    throw file_error(path_->string() + ": cannot write this file: " + std::strerror(errno));
  }
  std::optional<fs::path> path_;
};

/// A new folder among the system's temporary ones, for as long as this lives.
class folder_for_a_while {
 public:
  folder_for_a_while() {
    auto pattern = (fs::temp_directory_path() / "troupe-chaos-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw file_error(pattern + ": cannot be made: " + std::strerror(errno));
    path_ = pattern;
  }
  ~folder_for_a_while() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  folder_for_a_while(const folder_for_a_while&) = delete;
  folder_for_a_while& operator=(const folder_for_a_while&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// One line that is written over again, on a terminal.
class progress_line {
 public:
  explicit progress_line(std::uint64_t seeds) : seeds_(seeds) {}
  ~progress_line() { clear(); }

  void show(std::uint64_t done, std::uint64_t failed) {
    const auto now = clock::now();
    if (!terminal_ || now - shown_ < display_pause) return;
    shown_ = now;
    std::cout << "\r\x1b[K" << done << " of " << seeds_ << " seeds, " << failed << " failed"
              << std::flush;
  }
  void clear() {
    if (terminal_ && shown_ != clock::time_point{}) std::cout << "\r\x1b[K" << std::flush;
    shown_ = {};
  }

 private:
  std::uint64_t seeds_;
  bool terminal_ = output_is_terminal();
  clock::time_point shown_{};
};

std::string in_quotes_if_needed(const std::string& word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("/._-+=,").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

/// Of one command: reads the scenario, runs it, and tells of it.
class chaos_command {
 public:
  explicit chaos_command(const chaos_arguments& a)
      : arguments_(a), which_(mutants_named(a.mutant)), scenario_(chaos::load_scenario(a.scenario)),
        report_(a.report), events_(a.events) {
    options_.first_seed = a.first_seed.value_or(scenario_.seed.value_or(1));
    options_.seeds = a.seeds.value_or(scenario_.seed && !a.first_seed ? 1
                                      : a.real                        ? real_seeds_by_default
                                                                      : seeds_by_default);
    options_.jobs = a.jobs;
    options_.twice = a.twice;
    options_.shrink = a.shrink;
    options_.stop_after = a.stop_after;
    if (a.real) be_real();
  }

  int carry_out() {
    std::signal(SIGPIPE, SIG_IGN);
    // Looked for between runs, not by a thread: a child that is forked beside another thread may
    // inherit a lock that nobody gives back.
    const sigset_t signals = end_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    options_.stop = [signals, asked = false]() mutable {
      const timespec at_once{};
      asked = asked || ::sigtimedwait(&signals, nullptr, &at_once) > 0;
      return asked;
    };
    std::cout << scenario_.name << ": seeds from " << options_.first_seed << std::endl;
    return which_.empty() ? campaign() : hunt();
  }

 private:
  // Runs that share the processors with others are other runs, so one at a time unless told.
  void be_real() {
    options_.repeatable = false;
    if (options_.jobs == 0) options_.jobs = 1;
    options_.run_limit =
        std::chrono::ceil<std::chrono::seconds>(scenario_.quiet.finish_by) + time_around_a_run;
    options_.on_outcome = [this](std::uint64_t seed, const chaos::outcome& o) {
      std::cout << chaos::seed_line(seed, o) << std::endl;
    };
    runs_.emplace();
    real_ = {.folder = runs_->path(), .kept = arguments_.failures};
  }

  std::string replay(std::uint64_t seed, std::optional<mutant> m) const {
    auto text = "troupe chaos " + in_quotes_if_needed(arguments_.scenario.string()) +
                " --seeds 1 --first-seed " + std::to_string(seed);
    if (arguments_.real) text += " --real";
    if (m) text += " --mutant " + std::string(mutant_texts[static_cast<std::size_t>(*m)].name);
    return text;
  }

  fs::path keep(const failing_seed& f, std::optional<mutant> m) const {
    auto name = scenario_.name + "-" + std::to_string(f.seed);
    if (m) name += "-" + std::string(mutant_texts[static_cast<std::size_t>(*m)].name);
    auto small = chaos::with_schedule(scenario_, f.shrunk, f.seed);
    small.name = name;
    const auto path = arguments_.failures / (name + ".toml");
    std::error_code error;
    fs::create_directories(arguments_.failures, error);
    std::ofstream out(path, std::ios::trunc);
    for (const auto& v : f.what.violations)
      out << "# " << v.rule << ": " << plain_line(v.what) << "\n";
    out << chaos::to_toml(small) << std::flush;
    if (!out)
      throw file_error(path.string() +
                       ": cannot write the faults of a failing seed: " + std::strerror(errno));
    return path;
  }

  // What cannot be kept ends nothing: the other seeds and the totals are still to be told.
  void tell(const failing_seed& f) const {
    std::cout << chaos::text_of(f) << "  again:   " << replay(f.seed, std::nullopt) << "\n";
    try {
      const auto file = in_quotes_if_needed(keep(f, std::nullopt).string());
      std::cout << (arguments_.real ? "  faults:" : "  smaller:") << " troupe chaos " << file
                << (arguments_.real ? " --real\n" : "\n");
    } catch (const file_error& e) {
      std::cout << std::flush;
      print_error(e.what());
    }
    if (arguments_.real) {
      const auto run = keep_killed_run(scenario_, f.seed, real_);
      std::cout << "  its run: " << (run ? run->string() : "could not be kept") << "\n";
    }
    std::cout << std::flush;
  }

  int campaign() {
    progress_line progress(options_.seeds);
    options_.on_progress = [&](std::uint64_t seeds, std::uint64_t failed) {
      progress.show(seeds, failed);
    };
    const auto r = arguments_.real ? real_campaign()
                                   : chaos::run_campaign(scenario_, chaos::run_simulated, options_);
    progress.clear();
    for (const auto& f : r.failures) tell(f);
    if (events_) write_events(r);
    if (r.only)
      std::cout << chaos::text_of(*r.only, chaos::draw(scenario_, r.first_seed), r.repeatable);
    else if (r.repeatable)
      std::cout << "rare branches:\n" << chaos::text_of(r.probes);
    if (report_)
      report_.write(chaos::html_report({scenario_, &r, nullptr, [this](std::uint64_t seed) {
                                          return replay(seed, std::nullopt);
                                        }}));
    if (!r.not_run.empty()) std::cout << chaos::not_run_line(r.not_run) << "\n";
    std::cout << chaos::totals_line(r) << std::endl;
    if (r.failed > 0) return run_failed;
    return r.interrupted ? interrupted : success;
  }

  // Of a run that was killed in the middle, by Ctrl-C or its limit, the processes are ended by the
  // system. They come to this process, and it ends after them.
  chaos::campaign_report real_campaign() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    auto r = chaos::run_campaign(
        scenario_,
        [this](const chaos::scenario& s, std::uint64_t seed, const chaos::schedule& faults, bool) {
          return run_real(s, seed, faults, real_);
        },
        options_);
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    return r;
  }

  void write_events(const chaos::campaign_report& r) const {
    const auto* told = r.only                ? &r.only->seen
                       : !r.failures.empty() ? &r.failures.back().what.seen
                                             : nullptr;
    std::string text;
    if (told != nullptr)
      for (const auto& line : told->events) text += line + "\n";
    events_.write(text);
  }

  int hunt() {
    progress_line progress(options_.seeds);
    options_.on_progress = [&](std::uint64_t seeds, std::uint64_t failed) {
      progress.show(seeds, failed);
    };
    const auto results = chaos::hunt_mutants(
        scenario_, chaos::run_simulated, which_, options_, [&](const chaos::mutant_result& m) {
          progress.clear();
          std::cout << chaos::text_of(m) << std::endl;
          if (!m.caught) return;
          keep(*m.caught, m.what);
          if (which_.size() == 1)
            std::cout << chaos::text_of(*m.caught)
                      << "  again:   " << replay(m.caught->seed, m.what) << std::endl;
        });
    progress.clear();
    if (report_) report_.write(chaos::html_report({scenario_, nullptr, &results, nullptr}));
    std::vector<std::size_t> faults;
    for (const auto& m : results)
      if (m.caught) faults.push_back(m.caught->shrunk.size());
    std::ranges::sort(faults);
    std::cout << faults.size() << " of " << which_.size() << " mutants caught";
    if (!faults.empty())
      std::cout << "; faults needed: " << faults[faults.size() / 2] << " in the median, "
                << faults.back() << " at most";
    std::cout << std::endl;
    if (results.size() < which_.size()) return interrupted;
    return faults.size() == which_.size() ? success : run_failed;
  }

  const chaos_arguments& arguments_;
  const std::vector<mutant> which_;
  const chaos::scenario scenario_;
  const later_file report_;
  const later_file events_;
  chaos::campaign_options options_;
  std::optional<folder_for_a_while> runs_;
  real_run_options real_;
};

} // namespace

int run(const chaos_arguments& a) {
  if (a.list_probes) list_probes();
  if (a.list_mutants) list_mutants();
  if (a.scenario.empty()) return success;
  return chaos_command(a).carry_out();
}

} // namespace troupe::cli
