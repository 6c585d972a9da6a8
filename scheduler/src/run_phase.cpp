#include "troupe/scheduler/run_phase.hpp"

#include "troupe/probes/mutant.hpp"

namespace troupe::scheduler::phases {

std::optional<applied_set> reconciling::completed(std::uint32_t shards) const {
  if (applied.size() < shards) return std::nullopt;
  auto result = applied.begin()->second;
  for (const auto& [shard, set] : applied)
    if (!mutant_active(mutant::restart_counts_partial_batches)) result = intersection(result, set);
  return result;
}

} // namespace troupe::scheduler::phases
