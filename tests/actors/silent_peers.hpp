#pragma once

#include <vector>

#include <caf/scheduler/test_coordinator.hpp>

#include "troupe/actors/messages.hpp"
#include "troupe/actors/system_config.hpp"

/// Peers that take every message, remember it and say nothing: what is lost on the way, and what a
/// test answers itself.
namespace troupe::actors {

/// What they were sent, in order. The first part of a transfer, which comes within its
/// announcement, stands in `parts` like the others.
struct received {
  std::vector<push> pushes;
  std::vector<pull> pulls;
  std::vector<pull_snapshot> snapshots;
  std::vector<part> parts;
  std::vector<pushed> confirmed;
  std::vector<parameters> ranges;
  std::vector<replicate> changes;
  std::vector<replicated> acknowledged;
  std::vector<replica_image> images;
  std::vector<caught_up> learned;
  std::vector<diverged> differing;
  std::vector<batch_done> done;
  std::vector<epoch_evaluated> evaluated;
  std::vector<credit> credits;
};

inline shard_actor::behavior_type silent_shard(shard_actor::pointer, received* log) {
  return {[=](const push& p) {
            log->pushes.push_back(p);
            for (const auto& first : p.first) log->parts.push_back(first);
          },
          [=](const pull& p) { log->pulls.push_back(p); },
          [=](const pull_snapshot& p) { log->snapshots.push_back(p); },
          [](const applied_in_place&) {},
          [=](const part& p) { log->parts.push_back(p); },
          [=](const credit& c) { log->credits.push_back(c); },
          [=](const replicate& r) {
            log->changes.push_back(r);
            for (const auto& first : r.first) log->parts.push_back(first);
          },
          [=](const replicated& r) { log->acknowledged.push_back(r); },
          [=](const replica_image& i) { log->images.push_back(i); },
          [](const become_replica&) {},
          [](const take_image&) {},
          [](const use_scheduler&) {},
          [](const applied_request&) { return applied_report{}; },
          [](const enter_clock& e) {
            return clock_entered{e.worker, e.clock};
          },
          [](const leave_clock&) {},
          [](const report_request&) { return shard_report{}; }};
}

inline scheduler_actor::behavior_type silent_scheduler(scheduler_actor::pointer, received* log) {
  return {[](const hello&) { return welcome{}; },
          [=](const batch_done& d) { log->done.push_back(d); },
          [=](const epoch_evaluated& e) { log->evaluated.push_back(e); },
          [](const stop_training&) {},
          [](const actor_failed&) {},
          [](const role_failed&) {},
          [=](const caught_up& c) { log->learned.push_back(c); },
          [=](const diverged& d) { log->differing.push_back(d); },
          [](const heartbeat&) {},
          [](const status_request&) { return status_report{}; },
          [](const leave_request&) {},
          [](const reach_report&) {},
          [](const node_unfit&) {},
          [](const drain_request&) { return drain_accepted{}; }};
}

/// A worker as a shard sees it.
inline pusher_actor::behavior_type silent_worker(pusher_actor::pointer, received* log) {
  return {[=](const part& p) { log->parts.push_back(p); },
          [=](const credit& c) { log->credits.push_back(c); },
          [=](const parameters& p) {
            log->ranges.push_back(p);
            for (const auto& first : p.first) log->parts.push_back(first);
          },
          [=](const pushed& p) { log->confirmed.push_back(p); }};
}

inline archive_actor::behavior_type silent_archive(archive_actor::pointer, received* log) {
  return {[=](const part& p) { log->parts.push_back(p); },
          [=](const credit& c) { log->credits.push_back(c); },
          [=](const replica_image& i) { log->images.push_back(i); },
          [=](const replicated& r) { log->acknowledged.push_back(r); }};
}

/// A system whose actors run when a test says so, and whose time stands still between.
class test_system {
 public:
  received log; ///< first, because the peers write to it until the end

  caf::actor_system& system() noexcept { return system_; }
  void settle() {
    while (coordinator_.try_run_once()) {
    }
  }
  void pass(caf::timespan time) {
    coordinator_.advance_time(time);
    settle();
  }
  caf::actor_clock::time_point now() const { return coordinator_.clock().now(); }

  /// Ends with the system, before it.
  template <class Handle>
  Handle keep(Handle handle) {
    kept_.push_back(caf::actor_cast<caf::actor>(handle));
    return handle;
  }
  ~test_system() {
    for (const auto& a : kept_) caf::anon_send_exit(a, caf::exit_reason::kill);
    settle();
  }

 private:
  struct config : system_config {
    config() : system_config(false) { set("scheduler.policy", caf::atom("testing")); }
  };

  config config_;
  caf::actor_system system_{config_};
  caf::scheduler::test_coordinator& coordinator_ =
      dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler());
  std::vector<caf::actor> kept_;
};

} // namespace troupe::actors
