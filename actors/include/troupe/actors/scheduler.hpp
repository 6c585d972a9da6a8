#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/archive.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/events.hpp"
#include "troupe/job.hpp"
#include "troupe/jobs/workload_identity.hpp"
#include "troupe/recorder.hpp"
#include "troupe/runtime.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/scheduler/coordinator.hpp"
#include "troupe/scheduler/orders.hpp"
#include "troupe/scheduler/phi_accrual.hpp"
#include "troupe/storage/run_journal.hpp"
#include "troupe/values/restart_policy.hpp"

namespace troupe::actors {

using storage::journal_error;
using storage::run_journal;

struct scheduler_actor_options {
  job work;
  std::string job_id;
  jobs::workload_identity workload; ///< that every node must have
  scheduler::batch_plan plan{{1, 1, 0}};
  /// Spawns the evaluator once the primaries are known.
  std::function<evaluator_actor(address_book)> spawn_evaluator;
  /// Spawns the archive. Null: there are no checkpoints, and a run that loses a shard begins again.
  std::function<archive_impl_actor(archive_client_actor)> spawn_archive;
  /// Whether the process at an address is known to have ended. Null: none is.
  std::function<bool(const contact&)> has_ended;
  /// Called from the actor, not to block, when a node has joined or come back. May be null.
  std::function<void(const contact&, const node_actor&)> on_member;
  std::shared_ptr<run_journal> journal;        ///< may be null; what it holds already is taken up
  bool resume = false;                         ///< begin from the newest checkpoint
  std::shared_ptr<history::recorder> recorder; ///< of this process; may be null
  std::function<void(const event&)> emit;      ///< called from the actor, in order
  /// Called once, before any node is told that the run is over; may be null.
  std::function<void(const run_result&)> on_result;
  std::function<void(run_result)> on_end; ///< called once, when the nodes have been told to stop
  /// Reads the actor's status without a message; empty before it begins and after it has ended. To
  /// be called by the thread that runs the actor alone, while the actor takes no message: in a
  /// simulation. May be null.
  std::shared_ptr<std::function<status_report()>> status = nullptr;
  std::size_t lease_ahead = 4; ///< leases that a worker holds
  caf::timespan lease_timeout = std::chrono::minutes(2);
  caf::timespan gather_timeout = std::chrono::minutes(10);
  caf::timespan regather_patience = std::chrono::seconds(3); ///< for all roles, before some will do
  caf::timespan reconcile_patience = std::chrono::seconds(5);
  caf::timespan straggler_after = std::chrono::seconds(1); ///< without news of its worker
  caf::timespan tick = std::chrono::milliseconds(500);
  scheduler::phi_accrual::options detector = {};       ///< of every node
  caf::timespan look = std::chrono::milliseconds(100); ///< at who is silent
  scheduler::restart_intensity::options failures = {10, std::chrono::minutes(1)}; ///< of roles
};

/// Internal messages of the scheduler.
struct try_place {};
struct scheduler_tick {};
/// A stopped run has waited for its last batches, or an ended one for its nodes, long enough.
struct end_timeout {};
struct look_for_silence {};
struct reconcile_timeout {};
/// From a thread of the program: a line for the operator.
struct operator_warning {
  std::string line;
};
struct still_suspected {
  node_id node;
  std::uint64_t connection;
};
struct ask_applied_again {
  scheduler::orders::ask_applied what;
};
using scheduler_impl_actor =
    scheduler_actor::extend<caf::reacts_to<try_place>, caf::reacts_to<scheduler_tick>,
                            caf::reacts_to<end_timeout>, caf::reacts_to<look_for_silence>,
                            caf::reacts_to<reconcile_timeout>, caf::reacts_to<still_suspected>,
                            caf::reacts_to<operator_warning>, caf::reacts_to<ask_applied_again>,
                            caf::reacts_to<checkpoint_loaded>, caf::reacts_to<images_sent>,
                            caf::reacts_to<images_arrived>, caf::reacts_to<checkpoint_ended>>;

/// The root: takes nodes in, places replicas and workers, decides views, leases batches, takes
/// checkpoints, ends the run. scheduler::coordinator makes the decisions; it has the promises
/// SCHED-1 to SCHED-15 and the phases of a run. This actor makes events of messages and carries out
/// the coordinator's orders at the end of each handler. It keeps what the coordinator has no part
/// of: handles, addresses, the journal, the archive, the evaluator.
///
///     message           answer
///     hello             welcome, or errc::protocol_mismatch, job_mismatch, not_a_member
///     batch_done        - (a worker); its next lease
///     epoch_evaluated   - (the evaluator)
///     caught_up         - (a tail); the learner joins the chain
///     diverged          - (a replica); the one after it is replaced
///     role_failed       - (a node); the role is placed anew
///     actor_failed      -; the node is lost; before training, the run fails
///     heartbeat         heartbeat_seen, or declared_lost (both messages of their own)
///     stop_training     -; ends the run and keeps the parameters reached
///     status_request    status_report
///     node_unfit        -; the node is lost, with the reason
///     reach_report      -; of two nodes that cannot connect, one may have to give way (SCHED-16)
///     leave_request     -; the node is stopped once nothing depends on it (SCHED-15)
///     drain_request     drain_accepted, or errc::not_a_member, cannot_place
///
/// The scheduler is not on the data path: while it is away, workers go on with their leases.
struct scheduler_state {
  using self_pointer = scheduler_impl_actor::stateful_pointer<scheduler_state>;
  explicit scheduler_state(self_pointer self) : self(self) {}
  ~scheduler_state();

  void start(scheduler_actor_options o);
  caf::result<welcome> on_hello(const hello& h);
  void on_try_place();
  void on_batch_done(const batch_done& d);
  void on_epoch_evaluated(const epoch_evaluated& e);
  void on_stop();
  void on_tick();
  void on_end_timeout();
  void on_heartbeat(const heartbeat& h);
  void on_look();
  void on_actor_failed(const actor_failed& f);
  void on_role_failed(const role_failed& f);
  void on_caught_up(const caught_up& c);
  void on_diverged(const diverged& d);
  void on_still_suspected(const still_suspected& s);
  void on_operator_warning(const operator_warning& w) {
    notice(notice_event::kind::warning, w.line);
  }
  void on_reconcile_timeout();
  void on_ask_applied_again(const ask_applied_again& a);
  void on_checkpoint_loaded(const checkpoint_loaded& l);
  void on_images_sent(const images_sent& s);
  void on_images_arrived(const images_arrived& a);
  void on_checkpoint_ended(const checkpoint_ended& e);
  status_report status() const;
  void on_leave(const leave_request& l);
  void on_reach_report(const reach_report& r);
  void on_unfit(const node_unfit& u);
  caf::result<drain_accepted> on_drain(const drain_request& d);

  static inline const char* name = "troupe.scheduler";

  self_pointer self;

 private:
  using time_point = caf::actor_clock::time_point;
  using replica_key = std::pair<shard_id, node_id>;
  struct member {
    node_actor actor; ///< null: known from the journal, has not come back yet
    contact at;
  };

  time_point now() const { return self->clock().now(); }
  void begin_from_journal();
  /// Returns none if the node is a member as before, else the reason why it is not.
  std::optional<std::string> take_back(const hello& h);
  void on_down(const caf::down_msg& d);
  void fail(const std::string& reason);
  void end_without_goodbyes();

  // scheduler_orders.cpp
  struct executor; // has a function for each order
  /// Carries out all orders given so far. After an exception the other orders are dropped.
  void carry_out_orders();
  shard_actor replica(const scheduler::primary_replica& of) const;
  /// Asks for all reports; when they are there, or will not come, calls `then` and carries out the
  /// orders.
  void with_reports(const scheduler::orders::ask_reports& o, std::function<void()> then);
  scheduler::staleness_histogram staleness() const;
  /// Then carries out the orders.
  void keep(const std::vector<worker_id>& ids, const workers_placed& placed);
  run_result result_of(const scheduler::orders::hand_over_result& o) const;
  void hand_over(run_result result);
  void leave();
  void notice(notice_event::kind kind, std::string text);
  /// Writes to the journal, if there is one. The user hears once that it cannot be written; the run
  /// goes on, but could not be taken up after the scheduler's death.
  void save(const std::function<void(run_journal&)>& what);
  /// For the history.
  void record(const history::event& e) const {
    if (options_.recorder) options_.recorder->record(e);
  }
  void record_job() const;

  scheduler_actor_options options_;
  std::optional<scheduler::coordinator> decisions_;
  scheduler::order_list orders_;    // being carried out
  std::map<node_id, member> nodes_; // members
  std::map<node_id, caf::actor_addr> lost_;
  std::map<replica_key, shard_actor> replicas_;         // those that the decisions know
  std::unordered_map<worker_id, worker_actor> workers_; // likewise, a thousand or more
  evaluator_actor evaluator_;
  archive_impl_actor archive_;
  std::map<shard_id, shard_report> reports_; // the last of each
  epoch_evaluated last_;
  bool handed_over_ = false;         // the result
  std::optional<run_result> ending_; // waits for the nodes' goodbyes
  bool journal_error_told_ = false;
};

scheduler_impl_actor::behavior_type scheduler_root(scheduler_state::self_pointer self,
                                                   scheduler_actor_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::try_place)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::scheduler_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::end_timeout)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::look_for_silence)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::reconcile_timeout)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::still_suspected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::operator_warning)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ask_applied_again)
