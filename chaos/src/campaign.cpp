#include "troupe/chaos/campaign.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "outcome_bytes.hpp"
#include "troupe/chaos/forked_work.hpp"
#include "troupe/chaos/report.hpp"
#include "troupe/chaos/schedule.hpp"
#include "troupe/random.hpp"

namespace troupe::chaos {

namespace {

using clock = std::chrono::steady_clock;

violation crash(const std::string& how) {
  return {"crash", {}, "the run did not end well: " + how, {}};
}

std::set<std::string> rules_of(const outcome& o) {
  std::set<std::string> rules;
  for (const auto& v : o.violations) rules.insert(v.rule);
  return rules;
}

class campaign {
 public:
  campaign(const scenario& s, const run_one& run, const campaign_options& options)
      : scenario_(s), run_(run), options_(options) {
    report_.first_seed = options.first_seed;
    report_.repeatable = options.repeatable;
  }

  campaign_report carry_out() {
    const auto begun = clock::now();
    std::uint64_t given = 0;
    bool enough = false;
    work_in_children(
        forking(options_.repeatable ? 16 : 1),
        [&]() -> std::optional<std::uint64_t> {
          if (given == options_.seeds) return std::nullopt;
          return options_.first_seed + given++;
        },
        [&](std::uint64_t seed) { return to_bytes(with_checks(seed)); },
        [&](std::uint64_t seed, const forked_answer& a) {
          add(seed, a);
          enough = report_.failed >= options_.stop_after;
          return !enough;
        });
    report_.seconds = std::chrono::duration<double>(clock::now() - begun).count();
    report_.interrupted = !enough && report_.seeds < options_.seeds;
    std::ranges::sort(report_.failures, {}, &failing_seed::seed);
    for (auto& f : report_.failures) {
      f.faults = f.shrunk = draw(scenario_, f.seed);
      if (!options_.repeatable) continue;
      if (options_.shrink && !stopped()) make_smaller(f);
      show(f);
    }
    if (options_.repeatable && options_.seeds == 1 && report_.failures.empty() &&
        !report_.interrupted)
      report_.only = in_child(options_.first_seed, draw(scenario_, options_.first_seed), true);
    return std::move(report_);
  }

 private:
  bool stopped() const { return options_.stop && options_.stop(); }

  forked_options forking(std::size_t items_each) const {
    return {options_.jobs, items_each, options_.run_limit, options_.stop};
  }

  outcome once(std::uint64_t seed, const schedule& faults, bool with_timeline) const {
    switch_on(options_.mutant);
    return run_(scenario_, seed, faults, with_timeline);
  }

  outcome with_checks(std::uint64_t seed) const {
    const auto faults = draw(scenario_, seed);
    auto first = once(seed, faults, !options_.repeatable);
    if (!options_.twice) return first;
    const auto second = once(seed, faults, false);
    if (first.fingerprint != second.fingerprint)
      first.violations.push_back({"replay",
                                  first.virtual_time,
                                  "expected the fingerprint " + hex(first.fingerprint) +
                                      " again, found " + hex(second.fingerprint),
                                  {}});
    return first;
  }

  void add(std::uint64_t seed, const forked_answer& a) {
    outcome o;
    if (a.died)
      o.violations.push_back(crash(a.text));
    else
      o = from_bytes(a.text);
    ++report_.seeds;
    report_.fingerprint += tensor::mix(seed ^ tensor::mix(o.fingerprint));
    for (std::size_t i = 0; i < o.faults.size(); ++i) report_.faults[i] += o.faults[i];
    for (std::size_t i = 0; i < o.probes.size(); ++i) report_.probes[i] += o.probes[i];
    for (const auto& [rule, count] : o.judged) report_.judged[rule] += count;
    for (const auto& [what, count] : o.not_run) report_.not_run[what] += count;
    report_.virtual_time += o.virtual_time;
    report_.steps += o.steps;
    if (options_.on_outcome) options_.on_outcome(seed, o);
    if (o.violations.empty()) {
      if (!options_.repeatable && options_.seeds == 1) report_.only = std::move(o);
    } else {
      ++report_.failed;
      report_.failures.push_back({seed, std::move(o), {}, {}, 0, false});
    }
    if (options_.on_progress) options_.on_progress(report_.seeds, report_.failed);
  }

  outcome in_child(std::uint64_t seed, const schedule& faults, bool with_timeline) const {
    outcome o;
    bool given = false;
    work_in_children(
        forking(1),
        [&]() -> std::optional<std::uint64_t> {
          if (std::exchange(given, true)) return std::nullopt;
          return seed;
        },
        [&](std::uint64_t) { return to_bytes(once(seed, faults, with_timeline)); },
        [&](std::uint64_t, const forked_answer& a) {
          if (a.died)
            o.violations.push_back(crash(a.text));
          else
            o = from_bytes(a.text);
          return true;
        });
    return o;
  }

  // Fewer faults may lead to another violation; it has to be one of those that are looked for.
  void make_smaller(failing_seed& f) const {
    const auto wanted = rules_of(f.what);
    if (wanted == std::set<std::string>{"replay"}) return; // needs two runs in a process
    auto r = shrink(
        f.faults,
        [&](const schedule& faults) {
          if (stopped()) return false;
          const auto found = rules_of(in_child(f.seed, faults, false));
          return std::ranges::any_of(found,
                                     [&](const auto& rule) { return wanted.contains(rule); });
        },
        options_.shrinking);
    f.shrunk = std::move(r.faults);
    f.shrink_runs = r.runs;
    f.minimal = r.minimal && !stopped();
  }

  // The picture is that of the smaller schedule, which is the one to look at.
  void show(failing_seed& f) const {
    if (stopped()) return;
    auto o = in_child(f.seed, f.shrunk, true);
    if (!o.violations.empty() && !o.seen.processes.empty()) f.what = std::move(o);
  }

  const scenario& scenario_;
  const run_one& run_;
  const campaign_options& options_;
  campaign_report report_;
};

} // namespace

campaign_report run_campaign(const scenario& s, const run_one& run,
                             const campaign_options& options) {
  return campaign(s, run, options).carry_out();
}

std::vector<mutant_result>
hunt_mutants(const scenario& s, const run_one& run, const std::vector<mutant>& which,
             const campaign_options& options,
             const std::function<void(const mutant_result&)>& on_result) {
  std::vector<mutant_result> results;
  for (const auto m : which) {
    if (options.stop && options.stop()) break;
    auto each = options;
    each.mutant = m;
    each.stop_after = 1;
    auto report = run_campaign(s, run, each);
    mutant_result r{m, report.seeds, std::nullopt};
    if (!report.failures.empty()) r.caught = std::move(report.failures.front());
    results.push_back(std::move(r));
    on_result(results.back());
  }
  return results;
}

} // namespace troupe::chaos
