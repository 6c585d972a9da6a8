#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <caf/all.hpp>

#include "troupe/values/restart_policy.hpp"
#include "troupe/values/supervision_plan.hpp"

namespace troupe {

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
///
/// An invalid specification or option ends the actor with an error that says which.
supervisor_actor make_supervisor(caf::actor_system& system, supervisor_options options);

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::start_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::child_started)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::stop_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::child_stopped)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::which_children)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::children_report)
