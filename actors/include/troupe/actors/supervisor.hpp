#pragma once

#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <caf/all.hpp>

#include "troupe/scheduler/restart_policy.hpp"
#include "troupe/scheduler/supervision_plan.hpp"

namespace troupe::actors {

using scheduler::restart_when;
using scheduler::supervision_strategy;

/// Spawns a child and returns its handle, typed or not. Called in a handler of the supervisor, for
/// every start anew. What it throws is a failure of the child. It must not link the child to the
/// supervisor.
class child_factory {
 public:
  child_factory() = default;
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, child_factory> &&
           std::invocable<F&, caf::actor_system&>) child_factory(F f)
      : spawn_([f = std::move(f)](caf::actor_system& system) mutable {
          return caf::actor_cast<caf::strong_actor_ptr>(f(system));
        }) {}

  explicit operator bool() const { return static_cast<bool>(spawn_); }
  caf::strong_actor_ptr operator()(caf::actor_system& system) const { return spawn_(system); }

 private:
  std::function<caf::strong_actor_ptr(caf::actor_system&)> spawn_;
};

struct child_spec {
  std::string id; ///< unique among the children of a supervisor; appears in messages to users
  child_factory start;
  restart_when restart = restart_when::permanent;
  /// How long it may take to end when it is told to, before it is killed. 0: killed at once. Give a
  /// supervisor as much as its own children may take together.
  caf::timespan shutdown = std::chrono::seconds(5);
};

/// For `supervisor_options::on_event`.
struct supervisor_event {
  enum class kind : std::uint8_t {
    started,   ///< for the first time or again
    failed,    ///< ended against expectation, or could not be started
    ended,     ///< ended otherwise; `reason` is empty where that was asked for or normal
    killed,    ///< did not end in time
    abandoned, ///< did not even end when killed: it blocks; it may still run
    gave_up,   ///< the supervisor did: the intensity is exceeded; `reason` is the root cause
  };
  kind what;
  std::string child; ///< its id; empty for gave_up
  std::string reason;
};

struct supervisor_options {
  std::string name = "supervisor"; ///< appears in the path of a root cause
  supervision_strategy strategy = supervision_strategy::one_for_one;
  std::vector<child_spec> children; ///< in start order
  scheduler::restart_intensity::options intensity;
  scheduler::restart_backoff::options backoff;
  /// Uniform between 0 and 1, for the jitter of delays. Null: no jitter.
  scheduler::restart_backoff::random random;
  caf::timespan kill_wait = std::chrono::seconds(1);     ///< for the end of a child that was killed
  std::function<void(const supervisor_event&)> on_event; ///< called in the supervisor; may be null
};

enum class supervision_errc : std::uint8_t {
  gave_up = 1,     ///< a supervisor ended: more restarts than its intensity
  bad_child,       ///< a specification without id or factory, or with the id of another child
  no_such_child,   ///< no child of that id
  start_failed,    ///< a temporary child could not be started
  supervisor_ends, ///< the supervisor takes no more requests
};

/// True exactly for an error of that code.
bool is(const caf::error& err, supervision_errc code);

/// One line for the user. For a supervisor that gave up, the path from it down to the child and
/// the child's reason: "root/node/shard 2: the disk is full". For others, `reason_of` of errc.hpp.
std::string root_cause(const caf::error& err);

/// Makes an actor end with the text of what its handlers throw; by itself CAF passes on only that
/// something was thrown. Call it first in the actor's function.
void keep_exception_text(caf::scheduled_actor* self);

// Messages of a supervisor. They hold functions and local handles: within a process only.
struct start_child {
  child_spec spec;
};
struct child_started {
  caf::strong_actor_ptr actor; ///< null while its start is delayed
};
struct stop_child {
  std::string id;
};
struct child_stopped {};
struct which_children {};
struct child_info {
  std::string id;
  bool alive = false;
  std::uint64_t restarts = 0;
  std::string last_reason;     ///< of the last failure; empty if none
  caf::strong_actor_ptr actor; ///< null unless alive
};
struct children_report {
  std::vector<child_info> children; ///< in start order
};

using supervisor_actor = caf::typed_actor<caf::replies_to<start_child>::with<child_started>,
                                          caf::replies_to<stop_child>::with<child_stopped>,
                                          caf::replies_to<which_children>::with<children_report>>;

/// Internal: starts the children that are waiting in a round.
struct start_round {
  std::uint64_t round;
};
/// Internal: a child that was told to end has had its time.
struct stop_overdue {
  std::uint64_t stop;
};
using supervisor_impl_actor =
    supervisor_actor::extend<caf::reacts_to<start_round>, caf::reacts_to<stop_overdue>>;

/// Keeps children running: Erlang/OTP's supervisor, with delays between restarts.
///
///     message          answer
///     start_child      child_started, or bad_child, start_failed, supervisor_ends
///     stop_child       child_stopped when it has ended and is forgotten, or no_such_child
///     which_children   children_report
///     an exit message  -; ends the children, then itself with that reason
///
/// SUPERVISOR-1  Children are started in the order of their specifications, those of start_child
///               after them, and stopped in reverse order, each when the one before has ended.
/// SUPERVISOR-2  A child is stopped by an exit message (user_shutdown). If it has not ended after
///               its `shutdown` it is killed, and after `kill_wait` more it is abandoned: no stop
///               waits for ever.
/// SUPERVISOR-3  A child that ends by itself, or whose factory throws or gives no actor, is started
///               again as `plan_after_end` says, after the delay of its own backoff, which begins
///               when all that had to be stopped has ended.
/// SUPERVISOR-4  At most `intensity.restarts` failures are answered within `intensity.period`, over
///               all children. At the next one the supervisor gives up: it stops all children, then
///               ends with `gave_up`.
/// SUPERVISOR-5  `gave_up` holds the first failure of those within the period, which brought about
///               the others more likely than the last. From supervisor to supervisor it grows by a
///               name at the front of the path and by nothing else.
/// SUPERVISOR-6  Whatever ends the supervisor, a kill or an exception included, ends its children.
///
/// Normal is an end without error or with user_shutdown. A failure of a child while it is being
/// stopped with others is told (on_event, last_reason) and does not count, as in OTP.
///
/// When a supervisor is killed, what it knew (restart counts, children of start_child) is lost; its
/// own supervisor starts it with the children of its options.
struct supervisor_state {
  using self_pointer = supervisor_impl_actor::stateful_pointer<supervisor_state>;
  explicit supervisor_state(self_pointer self) : self(self) {}

  void start(supervisor_options o);
  caf::result<child_started> on_start_child(const start_child& s);
  caf::result<child_stopped> on_stop_child(const stop_child& s);
  children_report on_which_children() const;
  void on_start_round(const start_round& r);
  void on_stop_overdue(const stop_overdue& s);
  void on_down(const caf::down_msg& d);
  void on_exit(const caf::exit_msg& e);

  static inline const char* name = "troupe.supervisor";

  self_pointer self;

 private:
  enum class phase : std::uint8_t {
    waiting, ///< for its start round
    up,
    stopping, ///< told to end
    ended,    ///< normally; stays known
  };
  struct child {
    std::uint64_t key; // unlike an id, never used again
    child_spec spec;
    scheduler::restart_backoff backoff;
    phase at = phase::waiting;
    std::uint64_t round = 0; // the start round it waits for
    std::uint64_t starts = 0;
    bool killed = false;
    std::string last_reason;
    caf::strong_actor_ptr actor;
    std::vector<caf::typed_response_promise<child_stopped>> leaving; // not empty: for good
  };
  struct delayed_round {
    std::uint64_t round;
    caf::timespan delay;
  };
  const char* refusal(const child_spec& spec) const;
  child& add(child_spec spec);
  child* find(std::uint64_t key);
  bool try_start(child& c, std::string& reason);
  void failed(std::uint64_t key, const std::string& cause, const std::string& reason, bool normal);
  void forget(std::uint64_t key);
  void queue_stop(const child& c);
  void next_stop();
  void stopped(std::uint64_t key);
  void end(caf::error reason);
  void tell(supervisor_event::kind what, const std::string& child, const std::string& reason) const;

  supervisor_options options_;
  std::optional<scheduler::restart_intensity> intensity_;
  std::deque<std::string> causes_; // of the failures that count, oldest first
  std::vector<child> children_;    // in start order
  std::uint64_t next_key_ = 1;
  std::uint64_t rounds_ = 0;
  bool begun_ = false;              // the first round
  std::deque<std::uint64_t> stops_; // keys; the first is being stopped
  std::uint64_t stop_ = 0;          // counts stops, to tell overdue messages apart
  std::vector<delayed_round> after_stops_;
  bool stopping_ = false; // the first of stops_ has been told
  std::optional<caf::error> ending_;
  // Shared with what runs when the supervisor ends, which comes after this state is gone.
  std::shared_ptr<std::vector<caf::strong_actor_ptr>> alive_;
};

/// An invalid specification or option ends the actor with an error that says which.
supervisor_impl_actor::behavior_type supervisor(supervisor_state::self_pointer self,
                                                supervisor_options options);

/// Spawns a supervisor.
supervisor_actor make_supervisor(caf::actor_system& system, supervisor_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::start_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::child_started)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::stop_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::child_stopped)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::which_children)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::children_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::start_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::stop_overdue)
