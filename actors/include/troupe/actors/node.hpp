#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "troupe/actors/assembly.hpp"
#include "troupe/actors/compute.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/read_lease.hpp"
#include "troupe/actors/shard.hpp"
#include "troupe/job.hpp"
#include "troupe/runtime.hpp"
#include "troupe/scheduler/node_membership.hpp"
#include "troupe/scheduler/peer_directory.hpp"
#include "troupe/supervisor.hpp"
#include "troupe/workload.hpp"

namespace troupe::actors {

struct node_actor_options {
  scheduler_actor scheduler;
  std::string job_id;        ///< empty: any job
  std::uint32_t shards = 0;  ///< number of replicas that the node offers to hold
  std::uint32_t workers = 0; ///< number of workers that the node offers to run
  /// Makes the workload of a job. If it throws, the node fails with the reason.
  std::function<workload(const job&)> make_workload;
  /// Reaches the node at a contact; may block for a bounded time. Null: all roles are in this
  /// process.
  std::function<caf::expected<node_actor>(const contact&)> connect;
  /// Reaches the scheduler again; may block for a moment. Null: the node ends with its scheduler.
  std::function<caf::expected<scheduler_actor>()> reconnect;
  caf::timespan scheduler_patience = std::chrono::seconds(60); ///< to come back
  /// From the request to end until the node asks its scheduler to relieve it: if the whole cluster
  /// is asked to end, the scheduler knows by then.
  caf::timespan leave_pause = std::chrono::milliseconds(500);
  /// From the request to end until the node ends, whatever depends on it. Systems that stop a
  /// process kill it after 30 s or more.
  caf::timespan leave_patience = std::chrono::seconds(25);
  /// Spawns what computes a worker's gradients. Null: cpu_compute on a thread of its own.
  std::function<compute_actor(caf::actor_system&, worker_id, cpu_compute_options)> spawn_compute;
  std::shared_ptr<history::recorder> recorder; ///< of this process; may be null
  std::function<void(node_result)> on_end;     ///< called once
};

/// Internal: say hello to the scheduler, giving `at` as where other nodes reach this one.
struct begin_node {
  contact at;
};
/// Internal: a supervisor's event, and the actor that a factory made.
struct child_event {
  supervisor_event event;
};
struct compute_started {
  worker_id worker;
  compute_actor compute;
};
/// Internal: try again to reach the scheduler, or a replica of this view.
struct try_scheduler {};
struct resolve_again {
  shard_id shard;
};
/// Internal, from the program: the process was asked to end (NODE-8).
struct end_asked {};
/// Internal: it has gone on long enough for the rest of the cluster to be asked the same, or to the
/// end of its patience.
struct ask_to_leave {};
struct leave_now {};
/// Internal, from the pulse: the scheduler declared this node lost.
struct was_lost {
  std::string reason;
};

/// Internal: connect to the node at a contact. The answer holds the node, or why there is none.
struct dial {
  contact at;
};
struct dialed {
  node_actor node;
  std::string why;
};
/// Connects for one node, which so goes on meanwhile: to wait for a host that does not answer takes a
/// second.
using dialer_actor = caf::typed_actor<caf::replies_to<dial>::with<dialed>>;

using node_impl_actor = node_actor::extend<
    caf::reacts_to<begin_node>, caf::reacts_to<child_event>, caf::reacts_to<compute_started>,
    caf::reacts_to<try_scheduler>, caf::reacts_to<resolve_again>, caf::reacts_to<was_lost>,
    caf::reacts_to<end_asked>, caf::reacts_to<ask_to_leave>, caf::reacts_to<leave_now>>;

/// One process's part in a job: holds replicas and runs workers as the scheduler places them. Two
/// values decide what follows from an event: scheduler::node_membership (NODE-3, NODE-4, NODE-8) and
/// scheduler::peer_directory (NODE-5, NODE-6, NODE-7). The actor passes events to them and carries
/// out their answers.
///
///     message         answer
///     begin_node      sends hello to the scheduler
///     place_replicas  replicas_placed, or errc::cannot_place
///     place_workers   workers_placed, once the primaries are known; or errc::cannot_place
///     install_view    -; its replica and workers learn their part in the view
///     drop_replica    -
///     clear_roles     roles_cleared, once all replicas and workers have ended
///     greet           -; the nodes know each other
///     find_replica    replica_found, or errc::protocol_mismatch, job_mismatch, no_such_shard
///     stop_node       -; ends the children and itself
///     actor_failed    - (from a child); the node fails
///     end_asked       -; asks its scheduler to relieve it (NODE-8)
///
/// NODE-1  Replicas, workers and compute actors are children of one supervisor. A compute actor
///         that fails is started again on this node, and its worker's batch is computed again. A
///         replica or a worker that fails is not started again, because its state is lost: the
///         scheduler is informed and places another.
/// NODE-2  When compute actors fail more often than the supervisor's intensity, the node fails with
///         the first cause, and the scheduler places its roles elsewhere.
///
/// The node loads data, and looks for its scheduler, in its handlers and holds its thread meanwhile.
/// If the node dies, its children die with it. Its heartbeat is an actor of its own (`pulse`).
struct node_state {
  using self_pointer = node_impl_actor::stateful_pointer<node_state>;
  explicit node_state(self_pointer self) : self(self) {}

  void start(node_actor_options o);
  void on_begin(const begin_node& b);
  caf::result<replicas_placed> on_place_replicas(const place_replicas& p);
  caf::result<workers_placed> on_place_workers(const place_workers& p);
  void on_install_view(const install_view& v);
  void on_drop_replica(const drop_replica& d);
  caf::result<roles_cleared> on_clear_roles();
  caf::result<replica_found> on_find_replica(const find_replica& f);
  void on_greet(const greet& g);
  void on_child_event(const supervisor_event& e);
  void on_compute_started(const compute_started& c);
  void on_try_scheduler();
  void on_was_lost();
  void on_end_asked();
  void on_ask_to_leave();
  void on_resolve_again(shard_id id);
  void fail(const std::string& reason);
  void end(node_result::status outcome, std::string error);

  static inline const char* name = "troupe.node";

  self_pointer self;
  node_actor_options options;

 private:
  using membership = scheduler::node_membership;
  using directory = scheduler::peer_directory<node_actor, shard_actor>;

  struct loaded_job {
    std::string id;
    assembly roles;
  };
  struct held_replica_of_shard {
    shard_actor actor;
    std::shared_ptr<shard_slot> slot;
    std::string child; ///< its id below the supervisor: an earlier one may still be ending
  };
  struct held_worker {
    worker_actor actor;
    compute_actor compute;
  };
  struct ready_worker { // to start as soon as the primaries are known
    worker_id id;
    compute_actor compute;
    std::function<void(caf::error)> then;
  };
  struct waiting_search {
    find_replica what;
    caf::typed_response_promise<replica_found> promise;
  };
  struct waiting_workers {
    std::vector<worker_id> ids;
    caf::typed_response_promise<workers_placed> promise;
  };

  void on_down(const caf::down_msg& d);
  void on_exit(const caf::exit_msg& e);
  // node_membership.cpp
  node_id own_id() const { return membership_.id().value_or(no_node); }
  void carry_out(membership::order order, const std::string& why);
  void say_hello(node_id known_as, std::vector<leases_held> leases);
  void on_hello_failed(bool as_member, const caf::error& err);
  void on_welcome(const welcome& w);
  loaded_job load(const welcome& w) const;
  void refuse_job(std::string why);
  void greet_again();
  void join_again();
  void start_pulse();
  void start_supervisor();
  void clear_roles_then(std::function<void()> then);
  // node_roles.cpp
  void spawn_replica(shard_id id, const place_replicas& p, std::function<void(caf::error)> then);
  void spawn_worker(worker_id id, std::function<void(caf::error)> then);
  void start_worker(worker_id id, compute_actor compute, std::function<void(caf::error)> then);
  void spawn_waiting_workers();
  void stop(const std::string& child);
  // node_peers.cpp
  shard_actor own_replica(shard_id shard) const;
  caf::expected<replica_found> replica_of(shard_id shard) const;
  void answer_searches(shard_id shard);
  bool primaries_known() const;
  std::optional<shard_moved> primary_of(shard_id shard) const;
  void resolve(shard_id id);
  void resolve_later(shard_id id);
  void look_up(const directory::search& s);
  node_actor reach(node_id id);
  void dial_to(node_id id);
  void start_dialer();
  void know(node_id id, const node_actor& node);
  void apply_view(shard_id id);
  template <class Child>
  void start(child_spec spec, std::function<void(Child)> started,
             std::function<void(caf::error)> failed);

  contact at_;
  membership membership_;
  std::optional<loaded_job> job_; // from the first welcome on
  std::shared_ptr<read_lease> lease_;

  pulse_actor pulse_;
  supervisor_actor supervisor_;
  std::vector<std::function<void()>> after_clearing_; // not empty: the supervisor is ending
  std::map<shard_id, held_replica_of_shard> replicas_;
  std::uint64_t replicas_begun_ = 0;
  std::map<worker_id, held_worker> workers_;
  std::vector<waiting_workers> waiting_workers_;
  std::vector<ready_worker> ready_workers_;

  directory peers_;
  std::map<node_id, contact> contacts_; // of the nodes that a view has named
  dialer_actor dialer_;                 // if other nodes can be reached at all
  std::set<node_id> dialing_;
  std::vector<waiting_search> searches_; // of other nodes, in views that are not known here yet
};

node_impl_actor::behavior_type node(node_state::self_pointer self, node_actor_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::begin_node)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::child_event)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::compute_started)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::try_scheduler)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::resolve_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::dial)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::dialed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::was_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::end_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ask_to_leave)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::leave_now)
