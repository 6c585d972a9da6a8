#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/archive.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/events.hpp"
#include "troupe/job.hpp"
#include "troupe/recorder.hpp"
#include "troupe/runtime.hpp"
#include "troupe/scheduler/awake_clock.hpp"
#include "troupe/scheduler/batch_leases.hpp"
#include "troupe/scheduler/phi_accrual.hpp"
#include "troupe/scheduler/placement.hpp"
#include "troupe/scheduler/progress.hpp"
#include "troupe/scheduler/shard_views.hpp"
#include "troupe/scheduler/step_plan.hpp"
#include "troupe/storage/run_journal.hpp"
#include "troupe/values/restart_policy.hpp"

namespace troupe::actors {

using storage::journal_error;
using storage::run_journal;

struct scheduler_actor_options {
  job work;
  std::string job_id;
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
struct drain_timeout {};
struct look_for_silence {};
struct reconcile_timeout {};
struct still_suspected {
  node_id node;
  std::uint64_t connection;
};
struct ask_applied {
  shard_id shard;
  std::uint64_t round; ///< of asking all
};
using scheduler_impl_actor = scheduler_actor::extend<
    caf::reacts_to<try_place>, caf::reacts_to<scheduler_tick>, caf::reacts_to<drain_timeout>,
    caf::reacts_to<look_for_silence>, caf::reacts_to<reconcile_timeout>,
    caf::reacts_to<still_suspected>, caf::reacts_to<ask_applied>, caf::reacts_to<checkpoint_loaded>,
    caf::reacts_to<images_sent>, caf::reacts_to<images_arrived>, caf::reacts_to<checkpoint_ended>>;

/// The root: takes nodes in, places replicas and workers, decides views, leases batches, takes
/// checkpoints, ends the run.
///
///     gathering --offers suffice--> placing --all placed--> training --last epoch
///     evaluated-->ended
///      |  ^                            |                     |  |  \--stop_training--> draining -^
///      |  |                            |                     |  |
///      |  +------- a node is lost -----+                     |  +- killed, started again:
///      |  +------- all replicas of a shard are lost ---------+     reconciling -> training
///      +---- timeout, NaN loss, failures too often: failed --------------------------------> ended
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
///     drain_request     drain_accepted, or errc::not_a_member, cannot_place
///
/// SCHED-1  A batch is leased while it is not completed and nobody holds it (LEASES-1..3).
/// SCHED-2  A worker without a lease does not count in the clocks; it enters them on every shard
///          before it is leased to again. So nobody waits for a worker that has nothing to do. It
///          enters when it has told of every batch that it was ever given: its clock may go on from
///          a higher one then, for no push of a lower one is under way. (Not in bsp, where clocks
///          decide nothing, and its batches may wait for those that it is to be given.)
/// SCHED-3  Leases run at most one epoch ahead of the last evaluated one: a shard keeps two epochs'
///          snapshots at most.
/// SCHED-4  A worker whose leases ran out gets no new one, and counts in no clock, until it
///          completes a batch.
/// SCHED-5  A batch that came back is leased again at once, beyond `lease_ahead` if need be: in bsp
///          and ssp those who hold leases may all be waiting for it.
/// SCHED-6  A node is lost when its connection closed and its process is known to have ended, or
///          when it is silent beyond its detector's threshold (PHI-1..3), or when its connection
///          closed and its read lease has run out. Time in which the scheduler itself did not run
///          is nobody's silence (AWAKE-1).
/// SCHED-7  A loss is final. A lost node that comes back is told so at its first heartbeat, and
///          nothing it or its workers say changes the run. (That a lost worker's batch is on every
///          shard may be true no more after a checkpoint was gone back to. It is leased again, and
///          every shard that has it drops it.)
/// SCHED-8  A view is in the journal before anybody is told of it, so no view number is given twice
///          whatever dies. Only views whose replicas wait for the images of a checkpoint are told
///          before: until these have arrived, the journal says that nobody holds anything, and a
///          scheduler that is started again goes back to the checkpoint once more.
/// SCHED-9  No view without a node is installed while that node may hold an unexpired read lease
///          (LEASE-2).
/// SCHED-10 When all replicas of a shard are lost, all shards go back to the newest sound
///          checkpoint (to the start, where there is none), with new workers; exactly the batches
///          that not every restored shard has are leased again.
/// SCHED-11 A scheduler that was started again leases nothing before it knows what every shard has
///          applied and what every worker holds.
/// SCHED-12 What was under way over a connection that broke counts as lost: a node that comes back
///          over another one says what it holds, and whatever it lacks is given anew.
///
/// SCHED-13 The result is handed over before any node is told to stop: until then a scheduler that
///          is started again finds the nodes with all they have.
///
/// It is not on the data path: while it is away workers go on with the leases they hold.
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
  void on_drain_timeout();
  void on_heartbeat(const heartbeat& h);
  void on_look();
  void on_actor_failed(const actor_failed& f);
  void on_role_failed(const role_failed& f);
  void on_caught_up(const caught_up& c);
  void on_diverged(const diverged& d);
  void on_still_suspected(const still_suspected& s);
  void on_reconcile_timeout();
  void ask_what_is_applied(const ask_applied& a);
  void on_checkpoint_loaded(const checkpoint_loaded& l);
  void on_images_sent(const images_sent& s);
  void on_images_arrived(const images_arrived& a);
  void on_checkpoint_ended(const checkpoint_ended& e);
  status_report status() const;
  caf::result<drain_accepted> on_drain(const drain_request& d);
  void fail(const std::string& reason);

  static inline const char* name = "troupe.scheduler";

  self_pointer self;

 private:
  using time_point = caf::actor_clock::time_point;
  enum class phase { gathering, placing, reconciling, training, draining, ended };
  struct member {
    node_actor actor; ///< null: known from the journal, has not come back yet
    contact at;
    scheduler::node_offer offer;
    scheduler::phi_accrual detector; ///< by the awake clock
    time_point heard_at;             ///< by the real one
    /// It is about to be relieved of its shards, and its heartbeats are not answered any more: its
    /// read lease has run out by then (LEASE-2).
    std::optional<time_point> reads_until = std::nullopt;
    bool told_to_go = false;
    std::uint64_t connection = 0; ///< counts hellos
    bool knows_views = false;     ///< was told of all of them
    bool staffed = false;         ///< its workers have been placed or are being placed
    std::uint32_t placing = 0;    ///< roles that it is being given while others train
    std::uint32_t failures = 0;   ///< of its roles
  };
  struct lost_member {
    caf::actor_addr actor;
    std::string why;
  };
  struct worker_record {
    worker_actor actor;
    node_id node;
    clock_value clock = 0;
    bool in_clocks = true;      ///< on every shard
    bool suspended = false;     ///< its leases ran out: gets none until it completes a batch
    std::uint32_t revivals = 0; ///< how often it got leases all the same (SCHED-4)
    time_point completed_at{};  ///< its last batch
    std::size_t entering = 0;   ///< answers to enter_clock awaited
    std::uint64_t entries = 0;  ///< begun: answers to an earlier one do not count
    std::optional<batch_id> backup = std::nullopt; ///< computes it beside its holder
    std::set<batch_id> under_way = {};             ///< given to it, and not told of since
  };
  using worker_map = std::map<worker_id, worker_record>;
  using replica_key = std::pair<shard_id, node_id>;

  void notice(notice_event::kind kind, std::string text);
  /// Writes to the journal, if there is one. What cannot be written is told once; the run goes on,
  /// but could not be taken up after the scheduler's death.
  void record(const std::function<void(run_journal&)>& save);
  /// For the history.
  void tell(const history::event& e) const {
    if (options_.recorder) options_.recorder->record(e);
  }
  void tell_job() const;
  void tell_views(const std::vector<shard_id>& changed) const;
  /// The present views of these shards (SCHED-8).
  void record_views(const std::vector<shard_id>& changed);
  std::vector<scheduler::node_offer> offers() const;
  std::vector<worker_id> live_workers() const;
  std::vector<shard_id> all_shards() const;
  std::string counted_roles() const;

  // scheduler_placing.cpp
  void place_all(const scheduler::placement& p);
  void replicas_ready();
  void place_workers_on_nodes();
  void begin_training();
  void start_evaluator();
  void place_worker_on(node_id node, std::uint32_t count);
  void go_back(const std::string& why);
  void cleared(node_id id);
  void could_not_place(node_id id, const std::string& what, const caf::error& err);

  // scheduler_leases.cpp
  void count_done_meanwhile();
  void evaluate_complete_epochs();
  void expire_leases();
  void feed_all();
  void lease_returned();
  void revive_one();
  void feed(worker_id id, std::size_t up_to);
  bool may_lease() const;
  bool back_up(worker_id id);
  worker_map::iterator backed_up_by(batch_id batch); ///< end: nobody
  void enter_clocks(worker_id id);
  void leave_clocks(worker_id id, bool gone = false);
  void with_reports(std::function<void()> then);
  void emit_progress();

  // scheduler_members.cpp
  void on_down(const caf::down_msg& d);
  void lose(node_id id, const std::string& why);
  void lose_worker(worker_id id);
  bool too_many_failures(const std::string& reason);
  shard_actor primary(shard_id shard) const;
  void install(const std::vector<shard_id>& changed, node_id only = no_node);
  void tell_who_left(const shard_actor& primary);
  void repair();
  void drain_on();
  bool may_be_relieved(node_id id, member& m);

  // scheduler_restart.cpp
  void begin_again(const run_journal::content& known);
  void take_up(const run_journal::content& known);
  caf::result<welcome> welcome_back(const hello& h);
  void take_up_again(const hello& h);
  void reconcile_if_complete();
  void finish_reconciling(scheduler::applied_set completed);

  // scheduler_checkpoints.cpp
  void checkpoint_if_due();
  void begin_checkpoint();

  // scheduler_endings.cpp
  void end_without_goodbyes();
  void finish();
  void begin_snapshot();
  void end(run_result result, const std::string& reason_for_nodes);
  scheduler::staleness_histogram staleness() const;

  scheduler_actor_options options_;
  phase phase_ = phase::gathering;
  time_point begun_;
  std::string missing_;
  bool journal_error_told_ = false;
  std::optional<scheduler::awake_clock> awake_;
  std::optional<scheduler::restart_intensity> failures_;
  std::string first_failure_; // the cause of the present row

  std::uint32_t next_node_ = 0;
  std::uint32_t next_worker_ = 0;
  std::map<node_id, member> nodes_;
  std::map<node_id, lost_member> lost_;
  std::set<node_id> draining_;
  std::optional<scheduler::shard_views> views_;
  std::map<replica_key, shard_actor> replicas_;
  worker_map workers_;                    // live ones
  std::map<batch_id, worker_id> backups_; // of worker_record; may name workers that were lost
  std::set<worker_id> gone_workers_;
  evaluator_actor evaluator_;
  archive_impl_actor archive_;
  std::optional<scheduler::batch_leases> leases_;
  std::optional<scheduler::job_progress> progress_;

  // Placing. What was begun for an earlier generation has no effect any more.
  std::uint64_t generation_ = 0;
  std::size_t placing_ = 0;    // answers awaited
  std::set<node_id> clearing_; // that still drop their roles
  scheduler::placement placement_;
  bool going_back_ = false;                     // to a checkpoint, or to the start
  bool loading_ = false;                        // the archive has not answered yet
  std::optional<checkpoint_loaded> checkpoint_; // what to begin with

  // Reconciling.
  std::vector<leases_held> leases_told_;
  std::vector<batch_done> done_meanwhile_;
  std::map<shard_id, scheduler::applied_set> applied_told_;
  std::uint64_t asking_round_ = 0;
  std::uint32_t restarts_ = 0;

  // Checkpoints.
  std::uint64_t next_checkpoint_ = 1;
  std::optional<std::uint64_t> open_checkpoint_;
  std::optional<time_point> without_workers_since_;
  bool quiet_ = false; // hogwild: no leases until the images are taken
  time_point checkpoint_at_{};
  std::uint64_t checkpoint_batches_ = 0; // done when it was taken
  std::optional<checkpoint_ended> last_checkpoint_;

  std::uint32_t asked_epochs_ = 0;                    // evaluation asked for
  std::uint32_t evaluated_epochs_ = 0;                // and done
  std::map<shard_id, shard_report> reports_;          // the last of each
  std::map<worker_id, scheduler::time_shares> spent_; // by workers, lost ones too
  bool snapshot_asked_ = false;
  double last_loss_ = 0;
  epoch_evaluated last_;
  std::optional<run_result> ending_; // waits for the nodes' goodbyes
};

scheduler_impl_actor::behavior_type scheduler_root(scheduler_state::self_pointer self,
                                                   scheduler_actor_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::try_place)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::scheduler_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::drain_timeout)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::look_for_silence)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::reconcile_timeout)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::still_suspected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ask_applied)
