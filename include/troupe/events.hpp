#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "troupe/values/ids.hpp"
#include "troupe/values/staleness_histogram.hpp"
#include "troupe/values/time_shares.hpp"

namespace troupe {

/// The events of a run. Durations are in seconds of wall time since the first lease; a loss is the
/// mean over the batches that the event covers.
/// A notice for the user: a node joined or was lost, roles were placed, training began.
struct notice_event {
  enum class kind {
    listening,
    node_joined,
    node_lost,
    placed, ///< a role has a new place
    started,
    worker_lost,
    warning,
    checkpoint,
  };
  kind type;
  std::string text; ///< one line, a complete sentence without a final newline
};

/// About every half second while training.
struct progress_event {
  std::uint32_t epoch;  ///< the oldest epoch with batches open, from 1
  std::uint32_t epochs; ///< of the job
  std::uint64_t batches_done;
  std::uint64_t batches_total; ///< over all epochs
  double loss;                 ///< mean over the batches completed since the last progress event
  double samples_per_second;   ///< since the last progress event
  double seconds_left;         ///< estimate; negative: not known yet
  std::uint32_t workers;       ///< live
  scheduler::staleness_histogram staleness; ///< of the whole run so far
};

/// Once per epoch, after the epoch's last batch was applied on every shard.
struct epoch_event {
  std::uint32_t epoch;                      ///< from 1
  double loss;                              ///< training loss over the epoch's batches
  std::optional<double> held_out_accuracy;  ///< empty: regression, or nothing held out
  std::optional<double> held_out_loss;      ///< empty: nothing held out
  double samples_per_second;                ///< over the epoch
  scheduler::staleness_histogram staleness; ///< of the whole run so far
};

/// The last event of a run that finished.
struct finished_event {
  std::optional<double> held_out_accuracy;
  std::optional<double> held_out_loss;
  double loss;                ///< training loss over the last epoch
  std::string parameter_hash; ///< 16 hex digits: XXH64, seed 0, of the final float32 parameters
  std::uint64_t samples;      ///< samples whose gradient was applied
  double seconds;
  std::uint64_t duplicates_dropped; ///< pushes that a shard had applied before, over all shards
  double blocked_seconds;           ///< time that pulls waited at the shards for the bound, summed
  scheduler::staleness_histogram staleness;
  /// Time of each worker, including lost workers, from the worker's first lease to its last
  /// completed batch that this scheduler counted.
  std::map<scheduler::worker_id, scheduler::time_shares> spent;
};

/// The last event of a run that was stopped by its user.
struct interrupted_event {
  std::uint64_t batches_done;
  std::uint64_t batches_total;
};

/// The last event of a run that failed.
struct failed_event {
  std::string reason; ///< one line: expected, found, where
};

using event = std::variant<notice_event, progress_event, epoch_event, finished_event,
                           interrupted_event, failed_event>;

struct run_result; // runtime.hpp

/// Receives the events of a run, one at a time, from one thread of the runtime. The calls must
/// return quickly: the scheduler waits for them.
class run_observer {
 public:
  virtual ~run_observer() = default;
  virtual void on_event(const event& e) = 0;
  /// Called once, after the last event and before any node is told that the run is over. If the
  /// process is killed before this call returns, the nodes still have the result. A result that
  /// this call has saved cannot be lost afterwards.
  virtual void on_result(const run_result&) {}
};

} // namespace troupe
