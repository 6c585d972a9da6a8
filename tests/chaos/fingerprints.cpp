// Prints the fingerprint of a run with faults for each of the first seeds, for comparing build
// types and machines: the output must be the same (SIM-1).
//     build/release/bin/fingerprints 50 > a; build/debug/bin/fingerprints 50 > b; cmp a b
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#define CATCH_CONFIG_DISABLE
#include "cluster_stage.hpp"

using namespace troupe::chaos;
using namespace std::chrono_literals;

int main(int count, char** arguments) {
  const auto seeds = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 50;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    cluster c(options_for(modes[seed % modes.size()], seed));
    c.schedule(any_faults(seed, 6, 200ms));
    if (!c.run(300s)) return 1;
    std::printf("%" PRIu64 " %016" PRIx64 " %" PRIu64 "\n", seed, c.fingerprint(), c.sim().steps());
  }
  return 0;
}
