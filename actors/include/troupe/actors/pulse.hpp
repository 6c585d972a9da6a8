#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "troupe/actors/messages.hpp"
#include "troupe/actors/read_lease.hpp"
#include "troupe/scheduler/heartbeat_log.hpp"

namespace troupe::actors {

struct pulse_options {
  node_id node;
  scheduler_actor scheduler;
  caf::timespan period = std::chrono::milliseconds(250);
  /// If the scheduler answers nothing for this time, it is given up. Longer than a killed scheduler
  /// needs to be started again.
  caf::timespan patience = std::chrono::seconds(60);
  std::shared_ptr<read_lease> lease;                  ///< extended with every answer; may be null
  std::function<void(std::string)> scheduler_is_gone; ///< told why, once
  std::function<void(std::string)> node_is_lost;      ///< told why, once: the scheduler said so
};

/// Internal: time for the next heartbeat.
struct beat {};
using pulse_impl_actor = pulse_actor::extend<caf::reacts_to<beat>>;

/// A node's heartbeat. It is an actor of its own because the node holds its thread while it loads
/// data and connects. It runs on the thread pool of the shards and workers (which has more threads
/// than there are actors that block), because a heartbeat should vouch for them: on a thread of its
/// own it would go on in a process whose actors are all stuck.
///
///     message          what it does
///     beat             sends a heartbeat, and the next beat after `period`
///     heartbeat_seen   the scheduler lives
///     declared_lost    tells the node: the scheduler goes on without it
///     use_scheduler    asks that one from now on
///
/// PULSE-1 The pulse beats from the node's welcome to the node's end, whatever the node itself
///         does.
///
/// scheduler::heartbeat_log decides when a scheduler is given up and which reads an answer allows
/// (PULSE-2, PULSE-3). The pulse is linked to its node. If a single actor hangs while others run,
/// the pulse does not notice.
struct pulse_state {
  using self_pointer = pulse_impl_actor::stateful_pointer<pulse_state>;
  explicit pulse_state(self_pointer self) : self(self) {}

  void start(pulse_options o);
  void on_beat();
  void on_seen(const heartbeat_seen& s);
  void on_lost(const declared_lost& d);
  void use(const scheduler_actor& scheduler);

  static inline const char* name = "troupe.pulse";

  self_pointer self;

 private:
  pulse_options options_;
  std::optional<scheduler::heartbeat_log> log_;
};

pulse_impl_actor::behavior_type pulse(pulse_state::self_pointer self, pulse_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::beat)
