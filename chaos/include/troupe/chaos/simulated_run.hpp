#pragma once

#include "troupe/chaos/outcome.hpp"
#include "troupe/job.hpp"

namespace troupe::chaos {

/// The job that a scenario trains with this seed.
job job_of(const scenario& s, std::uint64_t seed);

/// The run_one of the simulator: a cluster of production actors in this process, whose history is
/// checked when it has ended.
///
/// RUN-1  The same arguments give the same outcome, `probes` aside, on any machine and in
///        any build.
/// RUN-2  Nothing is thrown for what the run does: an exception from within it is a violation of
///        the rule "crash".
outcome run_simulated(const scenario& s, std::uint64_t seed, const schedule& faults,
                      bool with_timeline);

} // namespace troupe::chaos
