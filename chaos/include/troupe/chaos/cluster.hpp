#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/assembly.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/scheduler.hpp"
#include "troupe/chaos/bad_links.hpp"
#include "troupe/chaos/simulated_disk.hpp"
#include "troupe/chaos/verdict.hpp"
#include "troupe/simulation.hpp"
#include "troupe/storage/run_journal.hpp"

namespace troupe::chaos {

struct cluster_options {
  job work;
  std::uint64_t seed = 1;
  struct node_share {
    std::uint32_t shards = 0; ///< replicas that it can hold
    std::uint32_t workers = 0;
  };
  std::vector<node_share> nodes; ///< one process each
  /// Virtual time that a batch takes, and up to so much more, drawn for each.
  sim_time batch_time = std::chrono::milliseconds(10);
  sim_time batch_jitter = std::chrono::milliseconds(2);
  /// The same by worker, without chance. Null: as the two above say.
  std::function<sim_time(scheduler::worker_id)> batch_time_of = nullptr;
  /// Where the journal lies; empty: in a folder of its own, in memory if the machine has such a
  /// file system, which goes with the cluster. (Checkpoints lie on the simulated disk.)
  std::filesystem::path folder = {};
  /// Gives who takes down what the actors of a process do; asked each time one is started. May be
  /// null, and may give null.
  std::function<std::shared_ptr<history::recorder>(const process&)> recorder = nullptr;
  std::function<void(const std::string&)> trace = nullptr; ///< see simulation_options
};

/// The production actors of a whole Troupe cluster on a `simulation`: a process for the scheduler,
/// its evaluator, archive and journal, and one for each node; and a launcher that starts nodes
/// again which end badly.
///
/// CLUSTER-1  The same options and faults give the same run (SIM-1).
/// CLUSTER-2  No actor of it knows that it is simulated. What stands in for the world is handed to
///            them where the program hands them the world: how to connect, whether a process has
///            ended, and a compute actor whose batches take virtual time.
///
/// The first node process joins at the beginning; what is lost on the data path of a bad link
/// (`drop`, `duplicate`, `reorder`) are the messages that production code sends again.
class cluster {
 public:
  explicit cluster(cluster_options o);
  ~cluster();

  /// Does that, now; its end is scheduled. What was done to whom stands in done(). Nothing when
  /// nobody matches.
  void apply(const fault& f);
  /// Each at its time.
  void schedule(const chaos::schedule& faults);

  /// Until the run has ended, or virtual time is `limit`. True if it ended.
  bool run(sim_time limit);
  /// The same, or until that holds.
  bool run_until(const std::function<bool()>& condition, sim_time limit);

  const std::optional<run_result>& result() const { return result_; }
  /// What the schedulers told, in order, with the time.
  struct timed_event {
    sim_time at;
    event what;
  };
  const std::vector<timed_event>& events() const { return events_; }
  /// The faults that had a target.
  const std::vector<done_fault>& done() const { return done_; }

  /// How often the run was stopped and resumed.
  std::uint32_t resumed() const { return resumed_; }

  simulation& sim() { return sim_; }
  std::uint64_t fingerprint() { return sim_.fingerprint(); }
  /// Its status as the scheduler would tell it, in JSON; none while it does not live.
  std::optional<std::string> status() const;

  process& scheduler_process() { return *scheduler_; }
  /// Of the scheduler's machine; nodes write nothing.
  simulated_disk& disk() { return *disk_; }
  std::size_t node_count() const { return nodes_.size(); }
  process& node_process(std::size_t node) { return *nodes_.at(node).where; }
  /// One process more.
  std::size_t add_node(cluster_options::node_share share);
  /// How its actor ended the last time that it ended by itself; none while it never has.
  const std::optional<node_result>& node_end(std::size_t node) const { return nodes_.at(node).end; }

  /// SIGKILL, as `apply` does it to a target; the process stays away until it is started again.
  void kill(process& p) { end(p, false, {}); }
  /// Nothing while it is alive, or when the run has ended.
  void start_again(process& p);

  /// Actors of their processes, to send to from outside; null while there is none.
  const actors::scheduler_impl_actor& root() const { return root_; }
  const actors::node_impl_actor& node_root(std::size_t node) const { return nodes_.at(node).actor; }

 private:
  struct node {
    cluster_options::node_share share;
    process* where = nullptr;
    actors::node_impl_actor actor;
    std::uint16_t port = 0;
    std::uint32_t failures = 0;  // in a row
    sim_time back_after_drain{}; // 0: nobody takes its place
    bool asked_to_end = false;
    std::optional<node_result> end;
  };

  enum class beginning { fresh, journal, checkpoint };
  void start_scheduler(beginning from);
  void on_end(run_result r);
  void resume();
  bool all_checkpoints_damaged(const run_result& r) const;
  bool goes_on_after(const run_result& r) const;
  void start_node(std::size_t i);
  void try_to_join(std::size_t i, std::uint32_t incarnation, sim_time until);
  void spawn_node(std::size_t i, actors::scheduler_actor root);
  void on_node_end(std::size_t i, std::uint32_t incarnation, const node_result& r);
  node* node_at(const actors::contact& at);
  std::vector<scheduler::shard_view> views() const;
  std::vector<process*> targets_of(const fault& f);
  void end(process& p, bool power, sim_time back_after);
  void set_links();
  void damage_disk(const fault& f);
  void drain(process& p, sim_time back_after);
  void stop(const std::vector<process*>& who, sim_time back_after);
  std::optional<scheduler::node_id> id_of(const node& n) const;
  void remember_journal();

  cluster_options options_;
  std::filesystem::path folder_;
  bool own_folder_ = false;
  simulation sim_;
  actors::assembly assembly_;

  std::shared_ptr<simulated_disk> disk_;
  std::map<disk_fault, sim_time> disk_faults_until_;
  process* scheduler_ = nullptr;
  actors::scheduler_impl_actor root_;
  std::shared_ptr<std::function<actors::status_report()>> status_; // of root_
  std::shared_ptr<storage::run_journal> journal_;
  storage::run_journal::content last_journal_; // of a scheduler that died
  std::vector<node> nodes_;
  std::uint16_t next_port_ = 1;
  bool started_ = false; // training has begun once
  bad_links bad_links_;
  std::map<process*, sim_time> paused_until_;
  std::optional<sim_time> resume_after_; // the run is being stopped, and goes on so much later
  std::uint32_t resumed_ = 0;
  bool give_up_checkpoints_ = false; // when it is resumed
  std::string checkpoints_folder_;
  std::optional<run_result> result_;
  std::vector<timed_event> events_;
  std::vector<done_fault> done_;
};

/// A job over integers with plain SGD at learning rate 1, so that there is one right result
/// whatever happens: 4 workers, 3 shards with 2 replicas, 60 batches.
job integer_job(scheduler::consistency mode);

} // namespace troupe::chaos
