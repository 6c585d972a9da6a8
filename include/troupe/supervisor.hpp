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

/// Spawns a child and returns its handle, typed or untyped. A handler of the supervisor calls the
/// factory at every start of the child. If the factory throws, the child has failed. The factory
/// must not link the child to the supervisor.
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

/// How one child is started, restarted and stopped.
struct child_spec {
  std::string id; ///< unique among the children of a supervisor; appears in messages to users
  child_factory start;
  restart_when restart = restart_when::permanent;
  /// How long the child may take to end after an exit message, before it is killed. 0: it is killed
  /// at once. Give a supervisor as much time as its own children may take together.
  caf::timespan shutdown = std::chrono::seconds(5);
};

/// For `supervisor_options::on_event`.
struct supervisor_event {
  enum class kind : std::uint8_t {
    started,   ///< for the first time or again
    failed,    ///< ended unexpectedly, or could not be started
    ended,     ///< ended otherwise; `reason` is empty if the end was requested or normal
    killed,    ///< did not end in time
    abandoned, ///< did not end even when killed, because it blocks; it may still run
    gave_up,   ///< the supervisor ends: the intensity is exceeded; `reason` is the root cause
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
  caf::timespan kill_wait = std::chrono::seconds(1);     ///< for the end of a killed child
  std::function<void(const supervisor_event&)> on_event; ///< called in the supervisor; may be null
};

enum class supervision_errc : std::uint8_t {
  gave_up = 1,     ///< a supervisor ended: more restarts than its intensity
  bad_child,       ///< a specification without id or factory, or with another child's id
  no_such_child,   ///< no child has that id
  start_failed,    ///< a temporary child could not be started
  supervisor_ends, ///< the supervisor takes no more requests
};

/// True exactly for an error of that code.
bool is(const caf::error& err, supervision_errc code);

/// One line for the user. For a supervisor that gave up, the path from it down to the child and
/// the child's reason: "root/node/shard 2: the disk is full". For others, `reason_of` of errc.hpp.
std::string root_cause(const caf::error& err);

/// Makes an actor end with the text of an exception that one of its handlers throws. Without this
/// call CAF reports only that something was thrown. Call it first in the actor's function.
void keep_exception_text(caf::scheduled_actor* self);

// Messages of a supervisor. They hold functions and local handles, so they stay within a process.
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
/// SUPERVISOR-1  Children are started in the order of their specifications, and children of
///               start_child after them. They are stopped in reverse order, each after the child
///               before it has ended.
/// SUPERVISOR-2  A child is stopped by an exit message (user_shutdown). If it has not ended after
///               its `shutdown`, it is killed. If it has not ended `kill_wait` later, it is
///               abandoned. So every stop ends in bounded time.
/// SUPERVISOR-3  If a child ends by itself, or its factory throws or gives no actor, the children
///               that `plan_after_end` names are started again. The delay is that of the child's
///               own backoff, and begins when all children that had to be stopped have ended.
/// SUPERVISOR-4  At most `intensity.restarts` failures are answered within `intensity.period`, over
///               all children. At the next failure the supervisor gives up: it stops all children
///               and ends with `gave_up`.
/// SUPERVISOR-5  `gave_up` holds the first failure within the period, because the first failure is
///               more likely to be the cause than the last. Each supervisor above adds one name at
///               the front of the path, and nothing else.
/// SUPERVISOR-6  If the supervisor ends for any reason, by a kill or an exception too, its children
///               end.
///
/// A normal end is an end without error or with user_shutdown. If a child fails while it is being
/// stopped with others, the failure is reported (on_event, last_reason) but does not count, as in
/// OTP.
///
/// If a supervisor is killed, its restart counts and the children of start_child are lost. Its own
/// supervisor starts it again with the children of its options.
///
/// An invalid specification or option ends the actor with an error that names it.
supervisor_actor make_supervisor(caf::actor_system& system, supervisor_options options);

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::start_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::child_started)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::stop_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::child_stopped)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::which_children)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::children_report)
