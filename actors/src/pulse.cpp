#include "troupe/actors/pulse.hpp"

#include <chrono>
#include <utility>

namespace troupe::actors {

void pulse_state::start(pulse_options o) {
  options_ = std::move(o);
  auto now = self->clock().now();
  awake_.emplace(now, 2 * options_.period);
  seen_ = now;
  on_beat();
}

void pulse_state::on_beat() {
  if (ended_) return;
  auto silence = awake_->look(self->clock().now()) - seen_;
  if (silence >= options_.patience) {
    auto ms = std::chrono::round<std::chrono::milliseconds>(silence).count();
    end_node("the scheduler was lost (silent for " + std::to_string(ms) + " ms)");
    return;
  }
  self->send(options_.scheduler, heartbeat{options_.node, ++number_, pulse_actor{self}});
  self->delayed_send(self, options_.period, beat{});
}

void pulse_state::on_seen() { seen_ = awake_->look(self->clock().now()); }

void pulse_state::end_node(std::string why) {
  if (!std::exchange(ended_, true)) options_.end_node(std::move(why));
}

pulse_impl_actor::behavior_type pulse(pulse_state::self_pointer self, pulse_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const heartbeat_seen&) { state.on_seen(); },
      [&state](const declared_lost& d) {
        state.end_node("the scheduler took this node for lost (" + d.reason +
                       ") and goes on without it; it has dropped its shards and workers");
      },
      [&state](beat) { state.on_beat(); },
  };
}

} // namespace troupe::actors
