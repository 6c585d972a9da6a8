#include "troupe/actors/node.hpp"

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
}

void node_state::fail(const std::string& reason) {
  self->send(options.scheduler, actor_failed{reason});
  end(node_result::status::failed, reason);
}

caf::result<replica_found> node_state::on_find_replica(const find_replica& f) {
  if (f.version != protocol_version)
    return make_error(errc::protocol_mismatch, "expected protocol version " +
                                                   std::to_string(protocol_version) + ", found " +
                                                   std::to_string(f.version));
  if (f.job_id != job_id_)
    return make_error(errc::job_mismatch, "expected job " + job_id_ + ", found " + f.job_id);
  const auto known = views_.find(f.shard); // NODE-7
  if (known == views_.end() || known->second.number < f.view) {
    reached(probe::search_waited_for_view);
    auto promise = self->make_response_promise<replica_found>();
    searches_.push_back({f, promise});
    return promise;
  }
  if (f.view < known->second.number) {
    reached(probe::search_of_old_view);
    return make_error(errc::no_such_shard, to_string(f.shard) + " is in " +
                                               to_string(known->second.number) + ", not in " +
                                               to_string(f.view) + " any more");
  }
  auto found = replica_of(f.shard);
  if (!found) return found.error();
  return *found;
}

caf::expected<replica_found> node_state::replica_of(shard_id shard) const {
  auto i = replicas_.find(shard);
  if (i == replicas_.end() || !i->second.actor)
    return make_error(errc::no_such_shard, to_string(shard) + " does not live here");
  return replica_found{i->second.actor};
}

// Of the view that has just become known; those of a view in between are in vain.
void node_state::answer_searches(shard_id shard) {
  const auto number = views_.at(shard).number;
  std::erase_if(searches_, [&](waiting_search& s) {
    if (s.what.shard != shard || number < s.what.view) return false;
    auto found = replica_of(shard);
    if (s.what.view < number) found = make_error(errc::no_such_shard, "the view was replaced");
    if (found)
      s.promise.deliver(*found);
    else
      s.promise.deliver(found.error());
    return true;
  });
}

void node_state::on_down(const caf::down_msg& d) {
  if (forget(d.source)) return;
  if (d.source == options.scheduler.address()) {
    scheduler_is_gone("the scheduler was lost");
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
  if (std::exchange(ended_, true)) return;
  self->set_down_handler([](caf::down_msg&) {});
  self->set_exit_handler([](caf::exit_msg&) {});
  if (supervisor_) self->send_exit(supervisor_, caf::exit_reason::user_shutdown);
  if (pulse_) self->send_exit(pulse_, caf::exit_reason::user_shutdown);
  supervisor_ = nullptr;
  replicas_.clear();
  workers_.clear();
  waiting_workers_.clear();
  nodes_.clear();
  found_.clear();
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
      [&state](const was_lost& l) { state.on_was_lost(l.reason); },
  };
}

} // namespace troupe::actors
