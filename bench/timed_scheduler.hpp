#pragma once

#include <atomic>
#include <utility>

#include "scale.hpp"
#include "troupe/actors/scheduler.hpp"

namespace troupe::bench {

/// Processor time that an actor takes, on whichever threads.
class processor_meter {
 public:
  /// Of the turns that have ended and, on the thread that runs the actor, of the present one.
  double so_far() const { return ended_ + (begun_ > 0 ? thread_seconds() - begun_ : 0); }

  static void begin_turn() { begun_ = thread_seconds(); }
  /// The actor may be running again by now, on another thread.
  void end_turn() { ended_ += thread_seconds() - std::exchange(begun_, 0); }

 private:
  std::atomic<double> ended_ = 0;
  static inline thread_local double begun_ = 0; // of the present turn, on this thread; 0: none
};

/// The production scheduler actor with a meter on it, which must outlive it.
class timed_scheduler
    : public caf::stateful_actor<actors::scheduler_state, actors::scheduler_impl_actor::base> {
  using super = caf::stateful_actor<actors::scheduler_state, actors::scheduler_impl_actor::base>;

 public:
  timed_scheduler(caf::actor_config& config, actors::scheduler_actor_options o,
                  processor_meter& meter)
      : super(config), options_(std::move(o)), meter_(&meter) {}

  behavior_type make_behavior() override {
    return actors::scheduler_root(this, std::move(options_));
  }

  caf::resumable::resume_result resume(caf::execution_unit* unit,
                                       std::size_t max_throughput) override {
    auto* meter = meter_; // this may end with the turn
    meter->begin_turn();
    const auto result = super::resume(unit, max_throughput);
    meter->end_turn();
    return result;
  }

 private:
  actors::scheduler_actor_options options_;
  processor_meter* meter_;
};

} // namespace troupe::bench
