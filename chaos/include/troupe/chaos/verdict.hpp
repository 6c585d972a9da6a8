#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/chaos/outcome.hpp"
#include "troupe/job.hpp"
#include "troupe/recorder.hpp"
#include "troupe/values/aligned.hpp"

namespace troupe::chaos {

/// A fault that had a target.
struct done_fault {
  fault what;
  sim_time at{};
  std::vector<std::uint32_t> to; ///< numbers of processes
};

/// What a run left when it had ended, simulated or not. Times are since its beginning.
struct run_remains {
  job work;
  bool one_clock = false; ///< see history::check_options
  sim_time end{};
  bool finished = false; ///< by itself, in time, and without an error
  std::string why_not;   ///< "that it failed: no node is left"; where it did not finish
  tensor::aligned_vector<float> parameters; ///< where it finished
  std::optional<std::uint64_t> samples;     ///< that were counted; none: nobody said
  std::vector<std::string> processes;       ///< their names, by number
  std::vector<history::process_history> histories;
  std::vector<std::uint32_t> recorded_by; ///< for each history: the number of its process
  /// For each history: how often the run had been resumed when the process was started; empty: never.
  /// A resumed run numbers its views anew, so it is judged by itself.
  std::vector<std::uint32_t> resumed = {};
  std::vector<done_fault> done;
  std::vector<timeline::notice> notices;
  std::string status; ///< the last one that the scheduler told; may be empty
};

/// Puts what a scenario's invariants say of the remains into `o`: its violations, what the checker
/// judged, its faults and its end. A rule that the scenario leaves unchecked is not violated.
void judge(const scenario& s, const run_remains& r, outcome& o);

/// The remains as a picture.
timeline picture_of(const run_remains& r);

/// The one right sum of an integer_sum job.
std::vector<float> expected_parameters(const job& j);

} // namespace troupe::chaos
