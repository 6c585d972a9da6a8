#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <caf/all.hpp>

#include "troupe/random.hpp"
#include "troupe/values/link_properties.hpp"

namespace troupe::chaos {

class network;
class simulation;

/// One simulated process: a `caf::actor_system` of its own on virtual time. It belongs to its
/// `simulation` and lives as long as that; what is killed and restarted is the system within.
class process {
 public:
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  const std::string& name() const noexcept { return name_; }
  std::uint32_t number() const noexcept { return number_; } ///< counted from 0 in order of adding
  /// How often it was started; 1 is the first time.
  std::uint32_t incarnation() const noexcept { return incarnation_; }
  bool alive() const noexcept { return running_ != nullptr && !ending_; }
  bool paused() const noexcept { return paused_; }

  /// Where its actors are spawned. Throws std::logic_error unless it is alive. Actors must not be
  /// detached or blocking: these have threads of their own.
  caf::actor_system& system() const;

  /// Chance for its program, derived from the seed: other draws leave it alone.
  tensor::generator& random() noexcept { return random_; }

 private:
  friend class network;
  friend class simulation;
  struct running_system;

  process(std::string name, std::uint32_t number, std::uint64_t seed);

  std::string name_;
  std::uint32_t number_;
  std::uint64_t seed_;
  std::uint32_t incarnation_ = 0;
  bool paused_ = false;
  bool ending_ = false; // killed; its system goes when none of its actors is running
  tensor::generator random_;
  std::unique_ptr<running_system> running_;
};

struct simulation_options {
  std::uint64_t seed = 1;
  /// Makes the configuration of each process's system: the place to register message types. Null:
  /// CAF's own types only.
  std::function<std::unique_ptr<caf::actor_system_config>()> configure;
  /// Which messages may be dropped, doubled and overtaken where a link says so: by the registered
  /// name of the first element's type. Only asynchronous ones are ever asked for. Null: none.
  std::function<bool(std::string_view)> datagram;
  sim_time latency_min = std::chrono::microseconds(20); ///< of every message
  sim_time latency_max = std::chrono::microseconds(200);
  sim_time connect_timeout = std::chrono::seconds(1);
  /// Told of every step, in words. For finding out where two runs part ways; slow.
  std::function<void(const std::string&)> trace;
};

/// Of one partition between two processes; never given twice.
using partition_number = std::uint64_t;

/// Several processes with their actors in one thread, on virtual time, with a network between them
/// and one seed that decides everything.
///
/// SIM-1  The same seed and the same calls give the same run: the same order of everything, and the
///        same fingerprint(), on any machine and in any build type. Nothing asks the wall clock,
///        starts a thread or orders by address. (What an embedding program does by itself is its
///        own promise: random() of a process is there for its chance.)
/// SIM-2  What crosses from one process to another is serialized when it is sent and read when it
///        arrives, handles included. A type that is not registered ends the run with a
///        std::logic_error that names it; between real processes it would arrive empty.
/// SIM-3  While a connection lives, messages from one process to another arrive once and in order,
///        however late; only those that `datagram` names may be lost, doubled or overtaken, as
///        their link says.
/// SIM-4  A connection ends when one of its processes dies or a partition breaks it. What was under
///        way over a broken one is lost. Everybody who monitored an actor at its other end is told
///        (`remote_link_unreachable`), and handles of that time stay dead: what is sent to them is
///        lost, and requests time out.
/// SIM-5  Of a killed process nothing leaves any more, and none of its code runs but destructors.
/// SIM-6  A paused process stands still, its timeouts included; what is sent to it waits. When it
///        goes on, all that is due happens at once.
/// SIM-7  Time moves only when no actor can run, to the next thing that is due.
///
/// Handles: an actor is known to another process only by what connect() gave, or what arrived in a
/// message. A handle of one process must not be used by actors of another one.
///
/// Not thread-safe. Nothing but its processes may outlive it. Functions that it is given may call
/// everything here but run_*().
class simulation {
 public:
  explicit simulation(simulation_options o);
  ~simulation();
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;

  process& add_process(std::string name);
  const std::vector<std::unique_ptr<process>>& processes() const noexcept;

  /// The handle by which `from` knows an actor of another process (or of itself). Errors, all
  /// caf::sec::cannot_connect_to_node: its process has ended (told at once), or does not answer
  /// because it is paused or cut off (then the actor that asks has been busy for connect_timeout).
  template <class Handle>
  caf::expected<Handle> connect(process& from, const Handle& actor) {
    auto reached = connect_to(from, caf::actor_cast<caf::strong_actor_ptr>(actor));
    if (!reached) return std::move(reached.error());
    return caf::actor_cast<Handle>(std::move(*reached));
  }

  // -- time ---------------------------------------------------------------------------------------

  sim_time now() const noexcept; ///< virtual time since the beginning

  /// Runs until `condition` holds (looked at after every step), virtual time `limit` is reached or
  /// nothing is left to happen. True if the condition held. Throws what a scheduled function
  /// throws, and std::logic_error where something was found that cannot be simulated (SIM-2, a
  /// million steps without time moving).
  bool run_until(const std::function<bool()>& condition, sim_time limit);
  /// Runs for so long.
  void run_for(sim_time length);

  /// Calls `f` at that time, between two steps of actors; not before now.
  void schedule_at(sim_time at, std::function<void()> f);

  /// To be called by a running actor: it takes no message for so long, as after a call that blocks.
  /// Other actors of its process run on.
  void busy(sim_time length);

  // -- faults -------------------------------------------------------------------------------------

  /// SIGKILL. Its peers hear of it when the closing of the connection reaches them.
  void kill(process& p);
  /// The machine is gone: what it had sent and is under way is lost, and its peers hear nothing
  /// before it is restarted.
  void lose_power(process& p);
  /// Starts a process that has ended and calls `f`, which spawns its actors.
  void restart(process& p, const std::function<void(process&)>& f);
  void pause(process& p);
  void resume(process& p);
  /// Its clock alone goes forward.
  void clock_jump(process& p, sim_time by);

  /// From now on, for what is sent from one to the other.
  void set_link(const process& from, const process& to, const link_properties& properties);
  const link_properties& link(const process& from, const process& to) const;

  /// What one sends to the other is held back: both ways, or from the first to the second only.
  /// Several may overlap.
  partition_number partition(process& a, process& b, bool one_way = false);
  /// That partition is over. What was held back arrives, if its connection has not broken.
  void heal(partition_number n);
  /// The connection between the two breaks, as it does when nothing was heard for too long; nothing
  /// when that partition is over.
  void break_connection(partition_number n);

  // -- replay -------------------------------------------------------------------------------------

  /// Chance from the run's own generator, for who schedules faults in the run.
  tensor::generator& random() noexcept;
  /// A hash over every decision and delivery so far, with one more draw from the generator.
  std::uint64_t fingerprint();
  std::uint64_t steps() const noexcept; ///< messages that actors took

 private:
  struct state;

  caf::expected<caf::strong_actor_ptr> connect_to(process& from, const caf::strong_actor_ptr& a);
  void start(process& p);
  bool run_one_job();
  bool move_time(sim_time limit);
  void bury_dead();

  std::unique_ptr<state> state_;
};

} // namespace troupe::chaos
