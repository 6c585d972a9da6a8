#include "troupe/actors/pulse.hpp"

#include <chrono>
#include <utility>

namespace troupe::actors {

namespace {

constexpr std::size_t unanswered_max = 64;

} // namespace

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
    ended_ = true;
    auto ms = std::chrono::round<std::chrono::milliseconds>(silence).count();
    options_.scheduler_is_gone("the scheduler was lost (silent for " + std::to_string(ms) + " ms)");
    return;
  }
  sent_[++number_] = self->clock().now();
  if (sent_.size() > unanswered_max) sent_.erase(sent_.begin());
  self->send(options_.scheduler, heartbeat{options_.node, number_, pulse_actor{self}});
  self->delayed_send(self, options_.period, beat{});
  transport::shared_pools::of_process().sweep();
}

void pulse_state::on_seen(const heartbeat_seen& s) {
  seen_ = awake_->look(self->clock().now());
  auto i = sent_.find(s.number);
  if (i == sent_.end()) return;
  if (options_.lease) options_.lease->extend(i->second + read_lease::length);
  sent_.erase(sent_.begin(), std::next(i));
}

void pulse_state::on_lost(const declared_lost& d) {
  if (!std::exchange(ended_, true)) options_.node_is_lost(d.reason);
}

void pulse_state::use(const scheduler_actor& scheduler) {
  options_.scheduler = scheduler;
  seen_ = awake_->look(self->clock().now());
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
