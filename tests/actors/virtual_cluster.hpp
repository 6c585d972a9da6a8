#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "troupe/actors/evaluator.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/scheduler.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/actors/system_config.hpp"

namespace troupe::actors {

/// The production actors of a whole cluster on CAF's test coordinator: one thread, virtual time,
/// and a seeded generator that picks which actor runs next.
class virtual_cluster {
 public:
  struct options {
    job work;
    std::uint64_t seed = 1;
    /// Virtual time a batch takes, by worker.
    std::function<caf::timespan(worker_id)> batch_time;
    /// One entry per node: shards and workers offered. Empty: one node offers everything.
    std::vector<std::pair<std::uint32_t, std::uint32_t>> nodes;
    std::shared_ptr<shard_observer> observer;
    caf::timespan lease_timeout = std::chrono::minutes(2);
  };

  explicit virtual_cluster(options o);
  ~virtual_cluster();

  /// Runs until the scheduler has ended, or `condition` holds (checked after every step), or
  /// nothing is left to happen, or `max_steps`. True if the scheduler ended.
  bool run(const std::function<bool()>& condition = nullptr, std::size_t max_steps = 1'000'000);

  const std::optional<run_result>& result() const { return result_; }
  const std::vector<event>& events() const { return events_; }
  const std::vector<node_impl_actor>& nodes() const { return nodes_; }
  const scheduler_impl_actor& root() const { return root_; }
  caf::actor_system& system() { return *system_; }
  caf::timespan now() const;

  /// The node dies at once, with everything on it.
  void kill(std::size_t node);

 private:
  bool step();

  options options_;
  struct testing_config;
  std::unique_ptr<testing_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* coordinator_ = nullptr;
  std::mt19937_64 random_;
  caf::actor_clock::time_point begun_;
  scheduler_impl_actor root_;
  std::vector<node_impl_actor> nodes_;
  std::vector<std::vector<caf::actor>> compute_; // by node
  std::optional<run_result> result_;
  std::vector<event> events_;
};

/// The one right sum of an integer_sum job that trains on `samples` samples for `epochs`, in a mode
/// whose applied gradients are scaled by `scale`.
std::vector<float> expected_parameters(const job& j, std::size_t samples, float scale);

/// A job over integers: 4 workers, 3 shards, plain SGD with learning rate 1.
job integer_job(scheduler::consistency mode);

} // namespace troupe::actors
