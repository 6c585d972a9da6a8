// What a node holds: replicas and workers.
#include "troupe/actors/address_book.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/actors/worker.hpp"

namespace troupe::actors {

namespace {

constexpr auto start_timeout = std::chrono::minutes(1);

std::string compute_id(worker_id id) { return "compute of " + to_string(id); }

// To be called once for each of `count` roles. Answers when all have been started, or with the
// first error.
template <class Placed>
std::function<void(caf::error)> after_all(std::size_t count,
                                          caf::typed_response_promise<Placed> promise,
                                          std::function<Placed()> placed) {
  return [=, awaited = std::make_shared<std::size_t>(count)](caf::error err) mutable {
    if (err)
      promise.deliver(std::move(err));
    else if (--*awaited == 0)
      promise.deliver(placed());
  };
}

} // namespace

template <class Child>
void node_state::start(child_spec spec, std::function<void(Child)> started,
                       std::function<void(caf::error)> failed) {
  if (!supervisor_) {
    failed(make_error(errc::cannot_place, "the node is no member yet"));
    return;
  }
  self->request(supervisor_, start_timeout, start_child{std::move(spec)})
      .then([started](const child_started& s) { started(caf::actor_cast<Child>(s.actor)); },
            [failed](const caf::error& err) { failed(err); });
}

void node_state::stop(const std::string& child) {
  if (!supervisor_) return;
  self->request(supervisor_, start_timeout, stop_child{child})
      .then([](const child_stopped&) {}, [](const caf::error&) {});
}

// -- replicas -------------------------------------------------------------------------------------

caf::result<replicas_placed> node_state::on_place_replicas(const place_replicas& p) {
  if (!supervisor_) return make_error(errc::cannot_place, "the node is no member yet");
  auto promise = self->make_response_promise<replicas_placed>();
  auto placed = after_all<replicas_placed>(p.shards.size(), promise, [this, shards = p.shards] {
    replicas_placed answer;
    for (auto shard : shards) answer.replicas.push_back(replicas_[shard].actor);
    return answer;
  });
  for (auto id : p.shards) {
    if (id.value >= job_->roles.ranges().size())
      return make_error(errc::cannot_place, to_string(id) + " is not of this job");
    spawn_replica(id, p, placed);
  }
  return promise;
}

void node_state::spawn_replica(shard_id id, const place_replicas& p,
                               std::function<void(caf::error)> then) {
  const auto& range = job_->roles.ranges()[id.value];
  shard_options o;
  o.id = id;
  o.node = own_id();
  o.core = job_->roles.for_shard(p.workers);
  o.core.pools = pools_of(self->system());
  o.slot = std::make_shared<shard_slot>();
  o.lease = lease_;
  o.scheduler = options.scheduler;
  o.recorder = options.recorder;
  o.instance = static_cast<std::uint16_t>(++replicas_begun_);
  if (!p.empty) {
    const auto initial = job_->roles.initial_parameters();
    o.slot->core = std::make_shared<shard_core>(
        o.core, range, std::span<const float>{initial}.subspan(range.first, range.size));
  }
  child_spec spec;
  spec.id = to_string(id) + " (" + std::to_string(replicas_begun_) + ")";
  replicas_[id] = {shard_actor{}, o.slot, spec.id};
  spec.restart = restart_when::temporary;
  spec.start = [o](caf::actor_system& system) { return system.spawn(shard, o); };
  start<shard_actor>(
      std::move(spec),
      [this, id, then](shard_actor actor) {
        replicas_[id].actor = std::move(actor);
        then({});
      },
      [then](caf::error err) { then(std::move(err)); });
}

void node_state::on_drop_replica(const drop_replica& d) {
  if (auto held = replicas_.extract(d.shard)) stop(held.mapped().child);
}

// -- workers --------------------------------------------------------------------------------------

caf::result<workers_placed> node_state::on_place_workers(const place_workers& p) {
  if (!supervisor_) return make_error(errc::cannot_place, "the node is no member yet");
  auto promise = self->make_response_promise<workers_placed>();
  waiting_workers_.push_back({p.workers, promise});
  spawn_waiting_workers();
  return promise;
}

void node_state::spawn_waiting_workers() {
  if (waiting_workers_.empty() && ready_workers_.empty()) return;
  if (!primaries_known()) return;
  for (auto& ready : std::exchange(ready_workers_, {}))
    start_worker(ready.id, std::move(ready.compute), std::move(ready.then));
  for (auto& waiting : std::exchange(waiting_workers_, {})) {
    auto placed =
        after_all<workers_placed>(waiting.ids.size(), waiting.promise, [this, ids = waiting.ids] {
          workers_placed answer;
          for (auto worker : ids) answer.workers.push_back(workers_[worker].actor);
          return answer;
        });
    for (auto id : waiting.ids) spawn_worker(id, placed);
  }
}

void node_state::spawn_worker(worker_id id, std::function<void(caf::error)> then) {
  child_spec spec;
  spec.id = compute_id(id);
  spec.start = [c = job_->roles.for_compute(id), id, spawn = options.spawn_compute,
                node = self->address()](caf::actor_system& system) {
    auto compute =
        spawn ? spawn(system, id, c) : compute_actor{system.spawn<caf::detached>(cpu_compute, c)};
    if (auto to = caf::actor_cast<caf::actor>(node))
      caf::anon_send(to, compute_started{id, compute});
    return compute;
  };
  start<compute_actor>(
      std::move(spec),
      [this, id, then](compute_actor compute) {
        if (compute)
          start_worker(id, std::move(compute), then);
        else
          then(make_error(errc::cannot_place, "the compute actor could not be started"));
      },
      [then](caf::error err) { then(std::move(err)); });
}

void node_state::start_worker(worker_id id, compute_actor compute,
                              std::function<void(caf::error)> then) {
  if (!primaries_known()) { // any more: the connection to one has closed, and is made again or
                            // replaced
    reached(probe::primary_lost_before_worker);
    ready_workers_.push_back({id, std::move(compute), std::move(then)});
    return;
  }
  auto w = job_->roles.for_worker(id);
  w.compute = compute;
  w.core.pools = pools_of(self->system());
  std::vector<shard_moved> primaries;
  for (std::uint32_t s = 0; s < job_->roles.ranges().size(); ++s) {
    shard_id shard{s};
    primaries.push_back(*primary_of(shard));
    const auto own = replicas_.find(shard);
    // A replica that was dropped while it was being started has no slot.
    const auto* slot = own != replicas_.end() ? own->second.slot.get() : nullptr;
    if (slot && slot->core && slot->core->shared())
      w.shared.push_back({shard, job_->roles.ranges()[s], slot->core->shared()});
    else
      w.core.remote.insert(shard);
  }
  w.peers = address_book{options.scheduler, primaries};
  w.recorder = options.recorder;
  child_spec spec;
  spec.id = to_string(id);
  spec.restart = restart_when::temporary;
  spec.start = [w](caf::actor_system& system) { return system.spawn(worker, w); };
  start<worker_impl_actor>(
      std::move(spec),
      [this, id, compute, then, primaries](worker_impl_actor actor) {
        workers_[id] = {actor, compute};
        // A view may have been installed while the worker was being started. What it was given
        // still holds, almost always: nothing is sent for every worker and shard.
        for (const auto& known : primaries)
          if (auto now = primary_of(known.shard);
              now && (now->view != known.view || !same_handle(now->primary, known.primary)))
            self->send(actor, std::move(*now));
        then({});
      },
      [then](caf::error err) { then(std::move(err)); });
}

void node_state::on_compute_started(const compute_started& c) {
  auto i = workers_.find(c.worker);
  if (i == workers_.end() || i->second.compute == c.compute) return;
  i->second.compute = c.compute;
  self->send(caf::actor_cast<worker_impl_actor>(i->second.actor), use_compute{c.compute});
}

// NODE-1
void node_state::on_child_event(const supervisor_event& e) {
  using enum supervisor_event::kind;
  if (membership_.ended() || (e.what != failed && e.what != ended)) return;
  for (auto i = workers_.begin(); i != workers_.end(); ++i)
    if (e.child == to_string(i->first)) {
      auto id = i->first;
      workers_.erase(i);
      stop(compute_id(id));
      self->send(options.scheduler, role_failed{own_id(), true, id.value, e.reason});
      return;
    }
  for (auto i = replicas_.begin(); i != replicas_.end(); ++i)
    if (e.child == i->second.child) {
      auto id = i->first;
      replicas_.erase(i);
      self->send(options.scheduler, role_failed{own_id(), false, id.value, e.reason});
      return;
    }
}

} // namespace troupe::actors
