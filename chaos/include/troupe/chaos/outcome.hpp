#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "troupe/chaos/scenario.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::chaos {

/// Something that had to hold and did not.
struct violation {
  std::string rule;            ///< an invariant's name, "replay" or "crash"
  sim_time at{};               ///< when it showed
  std::string what;            ///< one line: what was expected, and what was found
  std::vector<std::string> by; ///< events that led to it, a line for each
  friend bool operator==(const violation&, const violation&) = default;
};

/// A run in pictures: who stood how, and what they did.
struct timeline {
  /// A stretch of time in the life of a process.
  struct span {
    std::uint32_t process = 0;
    fault_kind kind = fault_kind::kill;
    sim_time from{};
    sim_time to{};
    std::string text;
    friend bool operator==(const span&, const span&) = default;
  };
  /// From then on a shard had this view.
  struct view {
    std::uint32_t shard = 0;
    std::uint64_t number = 0;
    sim_time at{};
    std::vector<std::uint32_t> chain; ///< numbers of processes, the primary's first
    friend bool operator==(const view&, const view&) = default;
  };
  /// A worker's clock has become so much.
  struct clock {
    std::uint32_t worker = 0;
    std::uint64_t value = 0;
    sim_time at{};
    friend bool operator==(const clock&, const clock&) = default;
  };
  /// What the run said.
  struct notice {
    sim_time at{};
    std::string text;
    friend bool operator==(const notice&, const notice&) = default;
  };
  std::vector<std::string> processes; ///< their names, by number
  std::vector<span> spans;
  std::vector<view> views;
  std::vector<clock> clocks;
  std::vector<notice> notices;
  std::vector<std::string> events; ///< all that was recorded, a line for each, in order of time
  friend bool operator==(const timeline&, const timeline&) = default;
};

/// What came of one run.
struct outcome {
  std::uint64_t fingerprint = 0;
  std::vector<violation> violations;                           ///< empty: everything held
  std::array<std::uint64_t, fault_kind_names.size()> faults{}; ///< that had a target, by kind
  /// Faults of the schedule that could not be done where the run was made, by what they are and
  /// why: "partition (/dev/net/tun: No such file or directory)".
  std::map<std::string, std::uint64_t> not_run;
  probe_counts probes{};
  std::map<std::string, std::uint64_t> judged; ///< by rule of the checker: facts that it judged
  sim_time virtual_time{}; ///< of a run on real processes: real time since training began
  std::uint64_t steps = 0; ///< messages that actors took
  timeline seen;           ///< empty unless it was asked for
  friend bool operator==(const outcome&, const outcome&) = default;
};

/// One run of a scenario with these faults. Where it is repeatable, a function of its arguments
/// alone, but for `probes`.
using run_one = std::function<outcome(const scenario& s, std::uint64_t seed, const schedule& faults,
                                      bool with_timeline)>;

} // namespace troupe::chaos
