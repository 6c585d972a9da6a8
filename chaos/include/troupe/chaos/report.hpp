#pragma once

#include <string>
#include <vector>

#include "troupe/chaos/campaign.hpp"

namespace troupe::chaos {

/// What a report tells of: a campaign, or a hunt for mutants, or both.
struct told {
  const scenario& what;
  const campaign_report* campaign = nullptr;           ///< may be null
  const std::vector<mutant_result>* mutants = nullptr; ///< may be null
  /// What to type to see a seed fail again; empty: there is no such command.
  std::function<std::string(std::uint64_t seed)> replay = nullptr;
};

/// "1000 seeds, 0 violations; 812 kill, 233 pause; 1234 seeds per minute, 3512.2 s of virtual time,
/// fingerprint 0123456789abcdef". Faults that have no target are not counted. Of a campaign that is
/// not repeatable: "... 12 seeds per minute, 52.3 s of training".
std::string totals_line(const campaign_report& r);

/// "812 kill, 233 pause"; "no fault".
std::string counted_faults(const std::array<std::uint64_t, fault_kind_names.size()>& faults);

/// "not run here: 3 partition (no network namespace), 1 disk (...)"; empty: everything was run.
std::string not_run_line(const std::map<std::string, std::uint64_t>& not_run);

/// Of a run that is not repeatable: "seed 7 held after 5.3 s: 2 kill, 1 pause; not run here: ...".
std::string seed_line(std::uint64_t seed, const outcome& o);

/// Of a campaign of one seed that held: its faults, what the run said, its fingerprint (where it is
/// repeatable).
std::string text_of(const outcome& o, const schedule& faults, bool repeatable = true);

/// One failing seed over several lines: the violation, the events that led to it, the faults.
std::string text_of(const failing_seed& f);

/// A line: "resend_dropped: caught by seed 17 (finishes) with 1 fault", "... NOT CAUGHT by 300
/// seeds".
std::string text_of(const mutant_result& m);

/// All probes with their counts; those never reached at the end.
std::string text_of(const probe_counts& probes);

/// One page in itself: no script, no other file. Totals, each failing seed with a timeline of
/// nodes, faults, views and clocks (details where the pointer rests), probes and mutants.
std::string html_report(const told& t);

/// 16 hex digits.
std::string hex(std::uint64_t value);

} // namespace troupe::chaos
