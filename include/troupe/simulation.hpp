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
/// `simulation` and lives as long. A kill ends the actor system within; a restart makes a new one.
class process {
 public:
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  const std::string& name() const noexcept { return name_; }
  std::uint32_t number() const noexcept { return number_; } ///< counted from 0 in order of adding
  /// How often the process was started, from 1.
  std::uint32_t incarnation() const noexcept { return incarnation_; }
  bool alive() const noexcept { return running_ != nullptr && !ending_; }
  bool paused() const noexcept { return paused_; }

  /// The actor system in which the process's actors are spawned. Throws std::logic_error unless the
  /// process is alive. Its actors must not be detached or blocking, because such actors have
  /// threads of their own.
  caf::actor_system& system() const;

  /// Random numbers for the process's program, derived from the seed. Other draws do not affect it.
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
  /// Makes the configuration of each process's system; register message types there. Null: CAF's
  /// own types only.
  std::function<std::unique_ptr<caf::actor_system_config>()> configure;
  /// Says which messages may be dropped, doubled and overtaken where a link says so. The argument
  /// is the registered name of the first element's type. Called for asynchronous messages only.
  /// Null: none.
  std::function<bool(std::string_view)> datagram;
  sim_time latency_min = std::chrono::microseconds(20); ///< of every message
  sim_time latency_max = std::chrono::microseconds(200);
  sim_time connect_timeout = std::chrono::seconds(1);
  /// Called with a text for every step. Use it to find where two runs diverge. Slow.
  std::function<void(const std::string&)> trace;
};

/// The number of one partition between two processes; never used twice.
using partition_number = std::uint64_t;

/// Several processes with their actors in one thread, on virtual time, with a network between them.
/// One seed decides everything.
///
/// SIM-1  The same seed and the same calls give the same run: the same order of everything, and the
///        same fingerprint(), on any machine and in any build type. The simulation reads no wall
///        clock, starts no thread and orders nothing by address. (The embedding program must keep
///        this promise for its own code; a process's random() is there for its random choices.)
/// SIM-2  A message from one process to another is serialized when it is sent and read when it
///        arrives, handles included. If a type is not registered, the run ends with a
///        std::logic_error that names the type; between real processes the value would arrive
///        empty.
/// SIM-3  While a connection lives, messages from one process to another arrive once and in order,
///        with any delay. Only messages that `datagram` names may be lost, doubled or overtaken, as
///        their link says.
/// SIM-4  A connection ends when one of its processes dies or a partition breaks the connection.
///        Messages under way over a broken connection are lost. Every actor that monitored an actor
///        at the other end gets a down message (`remote_link_unreachable`). Handles made over that
///        connection stay dead: messages to them are lost, and requests time out.
/// SIM-5  After a kill a process sends nothing, and none of its code runs except destructors.
/// SIM-6  A paused process stands still, its timeouts included; messages to it wait. When it is
///        resumed, everything that is due happens at once.
/// SIM-7  Time moves only when no actor can run, to the next event that is due.
///
/// Handles: an actor of another process is reached only by a handle that connect() returned or that
/// arrived in a message. Actors of one process must not use a handle of another process.
///
/// Not thread-safe. Nothing but its processes may outlive a simulation. Functions passed to it may
/// call every member except run_*().
class simulation {
 public:
  explicit simulation(simulation_options o);
  ~simulation();
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;

  /// Adds a process and starts it. The reference stays valid as long as the simulation.
  process& add_process(std::string name);
  const std::vector<std::unique_ptr<process>>& processes() const noexcept;

  /// The handle by which `from` reaches an actor of another process (or of itself). Every error is
  /// caf::sec::cannot_connect_to_node. If the actor's process has ended, the error comes at once.
  /// If the process is paused or cut off, the calling actor is busy for connect_timeout first.
  template <class Handle>
  caf::expected<Handle> connect(process& from, const Handle& actor) {
    auto reached = connect_to(from, caf::actor_cast<caf::strong_actor_ptr>(actor));
    if (!reached) return std::move(reached.error());
    return caf::actor_cast<Handle>(std::move(*reached));
  }

  // -- time ---------------------------------------------------------------------------------------

  sim_time now() const noexcept; ///< virtual time since the beginning

  /// Runs until `condition` holds (tested after every step), virtual time `limit` is reached or
  /// nothing is left to happen. Returns true if the condition held. Throws what a scheduled
  /// function throws, and std::logic_error for something that cannot be simulated: SIM-2, or a
  /// million steps without progress of time.
  bool run_until(const std::function<bool()>& condition, sim_time limit);
  /// Runs for this length of virtual time. Throws as run_until.
  void run_for(sim_time length);

  /// Calls `f` at time `at`, or now if `at` has passed, between two steps of actors.
  void schedule_at(sim_time at, std::function<void()> f);

  /// Call this from a running actor: the actor takes no message for this length of time, as if it
  /// were blocked in a call. Other actors of its process run on.
  void busy(sim_time length);

  // -- faults -------------------------------------------------------------------------------------

  /// Ends the process as SIGKILL does. Its peers get notice when the closing of the connection
  /// reaches them.
  void kill(process& p);
  /// Ends the process as a loss of power does: its messages under way are lost, and its peers get
  /// no notice until it is restarted.
  void lose_power(process& p);
  /// Starts an ended process and calls `f`; `f` spawns the actors of the process.
  void restart(process& p, const std::function<void(process&)>& f);
  /// Stops the process until resume(), as SIGSTOP and SIGCONT do (SIM-6).
  void pause(process& p);
  void resume(process& p);
  /// Moves the clock of this process alone forward.
  void clock_jump(process& p, sim_time by);

  /// Sets the properties of the link in this direction, for messages sent from now on.
  void set_link(const process& from, const process& to, const link_properties& properties);
  const link_properties& link(const process& from, const process& to) const;

  /// Holds back the messages between `a` and `b`: both ways, or only from `a` to `b`. Several
  /// partitions may overlap.
  partition_number partition(process& a, process& b, bool one_way = false);
  /// Ends the partition. Held-back messages arrive if their connection has not broken.
  void heal(partition_number n);
  /// Breaks the connection between the two processes, as happens after a long silence. Does nothing
  /// if that partition is over.
  void break_connection(partition_number n);

  // -- replay -------------------------------------------------------------------------------------

  /// Random numbers from the run's own generator, to schedule faults with.
  tensor::generator& random() noexcept;
  /// A hash over every decision and delivery so far and one more draw from the generator.
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
