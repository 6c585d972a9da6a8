#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "troupe/chaos/outcome.hpp"
#include "troupe/chaos/shrink.hpp"
#include "troupe/probes/mutant.hpp"

namespace troupe::chaos {

struct campaign_options {
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 100;
  unsigned jobs = 0;  ///< runs at a time, each in a process; 0: one for each core
  bool twice = false; ///< run every seed twice, and compare
  bool shrink = true; ///< make the schedules of failing seeds smaller
  /// False: a second run of a seed is another run. Each is then made once, with its timeline; no
  /// schedule is made smaller, and there are no fingerprints and no probes.
  bool repeatable = true;
  std::uint32_t stop_after = 5;        ///< failing seeds
  std::chrono::seconds run_limit{120}; ///< of real time for one run; longer is a violation
  shrink_options shrinking = {};
  /// In whose presence the runs are made; needs a build with mutants.
  std::optional<troupe::mutant> mutant = {};
  std::function<bool()> stop =
      nullptr; ///< asked every so often; true ends the campaign with what there is
  std::function<void(std::uint64_t seeds, std::uint64_t failed)> on_progress = nullptr;
  std::function<void(std::uint64_t seed, const outcome&)> on_outcome = nullptr;
};

struct failing_seed {
  std::uint64_t seed = 0;
  outcome what;    ///< with its timeline
  schedule faults; ///< as drawn
  /// Smaller, and violates a rule that the whole one violates; the same as `faults` if it was not
  /// tried or could not be made smaller.
  schedule shrunk;
  std::uint32_t shrink_runs = 0;
  bool minimal = false;
};

struct campaign_report {
  std::uint64_t first_seed = 0;
  std::uint64_t seeds = 0; ///< that were run
  std::uint64_t failed = 0;
  std::vector<failing_seed> failures; ///< ascending by seed
  std::array<std::uint64_t, fault_kind_names.size()> faults{};
  std::map<std::string, std::uint64_t> not_run; ///< see outcome
  probe_counts probes{};
  std::map<std::string, std::uint64_t> judged;
  sim_time virtual_time{};
  std::uint64_t steps = 0;
  double seconds = 0; ///< real ones, without the shrinking
  /// Of all seeds and their fingerprints, in no order: two builds agree over a campaign if it is
  /// the same.
  std::uint64_t fingerprint = 0;
  bool interrupted = false;
  bool repeatable = true;      ///< as the options say
  std::optional<outcome> only; ///< of a campaign of one seed: with its timeline

  double seeds_per_minute() const {
    return seconds > 0 ? 60.0 * static_cast<double>(seeds) / seconds : 0;
  }
};

/// Runs a scenario with many seeds.
///
/// CAMPAIGN-1  Every seed from first_seed on is run once (twice with `twice`), unless `stop_after`
///             of them failed or `stop` said so.
/// CAMPAIGN-2  A run that crashes, throws or does not end is a violation of the rule "crash", and
///             the campaign goes on.
/// CAMPAIGN-3  What a seed does depends on no other seed of the campaign.
///
/// See work_in_children for what must hold of the calling process.
campaign_report run_campaign(const scenario& s, const run_one& run,
                             const campaign_options& options);

/// How one mutant fared.
struct mutant_result {
  mutant what{};
  std::uint64_t seeds = 0;            ///< until it was caught, or all
  std::optional<failing_seed> caught; ///< by the first seed that failed
};

/// The campaign once with each of the mutants, until it is caught. `on_result` hears of each.
std::vector<mutant_result> hunt_mutants(const scenario& s, const run_one& run,
                                        const std::vector<mutant>& which,
                                        const campaign_options& options,
                                        const std::function<void(const mutant_result&)>& on_result);

} // namespace troupe::chaos
