#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/checkpoint_schedule.hpp"
#include "troupe/scheduler/cluster_status.hpp"
#include "troupe/scheduler/failure_budget.hpp"
#include "troupe/scheduler/lease_desk.hpp"
#include "troupe/scheduler/membership.hpp"
#include "troupe/scheduler/orders.hpp"
#include "troupe/scheduler/progress.hpp"
#include "troupe/scheduler/reachability.hpp"
#include "troupe/scheduler/replica_table.hpp"
#include "troupe/scheduler/run_phase.hpp"
#include "troupe/scheduler/stall_watch.hpp"
#include "troupe/values/consistency.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

struct coordinator_options {
  batch_plan plan{{1, 1, 0}};
  consistency mode;
  std::uint32_t shards = 1;
  std::uint32_t replicas = 1; ///< of each shard
  std::uint32_t workers = 1;
  bool resume = false; ///< begin from the newest checkpoint
  checkpoint_schedule::options checkpoints = {};
  lease_desk::options leases = {};
  membership::options nodes = {};
  restart_intensity::options failures = {10, std::chrono::minutes(1)}; ///< of roles and nodes
  std::chrono::steady_clock::duration gather_timeout = std::chrono::minutes(10);
  /// How long a run that went back waits for enough nodes for all roles, before it begins with
  /// fewer.
  std::chrono::steady_clock::duration regather_patience = std::chrono::seconds(3);
  stall_watch::options stall = {};
  std::chrono::steady_clock::duration reconcile_patience = std::chrono::seconds(5);
};

/// The state that a restarted scheduler reads from the journal.
struct known_run {
  std::uint32_t next_node = 0;
  std::uint32_t next_worker = 0;
  std::vector<node_offer> nodes = {};
  std::vector<shard_view> views; ///< by shard; empty: nothing was ever placed
  std::uint32_t evaluated_epochs = 0;
  job_progress::content progress;
  std::uint32_t restarts = 0; ///< this one included
};

/// A node that was a member before, with the roles and leases that it reports.
struct returning_node {
  node_offer offer;
  std::vector<shard_id> replicas;
  std::vector<held_leases> leases;
};

/// The decisions of the root: which node holds which role in which view, which worker computes
/// which batch, when a checkpoint is taken, when the run goes back to a checkpoint, and when it is
/// over. The coordinator takes events and the time and returns orders. It sends nothing and keeps
/// no handle.
///
///     gathering --offers suffice--> placing --all placed--> training --last evaluated--> ended
///      |  ^                            |                     |  |  \--stop--> stopping --^
///      |  |                            |                     |  |
///      |  +------- a node is lost -----+                     |  +- killed, started again:
///      |  +------- all replicas of a shard are lost ---------+     reconciling -> training
///      +---- timeout, NaN loss, failures too often: failed --------------------------------^
///
/// The promises of its parts: SCHED-1..5 (lease_desk), SCHED-6, 7 and 9 (membership).
///
/// SCHED-8  A view is in the journal before it is sent to any node, so no view number is given
///          twice, whatever process dies. The one exception is a view whose replicas wait for the
///          images of a checkpoint: it is sent first. Until the images have arrived, the journal
///          names no replica, and a scheduler that is started again goes back to the checkpoint
///          once more.
/// SCHED-10 If all replicas of a shard are lost, all shards go back to the newest sound checkpoint
///          (or to the start, if there is none), with new workers. Exactly the batches that not
///          every restored shard has are leased again.
/// SCHED-11 A restarted scheduler leases nothing before it has the applied set of every shard and
///          the leases of every worker.
/// SCHED-12 Messages under way over a connection that broke count as lost. A node that comes back
///          over another connection reports its roles and leases, and gets again whatever it lacks.
/// SCHED-13 The result is handed over before any node is stopped. Until then a restarted scheduler
///          finds the nodes with all their state.
/// SCHED-14 A run that was stopped ends with the parameters and a checkpoint of every batch that was
///          completed, if every shard lives. If all replicas of a shard are lost meanwhile, or the
///          run was not training, it ends without them: the newest checkpoint stays what it was.
/// SCHED-15 A node that was asked to end is relieved first, like a drained node. If its roles have no
///          other place, it ends after a checkpoint that was begun after it asked. If the run stops
///          meanwhile, the node ends with the run.
/// SCHED-16 If two nodes cannot connect to each other (REACH-1) and need each other, because both
///          hold replicas of a shard, or because a worker of one needs a primary on the other, one
///          of them is lost: the one that fewer nodes can reach, then the one that leads no shard,
///          then the later one. It joins again, and gets no role that needs a node from which it is
///          apart. A node without which a shard had no replica, or the run no worker, stays.
/// SCHED-17 A node that cannot make the workload of the run, or has another one, is lost. The run goes
///          on, or waits, without it.
///
/// Each call appends to the orders; `take_orders` hands them over. An answer to an order of an
/// earlier generation (from before the run went back) has no effect. If a call throws, the orders
/// that it had given until then remain, and must still be carried out. Not thread-safe.
class coordinator {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  coordinator(coordinator_options o, time_point now);
  coordinator(const coordinator&) = delete; // its parts refer to each other
  coordinator& operator=(const coordinator&) = delete;

  order_list take_orders() { return std::exchange(orders_, {}); }
  /// The same. The memory of `into` is used again for later orders; its contents are dropped.
  void take_orders(order_list& into) {
    into.clear();
    orders_.swap(into);
  }

  // -- the run ------------------------------------------------------------------------------------

  /// The run is new, or begins from a checkpoint, or its earlier scheduler was killed before it had
  /// placed anything. Nodes join anew; only the ids that were given must not be given twice. If any
  /// were given, the run begins from its newest checkpoint, if it has one.
  void begin_again(const known_run& known);
  /// The earlier scheduler was killed; `known` is the state in its journal.
  void take_up(const known_run& known, time_point now);
  /// Begins the run: orders a look for checkpoints. Comes after begin_again or take_up, if either
  /// is called.
  void begin();
  /// Call this about twice a second.
  void tick(time_point now);
  void stop(time_point now);
  void stop_timeout(time_point now);
  void fail(const std::string& reason);
  /// An order could not be carried out, and the orders after it were dropped. The run fails, even
  /// if one of those orders was to end it.
  void break_off(const std::string& reason);

  // -- nodes --------------------------------------------------------------------------------------

  /// `at`: where other nodes reach it; empty in a run of one process.
  node_id node_joined(std::uint32_t shards, std::uint32_t workers, time_point now,
                      std::string at = {});
  /// A node comes back over another connection. Returns none if the node is a member as before,
  /// else the reason why it is not.
  std::optional<std::string> node_returned(const returning_node& node, time_point now);
  membership::heartbeat_answer heard(node_id node, time_point now) {
    return members_.heard(node, now);
  }
  /// Looks for silent nodes and for nodes that may leave. Call this every `nodes.look`.
  void look(time_point now);
  /// Whether connection_closed needs to know if the process has ended.
  bool asks_whether_ended(node_id node, time_point now) const;
  void connection_closed(node_id node, bool process_ended, const std::string& why, time_point now);
  void still_suspected(node_id node, std::uint64_t connection, time_point now);
  /// A node has not the workload of the run. SCHED-17
  void unfit(node_id node, const std::string& why, time_point now);
  /// A node cannot connect to the member at this address. SCHED-16
  void cannot_reach(node_id from, const std::string& at, const std::string& why, time_point now);
  /// It could not, and now it has.
  void reaches(node_id from, const std::string& at, time_point now);
  /// An actor met an error from which it cannot recover. `from` is the node that reported it, if a
  /// node did.
  void actor_failed(std::optional<node_id> from, const std::string& reason, time_point now);
  void role_failed(const failed_role& f, time_point now);
  /// Returns none if the node is being drained, else the reason why it cannot be.
  std::optional<std::string> drain(node_id node, time_point now);
  /// The process of the node was asked to end. SCHED-15
  void leave_asked(node_id node, time_point now);

  // -- roles --------------------------------------------------------------------------------------

  void try_place(time_point now);
  /// `count` of the requested replicas exist. Returns false for an order of an earlier generation.
  bool replicas_placed(const orders::place_replicas& asked, std::size_t count);
  bool workers_placed(const orders::place_workers& asked, std::size_t count, time_point now);
  /// `unreachable`: the node could not be reached, so it did not refuse.
  void could_not_place(node_id node, std::uint64_t generation, bool unreachable,
                       const std::string& why, time_point now);
  bool learner_placed(const orders::place_learner& asked, std::size_t count);
  void learner_not_placed(const orders::place_learner& asked, const std::string& why,
                          time_point now);
  bool workers_added(const orders::add_workers& asked, std::size_t count, time_point now);
  void workers_not_added(const orders::add_workers& asked, const std::string& why, time_point now);
  void roles_cleared(const orders::clear_roles& asked, time_point now);
  /// `why`: none if the node could not be reached.
  void roles_not_cleared(const orders::clear_roles& asked, const std::optional<std::string>& why,
                         time_point now);
  void caught_up(shard_id shard, view_number view, node_id learner, time_point now);
  void diverged(shard_id shard, view_number view, node_id node, time_point now);

  // -- batches and epochs -------------------------------------------------------------------------

  void batch_done(const batch_report& d, time_point now);
  void clock_entered(const orders::enter_clock& asked, clock_value clock, time_point now);
  void clock_not_entered(const orders::enter_clock& asked);
  /// The evaluator has evaluated an epoch. Returns the reports that are needed before
  /// `epoch_reported`; none if the epoch does not count.
  std::optional<orders::ask_reports> epoch_evaluated() const;
  void epoch_reported(std::uint64_t generation, std::uint32_t epoch, time_point now);
  void progress_reported(std::uint64_t generation, time_point now);
  /// The evaluator has the present parameters.
  void snapshot_taken(time_point now);

  // -- checkpoints --------------------------------------------------------------------------------

  struct checkpoint_answer {
    std::uint64_t generation = 0;
    std::uint64_t next_number = 1;
    std::optional<loaded_checkpoint> found = {};
    std::vector<std::string> refused; ///< one line for each newer set that is not sound
    bool damaged = false;             ///< one of them was complete once
    std::string error;                ///< why the run cannot go on from them
  };
  void checkpoint_loaded(const checkpoint_answer& a, time_point now);
  void images_sent(std::uint64_t generation);
  void images_arrived(std::uint64_t number, time_point now);
  /// `error`: if not empty, the checkpoint was not written.
  void checkpoint_ended(const checkpoint_schedule::finished& f, const std::string& error,
                        time_point now);

  // -- after a restart ----------------------------------------------------------------------------

  /// The nodes that have not come back and are still waited for.
  std::vector<node_id> awaited(time_point now) const;
  /// `process_ended`: the awaited nodes whose process has ended.
  void reconcile_look(const std::set<node_id>& process_ended, time_point now);
  void applied_reported(const orders::ask_applied& asked, const applied_set& applied,
                        time_point now);
  /// The primary did not answer and has to be asked once more.
  void applied_unknown(const orders::ask_applied& asked);

  // -- questions ----------------------------------------------------------------------------------

  bool over() const { return is<phases::ended>(); }
  const membership& members() const noexcept { return members_; }
  const replica_table& replicas() const noexcept { return replicas_; }
  const lease_desk& desk() const noexcept { return desk_; }
  const job_progress& progress() const noexcept { return progress_; }
  std::uint32_t restarts() const noexcept { return restarts_; }
  cluster_status status(time_point now) const;

 private:
  template <class Phase>
  bool is() const {
    return std::holds_alternative<Phase>(phase_);
  }
  template <class Phase>
  Phase* as() {
    return std::get_if<Phase>(&phase_);
  }
  template <class Phase>
  const Phase* as() const {
    return std::get_if<Phase>(&phase_);
  }
  template <class Order>
  void issue(Order o) {
    orders_.push_back(std::move(o));
  }
  void notify(notice_kind kind, std::string text);
  leasing stance() const;
  std::string counted_roles() const;

  // coordinator.cpp
  void follow_ended_leases(time_point now);
  void go_on_stopping(time_point now);
  void end_interrupted(bool with_parameters);
  void checkpoint_if_due(time_point now);
  void begin_checkpoint(time_point now);
  void open_checkpoint(std::uint64_t step, time_point now);
  void finish();
  void end(orders::hand_over_result result, const std::string& reason_for_nodes);

  // coordinator_members.cpp
  void lose(node_id id, const std::string& why, time_point now);
  void lose_worker(worker_id id);
  bool too_many_failures(const std::string& reason, time_point now);
  void install(const std::vector<shard_id>& changed, std::optional<node_id> only = std::nullopt);
  void repair();
  bool remove_replica(shard_id shard, node_id node);
  std::vector<shard_id> remove_replicas(node_id node);
  void drain_on(time_point now);
  void relieve(node_id node, time_point now);
  void relieve_all_that_asked(time_point now);
  void let_go(std::uint64_t checkpoint, bool whole);
  void take_up_again(const returning_node& node, time_point now);

  // coordinator_reach.cpp
  std::optional<node_id> member_at(const std::string& at) const;
  bool need_each_other(node_id a, node_id b) const;
  bool needs_shards_of(node_id with_workers, node_id with_shards) const;
  bool irreplaceable(node_id node) const;
  std::optional<node_id> which_gives_way(node_id a, node_id b) const;
  void separate(time_point now);
  void keep_all_but_leaving();
  std::vector<node_offer> offers_for_replicas() const;
  bool may_run_workers(node_id node) const;
  std::string who_cannot_reach_whom(const reachability::gap& gap) const;
  std::string who_cannot_reach_whom() const;

  // coordinator_placing.cpp
  void place_all(const placement& p);
  void replicas_ready();
  void place_workers_on_nodes();
  void begin_training(time_point now);
  void start_evaluator();
  void add_workers(node_id node, std::uint32_t count);
  void restaff();
  void go_back(const std::string& why, time_point now);
  void cleared(node_id id, time_point now);
  bool goes_back() const;

  // coordinator_status.cpp
  void look_for_stall(time_point now);
  void moved();
  std::string waits_for() const;
  std::string what_waits() const;
  std::string training_waits_for() const;

  // coordinator_restart.cpp
  void reconcile_if_complete(time_point now);
  void finish_reconciling(const applied_set& completed, time_point now);
  void count_done_meanwhile(time_point now);

  coordinator_options options_;
  order_list orders_;
  run_phase phase_;
  std::uint64_t generation_ = 0; ///< how often the run went back
  time_point begun_;             // the run, or its present generation
  std::uint32_t restarts_ = 0;
  std::uint32_t next_worker_;
  stall_watch stall_;
  membership members_;
  failure_budget failures_;
  reachability gaps_;
  std::optional<node_id> gives_way_; // once its read lease has run out
  replica_table replicas_;
  lease_desk desk_;
  job_progress progress_;
  checkpoint_schedule checkpoints_;
  std::vector<batch_report> done_meanwhile_; // while reconciling, or with a mutant
  double last_loss_ = 0;
};

} // namespace troupe::scheduler
