#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "troupe/scheduler/applied_set.hpp"
#include "troupe/scheduler/lease_desk.hpp"
#include "troupe/scheduler/placement.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// The checkpoint that a run begins with.
struct loaded_checkpoint {
  std::uint64_t number = 0;
  std::uint32_t evaluated_epochs = 0;
  applied_set completed; ///< what every shard has
};

/// Where a run stands. Each phase has the data that mean something in it and in no other.
namespace phases {

/// Nodes join, or drop the roles that they had.
struct gathering {
  bool loading = false;                       ///< the archive has not answered yet
  std::set<node_id> clearing = {};            ///< nodes that still drop their roles
  std::optional<loaded_checkpoint> from = {}; ///< none: the run begins with the job
  std::string missing = {};                   ///< what the offers lack
  bool ready() const noexcept { return !loading && clearing.empty(); }
};

/// Replicas are made, then workers.
struct placing {
  placement plan;
  std::optional<loaded_checkpoint> from;
  std::set<node_id> awaited = {}; ///< nodes that have not answered
};

/// A restarted scheduler waits for the nodes to come back, then asks every primary for its applied
/// set.
struct reconciling {
  std::vector<held_leases> held = {};
  std::uint64_t round = 0;                      ///< of asking all; 0: none yet
  std::map<shard_id, applied_set> applied = {}; ///< as told in this round
  bool stop_asked = false;                      ///< the run stops once it has its nodes again
  /// The batches that every shard has applied; none until all have answered.
  std::optional<applied_set> completed(std::uint32_t shards) const;
};

struct training {
  std::optional<std::chrono::steady_clock::time_point> without_workers_since = {};
};

/// The user stopped the run. The leased batches are completed, and in bsp the step that they belong
/// to, so that every shard has the same. Then the parameters and a checkpoint are taken.
struct stopping {
  enum class saving { due, open, ended };
  bool settled = false; ///< the leases have ended, or the patience has
  bool snapshot_taken = false;
  saving checkpoint = saving::due;
  std::uint32_t waits = 0; ///< for the checkpoint, after the snapshot
};

struct ended {};

} // namespace phases

using run_phase = std::variant<phases::gathering, phases::placing, phases::reconciling,
                               phases::training, phases::stopping, phases::ended>;

} // namespace troupe::scheduler
