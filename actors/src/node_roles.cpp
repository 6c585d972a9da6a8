// What a node holds: replicas and workers, and how they find each other.
#include <algorithm>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/worker.hpp"

namespace troupe::actors {

namespace {

constexpr auto start_timeout = std::chrono::minutes(1);
constexpr auto find_timeout = std::chrono::seconds(5);
constexpr auto resolve_pause = std::chrono::milliseconds(100);
// An attempt to connect may hold the node for a second.
constexpr auto connect_pause = std::chrono::milliseconds(500);
// A node that cannot connect to this one, though this one can to it, is not waited for any longer.
constexpr auto greeting_patience = std::chrono::seconds(2);

// Beyond the epochs, whose permutations are streams of the same seed.
constexpr std::uint64_t batch_time_streams = std::uint64_t{1} << 32;

caf::timespan milliseconds(double ms) {
  return std::chrono::duration_cast<caf::timespan>(std::chrono::duration<double, std::milli>(ms));
}

std::string compute_id(worker_id id) { return "compute of " + to_string(id); }

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

// -- replicas -------------------------------------------------------------------------------------

caf::result<replicas_placed> node_state::on_place_replicas(const place_replicas& p) {
  if (!supervisor_) return make_error(errc::cannot_place, "the node is no member yet");
  auto promise = self->make_response_promise<replicas_placed>();
  auto awaited = std::make_shared<std::size_t>(p.shards.size());
  for (auto id : p.shards) {
    if (id.value >= ranges_.size())
      return make_error(errc::cannot_place, to_string(id) + " is not of this job");
    spawn_replica(id, p, [this, promise, awaited, shards = p.shards](caf::error err) mutable {
      if (err) promise.deliver(std::move(err));
      if (err || --*awaited > 0) return;
      replicas_placed placed;
      for (auto shard : shards) placed.replicas.push_back(replicas_[shard].actor);
      promise.deliver(std::move(placed));
    });
  }
  return promise;
}

void node_state::spawn_replica(shard_id id, const place_replicas& p,
                               std::function<void(caf::error)> then) {
  const auto& range = ranges_[id.value];
  shard_options o;
  o.id = id;
  o.node = id_;
  o.core = {*plan_, job_.train.consistency, job_.train.optimizer, p.workers,
            job_.train.staleness_damping};
  o.slot = std::make_shared<shard_slot>();
  o.lease = lease_;
  o.scheduler = options.scheduler;
  o.recorder = options.recorder;
  o.instance = static_cast<std::uint16_t>(++replicas_begun_);
  if (!p.empty) {
    auto model = work_.make_model();
    tensor::aligned_vector<float> initial(model->parameter_layout().size());
    model->initialize(job_.seed, initial);
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
  auto held = replicas_.extract(d.shard);
  if (held && supervisor_)
    self->request(supervisor_, start_timeout, stop_child{held.mapped().child})
        .then([](const child_stopped&) {}, [](const caf::error&) {});
}

// -- workers --------------------------------------------------------------------------------------

caf::result<workers_placed> node_state::on_place_workers(const place_workers& p) {
  if (!supervisor_) return make_error(errc::cannot_place, "the node is no member yet");
  auto promise = self->make_response_promise<workers_placed>();
  waiting_workers_.push_back({p.workers, promise});
  spawn_waiting_workers();
  return promise;
}

bool node_state::primaries_known() const {
  for (std::uint32_t s = 0; s < ranges_.size(); ++s)
    if (!primary_of(shard_id{s})) return false;
  return true;
}

void node_state::spawn_waiting_workers() {
  if (waiting_workers_.empty() && ready_workers_.empty()) return;
  if (!primaries_known()) return;
  for (auto& ready : std::exchange(ready_workers_, {}))
    start_worker(ready.id, std::move(ready.compute), std::move(ready.then));
  for (auto& waiting : std::exchange(waiting_workers_, {})) {
    auto awaited = std::make_shared<std::size_t>(waiting.ids.size());
    for (auto id : waiting.ids)
      spawn_worker(id, [this, waiting, awaited](caf::error err) mutable {
        if (err) waiting.promise.deliver(std::move(err));
        if (err || --*awaited > 0) return;
        workers_placed placed;
        for (auto worker : waiting.ids) placed.workers.push_back(workers_[worker].actor);
        waiting.promise.deliver(std::move(placed));
      });
  }
}

void node_state::spawn_worker(worker_id id, std::function<void(caf::error)> then) {
  bool slow = job_.inject.slow_worker == static_cast<std::int64_t>(id.value);
  cpu_compute_options c{work_,
                        data_,
                        *plan_,
                        orders_,
                        job_.seed,
                        job_.train.staleness_damping,
                        slow ? job_.inject.slow_factor : 1.0,
                        milliseconds(job_.inject.batch_ms_low),
                        milliseconds(job_.inject.batch_ms_high),
                        batch_time_streams | id.value};
  child_spec spec;
  spec.id = compute_id(id);
  spec.start = [c, id, spawn = options.spawn_compute,
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
  worker_options w;
  w.id = id;
  w.compute = compute;
  w.core = {*plan_, job_.train.consistency, job_.train.optimizer, ranges_, {}};
  std::vector<shard_moved> primaries;
  for (std::uint32_t s = 0; s < ranges_.size(); ++s) {
    shard_id shard{s};
    primaries.push_back(*primary_of(shard));
    auto own = replicas_.find(shard);
    if (own != replicas_.end() && own->second.slot->core && own->second.slot->core->shared())
      w.shared.push_back({shard, ranges_[s], own->second.slot->core->shared()});
    else
      w.core.remote.insert(shard);
  }
  w.peers = address_book{options.scheduler, primaries};
  w.recorder = options.recorder;
  w.duplicate_push_every = job_.inject.duplicate_push_every;
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
  if (ended_ || (e.what != failed && e.what != ended)) return;
  for (auto i = workers_.begin(); i != workers_.end(); ++i)
    if (e.child == to_string(i->first)) {
      auto id = i->first;
      workers_.erase(i);
      if (supervisor_)
        self->request(supervisor_, start_timeout, stop_child{compute_id(id)})
            .then([](const child_stopped&) {}, [](const caf::error&) {});
      self->send(options.scheduler, role_failed{id_, true, id.value, e.reason});
      return;
    }
  for (auto i = replicas_.begin(); i != replicas_.end(); ++i)
    if (e.child == i->second.child) {
      auto id = i->first;
      replicas_.erase(i);
      self->send(options.scheduler, role_failed{id_, false, id.value, e.reason});
      return;
    }
}

// -- views ----------------------------------------------------------------------------------------

void node_state::on_install_view(const install_view& v) {
  auto& known = views_[v.shard];
  if (v.number < known.number) {
    reached(probe::old_view_ignored);
    return;
  }
  known = v;
  // A replica that left the view may come back to it as another actor.
  std::erase_if(found_, [&v](const auto& entry) {
    auto [shard, node] = entry.first;
    auto in = [node = node](const auto& members) {
      return std::ranges::find(members, node, &node_contact::node) != members.end();
    };
    return shard == v.shard && !in(v.chain) && !in(v.learner);
  });
  answer_searches(v.shard);
  resolve(v.shard);
}

shard_actor node_state::handle_of(shard_id shard, node_id node) const {
  if (node == id_) {
    auto i = replicas_.find(shard);
    return i != replicas_.end() ? i->second.actor : shard_actor{};
  }
  auto i = found_.find({shard, node});
  return i != found_.end() ? i->second : shard_actor{};
}

// None while it cannot be reached from here.
std::optional<shard_moved> node_state::primary_of(shard_id shard) const {
  auto v = views_.find(shard);
  if (v == views_.end() || v->second.chain.empty()) return std::nullopt;
  auto primary = handle_of(shard, v->second.chain.front().node);
  if (!primary) return std::nullopt;
  return shard_moved{shard, v->second.number, std::move(primary)};
}

// NODE-5
node_actor node_state::reach(const node_contact& where) {
  if (auto known = nodes_.find(where.node); known != nodes_.end() || !options.connect)
    return known != nodes_.end() ? known->second : node_actor{};
  const bool holds = std::ranges::any_of(views_, [this](const auto& v) {
    auto here = [this](const auto& members) {
      return std::ranges::find(members, id_, &node_contact::node) != members.end();
    };
    return here(v.second.chain) || here(v.second.learner);
  });
  auto now = self->clock().now();
  auto since = wanted_since_.try_emplace(where.node, now).first->second;
  if (holds && id_ < where.node && now - since < greeting_patience) return {};
  auto until = unreachable_until_.find(where.node);
  if (until != unreachable_until_.end() && now < until->second) return {};
  auto reached = options.connect(where.at);
  if (!reached) {
    unreachable_until_[where.node] = self->clock().now() + connect_pause;
    return {};
  }
  know(where.node, *reached);
  self->send(*reached, greet{id_, node_actor{self}});
  return *reached;
}

void node_state::know(node_id id, const node_actor& node) {
  auto& known = nodes_[id];
  if (same_handle(known, node)) return;
  known = node;
  self->monitor(known);
}

// NODE-6. Not at once: when its process has ended, a view without it is on its way.
bool node_state::forget(const caf::actor_addr& node) {
  auto i = std::ranges::find_if(
      nodes_, [&](const auto& n) { return n.second && n.second.address() == node; });
  if (i == nodes_.end()) return false;
  const auto id = i->first;
  nodes_.erase(i);
  wanted_since_.erase(id);
  std::erase_if(found_, [id](const auto& entry) { return entry.first.second == id; });
  std::erase_if(asked_, [id](const auto& entry) { return entry.second == id; });
  for (const auto& [shard, view] : views_) resolve_later(shard);
  return true;
}

void node_state::on_greet(const greet& g) {
  know(g.node, g.actor);
  for (const auto& [shard, view] : views_) resolve(shard);
}

// All members of a view are looked up, not only those needed now: when the primary is lost, its
// successor is known already.
void node_state::resolve(shard_id id) {
  auto v = views_.find(id);
  if (ended_ || v == views_.end()) return;
  for (const auto* members : {&v->second.chain, &v->second.learner})
    for (const auto& member : *members)
      if (member.node != id_ && !found_.contains({id, member.node})) look_up(id, member);
  apply_view(id);
}

// Once, however many members of the view are out of reach: each of them looks for all.
void node_state::resolve_later(shard_id id) {
  if (to_resolve_.insert(id).second) self->delayed_send(self, resolve_pause, resolve_again{id});
}

void node_state::on_resolve_again(shard_id id) {
  to_resolve_.erase(id);
  resolve(id);
}

void node_state::look_up(shard_id shard, const node_contact& where) {
  if (!asked_.insert({shard, where.node}).second) return;
  auto give_up = [this, shard, node = where.node, c = clearings_] {
    if (c != clearings_) return;
    asked_.erase({shard, node});
    resolve_later(shard);
  };
  auto node = reach(where);
  if (!node) {
    give_up(); // a greeting comes sooner, or the time to connect all the same
    return;
  }
  self->request(node, find_timeout,
                find_replica{protocol_version, job_id_, shard, views_.at(shard).number})
      .then(
          [this, shard, id = where.node, c = clearings_](const replica_found& f) {
            if (c != clearings_) return;
            asked_.erase({shard, id});
            found_[{shard, id}] = f.replica;
            apply_view(shard);
          },
          [give_up](const caf::error&) { give_up(); });
}

void node_state::apply_view(shard_id id) {
  auto known = views_.find(id);
  if (known == views_.end() || known->second.chain.empty()) return;
  const auto& v = known->second;
  if (auto primary = primary_of(id)) {
    for (const auto& [worker, held] : workers_)
      if (held.actor) self->send(held.actor, *primary);
    spawn_waiting_workers();
  }
  auto own = replicas_.find(id);
  if (own == replicas_.end() || !own->second.actor) return;
  become_replica part{v.number, false, false, {}, no_node, false};
  auto place = std::ranges::find(v.chain, id_, &node_contact::node);
  if (place == v.chain.end()) {
    if (v.learner.empty() || v.learner.front().node != id_) return;
    part.learning = true;
  } else {
    part.primary = place == v.chain.begin();
    if (std::next(place) != v.chain.end()) {
      part.downstream_node = std::next(place)->node;
    } else if (!v.learner.empty()) {
      part.downstream_node = v.learner.front().node;
      part.downstream_learns = true;
    }
    if (part.downstream_node != no_node) {
      part.downstream = handle_of(id, part.downstream_node);
      if (!part.downstream && part.downstream_learns) reached(probe::learner_not_reached_yet);
      // A learner that cannot be reached yet holds nobody back.
      if (!part.downstream && !part.downstream_learns) return;
    }
  }
  self->send(own->second.actor, part);
}

} // namespace troupe::actors
