#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "troupe/chaos/outcome.hpp"

namespace troupe::cli {

struct real_run_options {
  std::filesystem::path program = "/proc/self/exe";
  std::filesystem::path folder; ///< that exists: the run lies in a new one in it while it lasts
  std::filesystem::path kept;   ///< where the folder of a run that failed is kept
};

/// Where the folder of a run of this seed is kept, should it fail: "KEPT/NAME-SEED.run".
std::filesystem::path kept_run(const chaos::scenario& s, std::uint64_t seed,
                               const real_run_options& o);

/// The same, where something of the run is: of one whose own process was killed (REAL-2) it is
/// taken there only now.
std::optional<std::filesystem::path> keep_killed_run(const chaos::scenario& s, std::uint64_t seed,
                                                     const real_run_options& o);

/// A run_one on real processes, started as `troupe train` starts them (launcher): the scenario's
/// job on its nodes, with these faults (process_faults), recorded, and judged as a simulated one.
/// Beside the scenario's invariants, a process that outlives the run is a violation of the rule
/// "orphan".
///
/// REAL-1  The processes have ended and their folder is gone, or is at kept_run(), on return.
/// REAL-2  When this process is killed, so are they; the folder stays where it is.
/// REAL-3  Where the schedule has faults of the network, each process has a network of its own
///         (private_network); where that cannot be, the outcome says so (`not_run`).
///
/// To be called in a process of its own, which has one thread: its network may become another one,
/// and processes without parents become its children.
chaos::outcome run_real(const chaos::scenario& s, std::uint64_t seed, const chaos::schedule& faults,
                        const real_run_options& o);

} // namespace troupe::cli
