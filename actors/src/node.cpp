#include "troupe/actors/node.hpp"

#include <algorithm>

namespace troupe::actors {

void node_state::start(node_actor_options o) {
  options = std::move(o);
  self->set_down_handler([this](caf::down_msg& d) { on_down(d); });
  self->set_exit_handler([this](caf::exit_msg& e) { on_exit(e); });
  self->set_exception_handler([this](std::exception_ptr& e) {
    auto err = report_exception("the node", e, nullptr);
    fail(reason_of(err));
    return err;
  });
  self->monitor(options.scheduler);
  start_dialer();
  membership_ = membership{{bool(options.reconnect), options.scheduler_patience}};
}

void node_state::fail(const std::string& reason) {
  self->send(options.scheduler, actor_failed{reason});
  end(node_result::status::failed, reason);
}

void node_state::on_down(const caf::down_msg& d) {
  const auto peer = std::ranges::find_if(
      peers_.nodes(), [&](const auto& n) { return n.second.address() == d.source; });
  if (peer != peers_.nodes().end()) {
    for (auto shard : peers_.disconnected(peer->first)) resolve_later(shard);
  } else if (d.source == options.scheduler.address()) {
    carry_out(membership_.scheduler_lost(self->clock().now()), "the scheduler was lost");
  } else if (supervisor_ && d.source == supervisor_.address()) {
    supervisor_ = nullptr;
    replicas_.clear();
    workers_.clear();
    if (after_clearing_.empty()) {
      fail(root_cause(d.reason)); // NODE-2
      return;
    }
    for (auto& then : std::exchange(after_clearing_, {})) then();
  }
}

void node_state::on_exit(const caf::exit_msg& e) {
  end(node_result::status::failed, "ended from outside: " + reason_of(e.reason));
}

void node_state::end(node_result::status outcome, std::string error) {
  if (!membership_.end()) return;
  self->set_down_handler([](caf::down_msg&) {});
  self->set_exit_handler([](caf::exit_msg&) {});
  if (supervisor_) self->send_exit(supervisor_, caf::exit_reason::user_shutdown);
  if (pulse_) self->send_exit(pulse_, caf::exit_reason::user_shutdown);
  if (dialer_) self->send_exit(std::exchange(dialer_, nullptr), caf::exit_reason::user_shutdown);
  supervisor_ = nullptr;
  replicas_.clear();
  workers_.clear();
  waiting_workers_.clear();
  peers_ = {};
  if (options.on_end) options.on_end({outcome, std::move(error)});
  self->quit();
}

node_impl_actor::behavior_type node(node_state::self_pointer self, node_actor_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const place_replicas& p) { return state.on_place_replicas(p); },
      [&state](const place_workers& p) { return state.on_place_workers(p); },
      [&state](const install_view& v) { state.on_install_view(v); },
      [&state](const drop_replica& d) { state.on_drop_replica(d); },
      [&state](const clear_roles&) { return state.on_clear_roles(); },
      [&state](const greet& g) { state.on_greet(g); },
      [&state](const find_replica& f) { return state.on_find_replica(f); },
      [&state](const stop_node& s) {
        state.end(s.reason.empty() ? node_result::status::finished : node_result::status::failed,
                  s.reason);
      },
      [&state](const actor_failed& f) { state.fail(f.reason); },
      [&state](const begin_node& b) { state.on_begin(b); },
      [&state](const child_event& e) { state.on_child_event(e.event); },
      [&state](const compute_started& c) { state.on_compute_started(c); },
      [&state](try_scheduler) { state.on_try_scheduler(); },
      [&state](const resolve_again& r) { state.on_resolve_again(r.shard); },
      [&state](const was_lost&) { state.on_was_lost(); },
      [&state](end_asked) { state.on_end_asked(); },
      [&state](ask_to_leave) { state.on_ask_to_leave(); },
      [&state](leave_now) { state.end(node_result::status::failed, "interrupted"); },
  };
}

} // namespace troupe::actors
