#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "troupe/actors/archive.hpp"
#include "troupe/actors/compute.hpp"
#include "troupe/actors/evaluator.hpp"
#include "troupe/actors/scheduler.hpp"
#include "troupe/actors/shard_core.hpp"
#include "troupe/actors/worker.hpp"
#include "troupe/job.hpp"
#include "troupe/jobs/workload_identity.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/shard_ranges.hpp"
#include "troupe/storage/run_journal.hpp"
#include "troupe/tensor/epoch_orders.hpp"
#include "troupe/workload.hpp"

namespace troupe::actors {

/// What a scheduler's process adds to its job.
struct scheduler_place {
  std::string job_id;
  std::filesystem::path checkpoints = {}; ///< the folder for them; empty: none are taken
  std::shared_ptr<storage::file_system> files = storage::real_files(); ///< of that folder
  std::shared_ptr<history::recorder> recorder = nullptr; ///< of the process; may be null
};

/// A job with its model and data in hand, and the options that it gives to each actor of its
/// cluster. Every process of a cluster makes one: the scheduler's, each node's, those of the
/// simulator and those of the benchmarks.
///
/// ASSEMBLY-1  No other code reads a key of a job to fill in the options of an actor. A key
///             therefore acts in the runtime, in the simulator and in the benchmarks, or in none.
/// ASSEMBLY-2  The options hold what the job decides. The rest is left at its default: how to
///             connect, whether a process has ended, the journal, the limits of time, and the
///             functions that are called with events and results. The caller sets these before it
///             spawns the actor.
class assembly {
 public:
  /// Loads the data. Throws job_error when job, model and data do not fit each other, and
  /// tensor::error when a file cannot be read.
  assembly(job j, workload w);

  const job& the_job() const noexcept { return job_; }
  /// The workload given, with the data that this object has loaded.
  const workload& work() const noexcept { return work_; }
  /// Of model and data, as this process has them.
  const jobs::workload_identity& identity() const noexcept { return identity_; }
  const scheduler::batch_plan& plan() const noexcept { return plan_; }
  const std::vector<scheduler::shard_range>& ranges() const noexcept {
    return ranges_;
  } ///< by shard

  // -- the scheduler's process --------------------------------------------------------------------

  /// With functions that spawn evaluator and archive in `system`, which must outlive the options.
  scheduler_actor_options for_scheduler(caf::actor_system& system,
                                        const scheduler_place& place) const;
  /// Without the scheduler that takes its answers.
  archive_options for_archive(const scheduler_place& place) const;
  evaluator_options for_evaluator(address_book peers) const;
  /// What the journal of a new run begins with.
  storage::run_journal::content for_journal(const std::string& job_id) const;

  // -- a node's process ---------------------------------------------------------------------------

  /// `workers`: how many enter the clocks at the beginning.
  shard_core::options for_shard(std::uint32_t workers) const;
  /// Of the whole model, as the job's seed has them.
  tensor::aligned_vector<float> initial_parameters() const;
  /// Without its peers and its compute actor; which shards are remote is not filled in.
  worker_options for_worker(worker_id id) const;
  cpu_compute_options for_compute(worker_id id) const;

 private:
  job job_;
  workload work_;
  std::shared_ptr<const tensor::data_split> data_;
  jobs::workload_identity identity_;
  scheduler::batch_plan plan_{{1, 1, 0}};
  std::vector<scheduler::shard_range> ranges_;
  std::shared_ptr<tensor::epoch_orders> orders_;
};

/// The nodes of a cluster that is one process: as many as a shard has replicas, because replicas of
/// a shard live on different nodes. The first node runs all workers. The nodes live as long as this
/// object at least.
class local_nodes {
 public:
  local_nodes(caf::actor_system& system, const assembly& a, const scheduler_actor& root,
              const std::string& job_id, const std::shared_ptr<history::recorder>& recorder);

 private:
  std::vector<node_actor> nodes_;
};

} // namespace troupe::actors
