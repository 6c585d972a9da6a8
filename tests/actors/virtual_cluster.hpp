#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "troupe/actors/evaluator.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/scheduler.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/checker.hpp"

namespace troupe::actors {

using namespace storage;

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
    caf::timespan lease_timeout = std::chrono::minutes(2);
    /// Where checkpoints and the journal lie; empty: there are none. `resume`: from the newest.
    std::filesystem::path folder = {};
    bool resume = false;
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
  /// What every process that ever lived has recorded.
  std::vector<history::process_history> histories() const;
  /// CHECK-1 to CHECK-13 over it.
  history::report check() const;

  /// The node dies at once, with everything on it.
  void kill(std::size_t node);
  /// A new process joins; its number.
  std::size_t add_node(std::uint32_t shards, std::uint32_t workers);
  /// The scheduler dies at once, with its evaluator and archive; and another goes on from the
  /// journal.
  void kill_root();
  void restart_root();
  /// SIGSTOP and SIGCONT: from one to the other no actor of the node's process runs, nor does the
  /// connection close.
  void stop(std::size_t node) { stopped_.insert(process_of(node)); }
  void go_on(std::size_t node) { stopped_.erase(process_of(node)); }
  /// The same for the scheduler with its evaluator.
  void stop_root() { stopped_.insert(0); }
  void root_goes_on() { stopped_.erase(0); }
  /// How a node ended; none while it lives, or when it was killed.
  const std::optional<node_result>& node_end(std::size_t node) const { return ends_.at(node); }

 private:
  using process = std::size_t; // 0: the scheduler's; node i: i + 1
  static process process_of(std::size_t node) { return node + 1; }
  void spawn_root(bool resume);
  bool step();
  void own(process p, caf::actor_id from);
  process owner_of(const caf::resumable* job) const;
  std::shared_ptr<history::recorder> new_recorder(std::string name);

  options options_;
  struct testing_config;
  std::unique_ptr<testing_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* coordinator_ = nullptr;
  std::mt19937_64 random_;
  caf::actor_clock::time_point begun_;
  scheduler_impl_actor root_;
  bool root_lives_ = false;
  std::shared_ptr<run_journal> journal_;
  std::set<std::size_t> killed_;
  std::vector<node_impl_actor> nodes_;
  std::vector<std::optional<node_result>> ends_; // by node
  std::map<caf::actor_id, process> owners_;      // actors belong to the process that spawned them
  std::set<process> stopped_;
  std::optional<run_result> result_;
  std::vector<event> events_;
  std::vector<std::shared_ptr<history::memory_recorder>> recorders_; // in the order of their births
};

/// Empty when nothing is wrong and nothing is missing from the history; else what, with the events
/// that led to the first violation.
std::string complaints(const history::report& r);

/// The one right sum of an integer_sum job that trains on `samples` samples for `epochs`, in a mode
/// whose applied gradients are scaled by `scale`.
std::vector<float> expected_parameters(const job& j, std::size_t samples, float scale);

/// A job over integers: 4 workers, 3 shards, plain SGD with learning rate 1.
job integer_job(scheduler::consistency mode);

} // namespace troupe::actors
