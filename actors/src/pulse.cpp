#include "troupe/actors/pulse.hpp"

#include <chrono>
#include <utility>

namespace troupe::actors {

void pulse_state::start(pulse_options o) {
  options_ = std::move(o);
  log_.emplace(self->clock().now(),
               scheduler::heartbeat_log::options{options_.period, options_.patience});
  on_beat();
}

void pulse_state::on_beat() {
  using enum scheduler::heartbeat_log::order::kind;
  const auto order = log_->next(self->clock().now());
  if (order.what == give_up) {
    auto ms = std::chrono::round<std::chrono::milliseconds>(order.silence).count();
    options_.scheduler_is_gone("the scheduler was lost (silent for " + std::to_string(ms) + " ms)");
  } else if (order.what == beat) {
    self->send(options_.scheduler, heartbeat{options_.node, order.number, pulse_actor{self}});
    self->delayed_send(self, options_.period, actors::beat{});
  }
}

void pulse_state::on_seen(const heartbeat_seen& s) {
  const auto sent = log_->answered(s.number, self->clock().now());
  if (sent && options_.lease) options_.lease->extend(*sent + read_lease::length);
}

void pulse_state::on_lost(const declared_lost& d) {
  if (log_->end()) options_.node_is_lost(d.reason);
}

void pulse_state::use(const scheduler_actor& scheduler) {
  options_.scheduler = scheduler;
  log_->turn_to_another(self->clock().now());
}

pulse_impl_actor::behavior_type pulse(pulse_state::self_pointer self, pulse_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const heartbeat_seen& h) { state.on_seen(h); },
      [&state](const declared_lost& d) { state.on_lost(d); },
      [&state](const use_scheduler& u) { state.use(u.scheduler); },
      [&state](beat) { state.on_beat(); },
  };
}

} // namespace troupe::actors
