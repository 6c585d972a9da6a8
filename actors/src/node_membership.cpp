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
    h.job_id = job_id_;
    for (const auto& [shard, held] : replicas_)
      if (auto v = views_.find(shard); v != views_.end())
        h.replicas.push_back({shard, v->second.number, held.actor});
  }
  self->request(options.scheduler, hello_timeout, h)
      .then([this](const welcome& w) { on_welcome(w); },
            [this, known_as](const caf::error& err) {
              if (ended_ || alone_since_) return; // the scheduler was lost meanwhile
              const bool silent =
                  err == caf::sec::request_receiver_down || err == caf::sec::request_timeout;
              if (known_as != no_node && silent) {
                scheduler_is_gone("the scheduler did not answer: " + reason_of(err));
                return;
              }
              if (known_as != no_node && err == make_error(errc::not_a_member))
                on_was_lost(reason_of(err));
              else
                end(node_result::status::failed,
                    "the scheduler refused this node: " + reason_of(err));
            });
}

void node_state::on_welcome(const welcome& w) {
  const bool again = w.node == id_;
  id_ = w.node;
  if (again) return;
  if (options.recorder)
    options.recorder->record({.what = history::event_kind::node_entered, .node = id_});
  try {
    if (!plan_) set_up(w);
    lease_ = std::make_shared<read_lease>();
    start_pulse();
    start_supervisor();
  } catch (const std::exception& e) {
    fail(e.what());
  }
}

void node_state::set_up(const welcome& w) {
  job_id_ = w.job_id;
  job_ = job_from_json(nlohmann::json::parse(w.job));
  work_ = options.make_workload(job_);
  data_ = work_.load_data();
  auto model = work_.make_model();
  check_workload(job_, *model, *data_);
  plan_.emplace(scheduler::batch_plan::options{data_->train.size(), job_.train.batch_size,
                                               job_.train.epochs});
  orders_ = std::make_shared<tensor::epoch_orders>(plan_->samples(), job_.seed);
  ranges_ = scheduler::make_shard_ranges(model->parameter_layout().size(), job_.cluster.shards);
}

void node_state::start_pulse() {
  pulse_options p;
  p.node = id_;
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
  s.name = to_string(id_);
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

void node_state::scheduler_is_gone(const std::string& why) {
  if (ended_) return;
  if (!options.reconnect || id_ == no_node) {
    end(node_result::status::failed, why);
    return;
  }
  if (!std::exchange(alone_since_, self->clock().now())) {
    reached(probe::scheduler_gone);
    self->delayed_send(self, reconnect_pause, try_scheduler{});
  }
}

void node_state::on_try_scheduler() {
  if (ended_ || !alone_since_) return;
  auto reached = options.reconnect();
  if (!reached) {
    if (self->clock().now() - *alone_since_ >= options.scheduler_patience)
      end(node_result::status::failed, "the scheduler was lost and did not come back");
    else
      self->delayed_send(self, reconnect_pause, try_scheduler{});
    return;
  }
  alone_since_.reset();
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
    if (--*awaited == 0) say_hello(id_, *leases);
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

void node_state::on_was_lost(const std::string&) {
  // It may be told twice, by the answer to a heartbeat and to a hello; it joins again once.
  if (ended_ || id_ == no_node) return;
  reached(probe::was_declared_lost);
  id_ = no_node;
  if (pulse_) {
    self->unlink_from(pulse_);
    self->send_exit(std::exchange(pulse_, nullptr), caf::exit_reason::user_shutdown);
  }
  clear_roles_then([this] { say_hello(no_node, {}); }); // NODE-4
}

void node_state::clear_roles_then(std::function<void()> then) {
  views_.clear();
  found_.clear();
  asked_.clear();
  ++clearings_;
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
