#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster_stage.hpp"
#include "troupe/checker.hpp"

namespace troupe::chaos {

/// The recorders of all processes that ever lived in a cluster. A base, so that they are there
/// before the cluster and longer than it.
class process_recorders {
 protected:
  /// The same options, with these recorders.
  cluster_options recorded(cluster_options o);

  std::vector<std::shared_ptr<history::memory_recorder>> recorders_; // in the order of births
  std::function<sim_time()> clock_ = nullptr;
};

/// Longer than any run that ends.
inline constexpr sim_time ever = std::chrono::hours(10);

/// A cluster whose history is checked, with the faults that tests do to its processes by number.
class recorded_cluster : private process_recorders, public cluster {
 public:
  explicit recorded_cluster(cluster_options o);

  std::vector<history::process_history> histories() const;
  /// CHECK-1 to CHECK-13.
  history::report check() const;

  using cluster::run_until;
  bool run_until(const std::function<bool()>& condition) { return run_until(condition, ever); }
  void run_steps(std::uint64_t count);
  sim_time now() { return sim().now(); }

  using cluster::kill;
  void kill(std::size_t node) { kill(node_process(node)); }
  /// SIGSTOP and SIGCONT.
  void stop(std::size_t node) { sim().pause(node_process(node)); }
  void go_on(std::size_t node) { sim().resume(node_process(node)); }
  void kill_scheduler() { kill(scheduler_process()); }
  void restart_scheduler() { start_again(scheduler_process()); }
  void stop_scheduler() { sim().pause(scheduler_process()); }
  void scheduler_goes_on() { sim().resume(scheduler_process()); }
};

/// 96 batches in 3 epochs, and no checkpoints.
job longer_job(scheduler::consistency mode, std::uint32_t replicas = 1);

/// Batches take 10 ms, or as long as `batch_time_of` says.
cluster_options options_for(job work, std::uint64_t seed,
                            std::vector<cluster_options::node_share> nodes,
                            std::function<sim_time(scheduler::worker_id)> batch_time_of = nullptr);

/// The events of one type, in order.
template <class Event>
std::vector<Event> all(const cluster& c) {
  std::vector<Event> result;
  for (const auto& e : c.events())
    if (const auto* x = std::get_if<Event>(&e.what)) result.push_back(*x);
  return result;
}

/// The texts of one kind of notice.
std::vector<std::string> notices(const cluster& c, notice_event::kind kind);

/// Empty when nothing is wrong and nothing is missing from the history; else what, with the events
/// that led to the first violation.
std::string complaints(const history::report& r);

/// The result is the exact sum, and the history without fault.
void check_exact_and_history(const recorded_cluster& c, const job& j);

} // namespace troupe::chaos
