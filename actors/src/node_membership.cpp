// How a node joins, what it does while the scheduler is away, and how it joins again.
#include <nlohmann/json.hpp>

#include "troupe/actors/node.hpp"
#include "troupe/actors/pulse.hpp"

namespace troupe::actors {

namespace {

// Between two live processes an answer takes milliseconds.
constexpr auto hello_timeout = std::chrono::seconds(10);
constexpr auto lease_report_timeout = std::chrono::seconds(2);
constexpr auto reconnect_pause = std::chrono::milliseconds(50);

} // namespace

void node_state::on_begin(const begin_node& b) {
  at_ = b.at;
  say_hello(no_node, {});
}

void node_state::say_hello(node_id known_as, std::vector<leases_held> leases) {
  hello h{protocol_version, options.job_id, at_, options.shards,   options.workers,
          node_actor{self}, known_as,       {},  std::move(leases)};
  if (known_as != no_node) {
    h.job_id = job_->id;
    for (const auto& [shard, held] : replicas_)
      if (const auto* view = peers_.view(shard))
        h.replicas.push_back({shard, view->number, held.actor});
  }
  self->request(options.scheduler, hello_timeout, h)
      .then([this](const welcome& w) { on_welcome(w); },
            [this, as_member = known_as != no_node](const caf::error& err) {
              on_hello_failed(as_member, err);
            });
}

void node_state::on_hello_failed(bool as_member, const caf::error& err) {
  using enum membership::refusal;
  const bool silent = err == caf::sec::request_receiver_down || err == caf::sec::request_timeout;
  const auto why = silent                                  ? no_answer
                   : err == make_error(errc::not_a_member) ? not_a_member
                                                           : other;
  carry_out(membership_.hello_failed(as_member, why, self->clock().now()),
            (as_member && silent ? "the scheduler did not answer: "
                                 : "the scheduler refused this node: ") +
                reason_of(err));
}

void node_state::carry_out(membership::order order, const std::string& why) {
  switch (order) {
  case membership::order::nothing:
    break;
  case membership::order::look_for_scheduler:
    self->delayed_send(self, reconnect_pause, try_scheduler{});
    break;
  case membership::order::join_again:
    join_again();
    break;
  case membership::order::ask_to_leave:
    self->delayed_send(self, options.leave_pause, ask_to_leave{});
    self->delayed_send(self, options.leave_patience, leave_now{});
    break;
  case membership::order::end:
    end(node_result::status::failed, why);
    break;
  }
}

void node_state::on_welcome(const welcome& w) {
  if (!membership_.welcomed(w.node)) return;
  peers_.become(w.node);
  if (options.recorder)
    options.recorder->record({.what = history::event_kind::node_entered, .node = w.node});
  try {
    lease_ = std::make_shared<read_lease>();
    start_pulse(); // PULSE-1: also while data are loaded
    if (!job_) job_ = load(w);
  } catch (const std::exception& e) {
    refuse_job(e.what());
    return;
  }
  using enum jobs::workload_identity::arithmetic;
  const bool bits = job_->roles.the_job().train.consistency.type() == scheduler::mode::bsp;
  const auto difference = jobs::workload_identity::from_text(w.workload)
                              .difference(job_->roles.identity(), bits ? compared : ignored);
  if (difference.empty())
    start_supervisor();
  else
    refuse_job("the workload is not that of the run; " + difference);
}

void node_state::refuse_job(std::string why) {
  if (why.starts_with("[troupe::")) // for programmers
    if (const auto end = why.find("] "); end != std::string::npos) why.erase(0, end + 2);
  self->send(options.scheduler, node_unfit{own_id(), why});
  end(node_result::status::failed, why);
}

auto node_state::load(const welcome& w) const -> loaded_job {
  auto spec = job_from_json(nlohmann::json::parse(w.job));
  auto work = options.make_workload(spec);
  return {w.job_id, assembly{std::move(spec), std::move(work)}};
}

void node_state::start_pulse() {
  pulse_options p;
  p.node = own_id();
  p.scheduler = options.scheduler;
  p.lease = lease_;
  p.scheduler_is_gone = [address = self->address()](std::string reason) {
    if (auto node = caf::actor_cast<caf::actor>(address))
      caf::anon_send(node, stop_node{std::move(reason)});
  };
  p.node_is_lost = [address = self->address()](std::string reason) {
    if (auto node = caf::actor_cast<caf::actor>(address))
      caf::anon_send(node, was_lost{std::move(reason)});
  };
  pulse_ = self->spawn<caf::linked>(pulse, std::move(p));
}

void node_state::start_supervisor() {
  supervisor_options s;
  s.name = to_string(own_id());
  s.on_event = [address = self->address()](const supervisor_event& e) {
    if (auto node = caf::actor_cast<caf::actor>(address)) caf::anon_send(node, child_event{e});
  };
  supervisor_ = make_supervisor(self->system(), std::move(s));
  self->monitor(supervisor_);
  // It ends with the node even when the node is killed; the node hears of its end as a monitor.
  self->attach_functor([supervisor = caf::actor_cast<caf::actor>(supervisor_)] {
    caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown);
  });
}

// -- the scheduler is away ------------------------------------------------------------------------

void node_state::on_try_scheduler() {
  if (!membership_.alone()) return;
  auto reached = options.reconnect();
  if (!reached) {
    carry_out(membership_.scheduler_out_of_reach(self->clock().now()),
              "the scheduler was lost and did not come back");
    return;
  }
  membership_.scheduler_reached();
  options.scheduler = *reached;
  self->monitor(options.scheduler);
  greet_again();
}

void node_state::greet_again() {
  use_scheduler use{options.scheduler};
  if (pulse_) self->send(pulse_, use);
  for (const auto& [shard, held] : replicas_)
    if (held.actor) self->send(held.actor, use);
  // Each worker turns to the new scheduler before it tells what it holds, so that a batch which it
  // completes afterwards is told there.
  auto awaited = std::make_shared<std::size_t>(1);
  auto leases = std::make_shared<std::vector<leases_held>>();
  auto answered = [this, awaited, leases] {
    if (--*awaited == 0) say_hello(own_id(), *leases);
  };
  for (const auto& [id, held] : workers_) {
    if (!held.actor) continue;
    ++*awaited;
    self->send(held.actor, use);
    self->request(held.actor, lease_report_timeout, lease_request{})
        .then(
            [leases, answered](const leases_held& l) {
              leases->push_back(l);
              answered();
            },
            [answered](const caf::error&) { answered(); });
  }
  answered();
}

// -- declared lost --------------------------------------------------------------------------------

// -- asked to end ---------------------------------------------------------------------------------

void node_state::on_end_asked() { carry_out(membership_.end_asked(), "interrupted"); }

void node_state::on_ask_to_leave() {
  if (membership_.id()) self->send(options.scheduler, leave_request{own_id()});
}

void node_state::on_was_lost() { carry_out(membership_.declared_lost(), {}); }

void node_state::join_again() {
  peers_.become(std::nullopt);
  if (pulse_) {
    self->unlink_from(pulse_);
    self->send_exit(std::exchange(pulse_, nullptr), caf::exit_reason::user_shutdown);
  }
  clear_roles_then([this] { say_hello(no_node, {}); }); // NODE-4
}

void node_state::clear_roles_then(std::function<void()> then) {
  peers_.clear();
  replicas_.clear(); // that they end is no failure from here on
  workers_.clear();
  for (auto& w : std::exchange(waiting_workers_, {}))
    w.promise.deliver(make_error(errc::cannot_place, "the node drops all roles"));
  for (auto& ready : std::exchange(ready_workers_, {}))
    ready.then(make_error(errc::cannot_place, "the node drops all roles"));
  for (auto& s : std::exchange(searches_, {}))
    s.promise.deliver(make_error(errc::no_such_shard, "the node drops all roles"));
  if (!supervisor_ && after_clearing_.empty()) {
    then();
    return;
  }
  after_clearing_.push_back(std::move(then));
  if (supervisor_) self->send_exit(supervisor_, caf::exit_reason::user_shutdown);
}

caf::result<roles_cleared> node_state::on_clear_roles() {
  auto promise = self->make_response_promise<roles_cleared>();
  clear_roles_then([this, promise]() mutable {
    start_supervisor();
    promise.deliver(roles_cleared{});
  });
  return promise;
}

} // namespace troupe::actors
