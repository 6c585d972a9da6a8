#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "fault.hpp"

namespace troupe::chaos_test {

/// A job, and the hash of the parameters that it has to end with.
struct workload {
  std::string name;
  std::string job;           ///< the text of the job file
  std::string mode;          ///< train.consistency
  std::uint32_t epochs;      ///< instead of the job's
  std::uint32_t samples;     ///< of one epoch
  std::string expected_hash; ///< empty: whatever comes out; the run is without faults
};

/// Integer gradients: one right sum, whatever happened on the way.
workload integers(const std::string& mode, std::uint32_t epochs);
/// A network on generated digits in bsp. Its hash is that of a run without faults.
workload digits();

struct chaos_options {
  std::uint64_t seed = 0;
  std::uint32_t replicas = 2;
  std::uint32_t faults = 0;
  std::chrono::milliseconds longest_gap{300}; ///< between two of them, and before the first
  std::vector<fault_kind> kinds;              ///< to draw from; not empty where `faults` is not 0
  std::filesystem::path keep;                 ///< a run with a violation is kept in here
};

struct chaos_outcome {
  std::vector<std::string> violations; ///< empty: all is well
  std::filesystem::path kept;          ///< where the run is looked at; empty without violations
  std::map<fault_kind, std::uint32_t> faults;
  /// How often something was seen to happen, by what it is called in the totals.
  std::map<std::string, std::uint32_t> seen;
  std::string parameter_hash; ///< empty: the run did not finish
  double seconds = 0;
};

/// Runs `troupe train` over real processes, does faults to them at random instants, and looks at
/// how it ended:
/// RUN-1 it ends by itself, with exit code 0, within 60 s;
/// RUN-2 the parameters are those expected, and every sample was counted once in each epoch;
/// RUN-3 no process outlives the launcher.
/// What is violated is in the outcome; nothing is thrown for it. Makes this process the one that
/// orphans are given to while it runs, so one run at a time.
chaos_outcome run_with_faults(const workload& work, const chaos_options& options);

} // namespace troupe::chaos_test
