#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/events.hpp"
#include "troupe/actors/job.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/runtime.hpp"
#include "troupe/scheduler/awake_clock.hpp"
#include "troupe/scheduler/batch_leases.hpp"
#include "troupe/scheduler/membership.hpp"
#include "troupe/scheduler/phi_accrual.hpp"
#include "troupe/scheduler/placement.hpp"
#include "troupe/scheduler/progress.hpp"

namespace troupe::actors {

struct scheduler_actor_options {
  job work;
  std::string job_id;
  scheduler::batch_plan plan{{1, 1, 0}};
  /// Spawns the evaluator once the shards are known.
  std::function<evaluator_actor(address_book)> spawn_evaluator;
  std::function<void(const event&)> emit; ///< called from the actor, in order
  std::function<void(run_result)> on_end; ///< called once, when the nodes have been told to stop
  std::size_t lease_ahead = 4;            ///< leases that a worker holds
  caf::timespan lease_timeout = std::chrono::minutes(2);
  caf::timespan gather_timeout = std::chrono::minutes(10);
  caf::timespan tick = std::chrono::milliseconds(500);
  scheduler::phi_accrual::options detector = {};       ///< of every node
  caf::timespan look = std::chrono::milliseconds(100); ///< at who is silent
};

/// Internal messages of the scheduler.
struct try_place {};
struct scheduler_tick {};
struct drain_timeout {};
struct look_for_silence {};
using scheduler_impl_actor =
    scheduler_actor::extend<caf::reacts_to<try_place>, caf::reacts_to<scheduler_tick>,
                            caf::reacts_to<drain_timeout>, caf::reacts_to<look_for_silence>>;

/// The root: takes nodes in, places shards and workers, leases batches, ends the run.
///
///     gathering --offers suffice--> placing --all placed--> training --last epoch evaluated-->
///     ended
///         |                            |                       |  \--stop_training--> draining --^
///         +--------- timeout, lost shard, NaN loss, actor_failed: failed ---------------------->
///         ended
///
///     message           answer
///     hello             welcome, or errc::protocol_mismatch, job_mismatch, not_gathering
///     batch_done        - (a worker); its next lease
///     epoch_evaluated   - (the evaluator)
///     stop_training     -; ends the run and keeps the parameters reached
///     actor_failed      -; ends the run as failed, unless from a node that was lost
///     heartbeat         heartbeat_seen, or declared_lost (both messages of their own)
///
/// SCHED-1 A batch is leased while it is not completed and nobody holds it (LEASES-1..3).
/// SCHED-2 A worker without a lease does not count in the clocks; it enters them on every shard
///         before it is leased to again. So nobody waits for a worker that has nothing to do.
/// SCHED-3 Leases run at most one epoch ahead of the last evaluated one: a shard keeps two epochs'
///         snapshots at most.
/// SCHED-4 A worker whose leases ran out gets no new one, and counts in no clock, until it
///         completes a batch.
/// SCHED-5 A batch that came back is leased again at once, beyond `lease_ahead` if need be: in bsp
///         and ssp those who hold leases may all be waiting for it.
/// SCHED-6 A node is lost when its connection closes (noticed at once) or when it is silent beyond
///         its detector's threshold (PHI-1..3); both have the same consequences. Time in which the
///         scheduler itself did not run is nobody's silence (AWAKE-1).
/// SCHED-7 A loss is final. A lost node that comes back is told so at its first heartbeat, and
///         nothing it says changes the run: of its messages only batch_done counts, which says that
///         every shard has the batch.
///
/// It is not on the data path: while it is away workers go on with the leases they hold.
struct scheduler_state {
  using self_pointer = scheduler_impl_actor::stateful_pointer<scheduler_state>;
  explicit scheduler_state(self_pointer self) : self(self) {}

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
  void fail(const std::string& reason);

  static inline const char* name = "troupe.scheduler";

  self_pointer self;

 private:
  enum class phase { gathering, placing, training, draining, ended };
  struct member {
    node_actor actor;
    contact at;
    scheduler::node_offer offer;
    scheduler::phi_accrual detector; ///< by the awake clock
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
    caf::actor_clock::time_point completed_at{}; ///< its last batch
    std::size_t entering = 0;                    ///< answers to enter_clock awaited
  };

  void on_down(const caf::down_msg& d);
  void expire_leases();
  void lose(node_id id, const std::string& why);
  std::vector<scheduler::node_offer> offers() const;
  void place_all(const scheduler::placement& p);
  void place_workers_on_nodes();
  void begin_training();
  void feed_all();
  void lease_returned();
  void revive_one();
  void feed(worker_id id, std::size_t up_to);
  bool may_lease() const;
  void enter_clocks(worker_id id);
  void leave_clocks(worker_id id, bool gone = false);
  void with_reports(std::function<void()> then);
  void emit_progress();
  void finish();
  void begin_snapshot();
  void end(run_result result, const std::string& reason_for_nodes);
  void notice(notice_event::kind kind, std::string text);
  scheduler::staleness_histogram staleness() const;

  scheduler_actor_options options_;
  phase phase_ = phase::gathering;
  caf::actor_clock::time_point begun_;
  std::string missing_;
  std::map<node_id, member> nodes_;
  std::map<node_id, lost_member> lost_;
  std::optional<scheduler::awake_clock> awake_;
  scheduler::membership members_;
  scheduler::placement placement_;
  std::vector<shard_actor> shards_;            // by index
  std::size_t placing_ = 0;                    // answers awaited
  std::map<worker_id, worker_record> workers_; // live ones
  evaluator_actor evaluator_;
  std::optional<scheduler::batch_leases> leases_;
  std::optional<scheduler::job_progress> progress_;
  std::uint32_t asked_epochs_ = 0;           // evaluation asked for
  std::uint32_t evaluated_epochs_ = 0;       // and done
  std::map<shard_id, shard_report> reports_; // the last of each
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
