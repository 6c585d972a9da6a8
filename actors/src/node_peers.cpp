// How the replicas of a job find each other: connections, searches, and what follows from a view.
#include <algorithm>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/node.hpp"
#include "troupe/actors/worker.hpp"

namespace troupe::actors {

namespace {

constexpr auto find_timeout = std::chrono::seconds(5);

dialer_actor::behavior_type
dialer(dialer_actor::pointer,
       const std::function<caf::expected<node_actor>(const contact&)>& connect) {
  return {[connect](const dial& d) -> dialed {
    auto reached = connect(d.at);
    if (!reached) return {{}, reason_of(reached.error())};
    return {*reached, {}};
  }};
}

} // namespace

// -- other nodes' searches ------------------------------------------------------------------------

caf::result<replica_found> node_state::on_find_replica(const find_replica& f) {
  using enum directory::admission;
  if (f.version != protocol_version)
    return make_error(errc::protocol_mismatch, "expected protocol version " +
                                                   std::to_string(protocol_version) + ", found " +
                                                   std::to_string(f.version));
  const auto job_id = job_ ? job_->id : std::string{};
  if (f.job_id != job_id)
    return make_error(errc::job_mismatch, "expected job " + job_id + ", found " + f.job_id);
  switch (peers_.admit(f.shard, f.view)) {
  case wait: {
    reached(probe::search_waited_for_view);
    auto promise = self->make_response_promise<replica_found>();
    searches_.push_back({f, promise});
    return promise;
  }
  case refuse:
    reached(probe::search_of_old_view);
    return make_error(errc::no_such_shard, to_string(f.shard) + " is in " +
                                               to_string(peers_.view(f.shard)->number) +
                                               ", not in " + to_string(f.view) + " any more");
  case answer:
    break;
  }
  auto found = replica_of(f.shard);
  if (!found) return found.error();
  return *found;
}

shard_actor node_state::own_replica(shard_id shard) const {
  auto i = replicas_.find(shard);
  return i != replicas_.end() ? i->second.actor : shard_actor{};
}

caf::expected<replica_found> node_state::replica_of(shard_id shard) const {
  auto own = own_replica(shard);
  if (!own) return make_error(errc::no_such_shard, to_string(shard) + " does not live here");
  return replica_found{std::move(own)};
}

// Those that waited for the view that is known now, and in vain those of a view in between.
void node_state::answer_searches(shard_id shard) {
  using enum directory::admission;
  std::erase_if(searches_, [&](waiting_search& s) {
    if (s.what.shard != shard) return false;
    const auto now = peers_.admit(shard, s.what.view);
    if (now == wait) return false;
    auto found = replica_of(shard);
    if (now == refuse) found = make_error(errc::no_such_shard, "the view was replaced");
    if (found)
      s.promise.deliver(*found);
    else
      s.promise.deliver(found.error());
    return true;
  });
}

// -- own searches ---------------------------------------------------------------------------------

void node_state::on_install_view(const install_view& v) {
  scheduler::shard_view view{v.number, {}, {}};
  for (const auto& member : v.chain) view.chain.push_back(member.node);
  if (!v.learner.empty()) view.learner = v.learner.front().node;
  if (!peers_.install(v.shard, std::move(view))) return;
  for (const auto* members : {&v.chain, &v.learner})
    for (const auto& member : *members) contacts_[member.node] = member.at;
  answer_searches(v.shard);
  resolve(v.shard);
}

void node_state::on_greet(const greet& g) {
  know(g.node, g.actor);
  for (auto shard : peers_.shards()) resolve(shard);
}

void node_state::resolve(shard_id id) {
  if (membership_.ended()) return;
  for (const auto& s : peers_.searches(id)) look_up(s);
  apply_view(id);
}

void node_state::resolve_later(shard_id id) {
  self->delayed_send(self, directory::search_pause, resolve_again{id});
}

void node_state::on_resolve_again(shard_id id) {
  peers_.look_again(id);
  resolve(id);
}

void node_state::look_up(const directory::search& s) {
  auto give_up = [this, s] {
    if (peers_.not_found(s)) resolve_later(s.shard);
  };
  auto node = reach(s.node);
  if (!node) {
    give_up(); // a greeting comes sooner, or the time to connect all the same
    return;
  }
  self->request(node, find_timeout, find_replica{protocol_version, job_->id, s.shard, s.view})
      .then(
          [this, s](const replica_found& f) {
            if (peers_.found(s, f.replica)) apply_view(s.shard);
          },
          [give_up](const caf::error&) { give_up(); });
}

// Null: not now. When the node has been reached, all shards are resolved again.
node_actor node_state::reach(node_id id) {
  using enum directory::route;
  const auto route = peers_.route_to(id, self->clock().now());
  if (route == connected) return peers_.nodes().at(id);
  if (route == connect && dialer_ && dialing_.insert(id).second) dial_to(id);
  return {};
}

void node_state::dial_to(node_id id) {
  self->request(dialer_, caf::infinite, dial{contacts_.at(id)}).then([this, id](const dialed& d) {
    dialing_.erase(id);
    if (!d.node) {
      if (peers_.unreachable(id, self->clock().now()))
        self->send(options.scheduler, reach_report{own_id(), address_of(contacts_.at(id)), d.why});
      return;
    }
    self->send(d.node, greet{own_id(), node_actor{self}});
    on_greet({id, d.node});
  });
}

void node_state::start_dialer() {
  if (options.connect) dialer_ = self->spawn<caf::linked>(dialer, options.connect);
}

void node_state::know(node_id id, const node_actor& node) {
  if (!node) return; // of a greeting, which comes from outside
  const auto known = peers_.nodes().find(id);
  if (known != peers_.nodes().end() && same_handle(known->second, node)) return;
  if (peers_.connected(id, node))
    self->send(options.scheduler, reach_report{own_id(), address_of(contacts_.at(id)), {}});
  self->monitor(node);
}

// -- what follows from a view ---------------------------------------------------------------------

bool node_state::primaries_known() const {
  for (std::uint32_t s = 0; s < job_->roles.ranges().size(); ++s)
    if (!primary_of(shard_id{s})) return false;
  return true;
}

// None while it cannot be reached from here.
std::optional<shard_moved> node_state::primary_of(shard_id shard) const {
  auto known = peers_.primary(shard, own_replica(shard));
  if (!known) return std::nullopt;
  return shard_moved{shard, known->view, std::move(known->replica)};
}

void node_state::apply_view(shard_id id) {
  if (auto primary = primary_of(id)) {
    for (const auto& [worker, held] : workers_)
      if (held.actor) self->send(held.actor, *primary);
    spawn_waiting_workers();
  }
  const auto own = own_replica(id);
  if (!own) return;
  auto part = peers_.part(id);
  if (!part) return;
  become_replica b{part->view, part->primary, part->learning, {}, no_node, false};
  if (part->next) {
    b.downstream = std::move(part->next->replica);
    b.downstream_node = part->next->node;
    b.downstream_learns = part->next->learns;
  }
  self->send(own, b);
}

} // namespace troupe::actors
