#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "troupe/values/consistency.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::history {

using scheduler::batch_id;
using scheduler::clock_value;
using scheduler::node_id;
using scheduler::shard_id;
using scheduler::worker_id;

/// The kinds of recorded events, grouped by the actor that records them. The comment of a kind
/// names the fields of `event` that have a meaning, and says when the record is made. "Before" a
/// message means: the message leaves after the record. So a history never has an effect without its
/// cause, whenever the process is killed.
///
/// New kinds go at the end of their group's numbers: the numbers are in files
/// (docs/reference/history.md).
enum class event_kind : std::uint8_t {
  none = 0, ///< no record

  // A node.
  node_entered = 1, ///< node. The node was welcomed under this number; before it holds any role.

  // A worker. `worker` in all of them.
  lease_received = 16, ///< batch, clock (the floor). On receipt.
  /// shard, clock, step. Before each `pull`, repeated ones included.
  pull_sent = 17,
  /// shard, clock, step, value (own_applied), sequence (updates contained). When the range is
  /// complete.
  parameters_landed = 18,
  /// shard, clock, batch, view (of the primary that the worker knows), detail (1: in place,
  /// hogwild). Before each `push`, repeated ones included.
  push_sent = 19,
  acknowledgement_seen = 20, ///< shard, batch. On receipt of `pushed`, repeated ones included.
  batch_finished = 21,       ///< batch, clock (the next). Every shard has it; before `batch_done`.

  // A replica of a shard. `shard`, `node`, `instance` in all of them, and `view` (its present one;
  // 0: none was installed yet).
  /// detail (1: with the state that the job begins with), clock (number of workers n: workers 0 to
  /// n - 1 count from clock 0 on). The first record of a replica.
  replica_began = 32,
  /// detail (role), sequence (applied), value (the last change up to which none is missing). When
  /// the replica has its role in the view, before it acts in that role.
  view_installed = 33,
  /// detail (change_kind), sequence, worker, clock, batch. The primary has given a change its
  /// number; before it is sent on.
  change_appended = 34,
  /// detail (change_kind), sequence, worker, clock, batch, value (1: brought a new batch). After
  /// the change, before any message about it.
  change_applied = 35,
  /// bsp: step, sequence. The step was applied with this change; after its change_applied.
  step_applied = 36,
  push_acknowledged = 37, ///< worker, clock, batch, sequence (its change). Before `pushed`.
  /// worker, clock, step, sequence (applied), value (own_applied), detail (1: as it stood before
  /// the last step). Before `parameters`.
  pull_served = 38,
  snapshot_served = 39, ///< batch.epoch, sequence. Of a whole epoch; before `parameters`.
  image_sent = 40,      ///< sequence, value (hash). To a learner; before `replica_image`.
  /// clock (number of the checkpoint), sequence, value (hash), step (bsp). Before `replica_image`.
  image_taken = 41,
  /// clock (number of the checkpoint, 0: from another replica), sequence, value (hash of the state
  /// made of it), step (bsp; else how many batches every part of the range has). Before
  /// `replicated`.
  image_used = 42,
  state_hashed = 43, ///< sequence, value (hash). At a comparison (REPLICA-6).

  // The scheduler, and its archive.
  /// shard (number of shards), node (replicas), worker (number of workers), batch (epochs, batches
  /// of each), detail (scheduler::mode), value (its parameter), clock (1: goes on from a checkpoint
  /// of an earlier history). The first record of a scheduler.
  job_described = 64,
  /// value (batches completed), clock (number of restarts of the scheduler). When the scheduler has
  /// learned the state of the cluster, before it leases.
  took_up = 65,
  node_joined = 66,    ///< node. Before `welcome`.
  node_lost = 67,      ///< node.
  view_decided = 68,   ///< shard, view, node, detail (role), sequence (place in the chain). One for
                       ///< each member, before any message about the view.
  worker_placed = 69,  ///< worker, node.
  worker_lost = 70,    ///< worker. Before its leases are given to others.
  lease_given = 71,    ///< worker, batch, detail (1: a backup task). Before `batch_lease`.
  lease_returned = 72, ///< worker, batch. No worker has a lease on the batch now.
  lease_adopted = 73,  ///< worker, batch. The worker reported this lease to a restarted scheduler.
  batch_completed = 74,   ///< worker, batch. For the first time.
  checkpoint_opened = 75, ///< clock (number), step (bsp). Before `take_image`.
  /// clock (number), value (batches that all have). All images are on disk; before the manifest.
  checkpoint_written = 76,
  checkpoint_failed = 77, ///< clock (number).
  /// shard, view. All replicas of some shard are lost. Changes made in this view and in earlier
  /// views may be made again. One for each shard, before the roles are cleared.
  went_back = 78,
  /// clock (number of the checkpoint begun with; 0: none), value (batches that every shard has).
  /// All roles are placed; before the first lease.
  training_began = 79,
  epoch_evaluated = 80, ///< batch.epoch.
  run_ended = 81,       ///< detail (1 finished, 2 interrupted, 3 failed).
};

/// The role of a replica in a view.
enum class role : std::uint8_t { none = 0, primary = 1, backup = 2, learner = 3 };

/// The kind of a change to a shard, with the numbers of actors' shard_change::kind.
enum class change_kind : std::uint8_t {
  gradient = 0,
  repeated = 1,
  in_place = 2,
  enter = 3,
  leave = 4,
  compare = 5
};

inline constexpr std::uint8_t outcome_finished = 1;
inline constexpr std::uint8_t outcome_interrupted = 2;
inline constexpr std::uint8_t outcome_failed = 3;

/// One recorded event, in 64 bytes; these are also its bytes in a file. The comment of its kind
/// names the fields that have a meaning there.
struct event {
  event_kind what = event_kind::none;
  std::uint8_t detail = 0;
  std::uint16_t instance = 0; ///< number of the replica on its node, in the order of creation
  std::uint32_t check = 0;    ///< a check sum, filled in by the recorder
  std::int64_t time_ns = 0;   ///< of the recorder's clock; for display only
  shard_id shard = {};
  worker_id worker = {};
  node_id node = {};
  std::uint32_t view = 0;
  clock_value clock = 0;
  std::uint64_t sequence = 0;
  batch_id batch = {}; ///< if the kind has a step: the step's two halves
  std::uint64_t value = 0;

  std::uint64_t step() const noexcept { return (std::uint64_t{batch.epoch} << 32) | batch.index; }
  friend bool operator==(const event&, const event&) = default;
};
static_assert(sizeof(event) == 64 && std::is_trivially_copyable_v<event>);

/// A step in the form of a batch_id, as event::batch holds it.
constexpr batch_id as_batch(std::uint64_t step) noexcept {
  return {static_cast<std::uint32_t>(step >> 32), static_cast<std::uint32_t>(step)};
}

/// "pull_served"; "event 99" for a number that is no kind.
std::string name_of(event_kind kind);

/// One line without process and time: "shard 1 (node 3, view 2) acknowledges batch 7 of epoch 0 to
/// worker 2: change 41".
std::string to_string(const event& e);

} // namespace troupe::history
