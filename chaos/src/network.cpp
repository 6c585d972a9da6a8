#include "network.hpp"

#include <algorithm>
#include <stdexcept>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/default_attachable.hpp>
#include <caf/detail/sync_request_bouncer.hpp>

namespace troupe::chaos {

namespace {

// What was told to overtake arrives earlier or later by up to so much.
constexpr sim_time reorder_span = std::chrono::milliseconds(5);

} // namespace

network::connection& network::between(system_number a, system_number b) {
  return connections_[std::minmax(a, b)];
}

network::path& network::path_of(std::uint32_t from, std::uint32_t to) { return paths_[{from, to}]; }

bool network::lives(system_number n) const {
  const auto& p = owner(n);
  return p.alive() && p.running_->number == n;
}

void network::fail(const std::string& why) {
  if (!world_.failure)
    world_.failure =
        std::make_exception_ptr(std::logic_error("[troupe::chaos::simulation] " + why));
}

// -- sending --------------------------------------------------------------------------------------

const network::message_type& network::type_of(process& from, const caf::message& m) {
  const auto rtti = m.type(0); // a number for CAF's own types, a type_info for all others
  const auto& info = rtti.second != nullptr ? *rtti.second : typeid(void);
  const std::pair key{rtti.first, std::type_index(info)};
  auto i = types_.find(key);
  if (i == types_.end()) {
    const auto& types = from.running_->system->types();
    message_type t;
    t.name = types.portable_name(rtti);
    if (t.name == types.default_type_name())
      fail("a message of an unregistered type was sent to another process: " +
           std::string(info.name()));
    t.datagram = options_.datagram && options_.datagram(t.name);
    t.hash = XXH64(t.name.data(), t.name.size(), 0);
    i = types_.emplace(key, std::move(t)).first;
  }
  return i->second;
}

void network::send(process& from, system_number to, caf::actor_id receiver,
                   caf::mailbox_element& what) {
  if (!from.alive()) return; // SIM-5
  auto& c = between(from.running_->number, to);
  if (!c.open) return; // SIM-4
  auto content = what.move_content_to_message();
  frame f;
  f.to = to;
  f.actor = receiver;
  bool datagram = false;
  if (!content.empty()) {
    const auto& type = type_of(from, content);
    f.type = type.hash;
    datagram = type.datagram && what.mid.is_async();
  }
  if (world_.failure) return;
  caf::binary_serializer sink{&from.running_->unit, f.bytes};
  if (auto err = sink(what.sender, what.mid, what.stages, content)) {
    fail("a message to another process cannot be serialized: " + caf::to_string(content) + ", " +
         caf::to_string(err));
    return;
  }
  post(from, std::move(f), datagram);
}

void network::watch(process& from, system_number to, caf::actor_id actor) {
  if (!from.alive()) return;
  frame f;
  f.what = kind::watch;
  f.to = to;
  f.actor = actor;
  if (!between(from.running_->number, to).open && connect(from, to) != outcome::open) {
    // Somebody passed the handle on, and this process cannot get there.
    auto down = down_of(from, actor, caf::make_error(caf::exit_reason::remote_link_unreachable));
    down.from = to;
    down.to = from.running_->number;
    down.local = true;
    schedule(path_of(from.number(), from.number()), std::move(down), false);
    return;
  }
  post(from, std::move(f), false);
}

void network::link(process& from, system_number to, caf::actor_id actor, caf::abstract_actor& own,
                   bool linked) {
  if (!from.alive() || !between(from.running_->number, to).open) return;
  frame f;
  f.what = linked ? kind::link : kind::unlink;
  f.to = to;
  f.actor = actor;
  f.other = own.id();
  f.own = caf::weak_actor_ptr{own.ctrl()};
  post(from, std::move(f), false);
}

network::frame network::down_of(process& at, caf::actor_id actor, caf::error reason) {
  frame f;
  f.what = kind::down;
  f.actor = actor;
  caf::binary_serializer sink{&at.running_->unit, f.bytes};
  if (sink(reason)) f.bytes.clear();
  return f;
}

void network::post(process& from, frame f, bool datagram) {
  f.from = from.running_->number;
  f.connection = between(f.from, f.to).number;
  auto& p = path_of(from.number(), owner(f.to).number());
  if (datagram && happens(p.properties.drop)) return;
  if (datagram && happens(p.properties.duplicate)) schedule(p, f, true);
  schedule(p, std::move(f), datagram);
}

void network::schedule(path& p, frame f, bool datagram) {
  f.sequence = ++next_sequence_;
  const auto& l = p.properties;
  auto at = world_.now;
  if (l.bytes_per_second > 0) {
    p.line_free = std::max(p.line_free, world_.now) +
                  sim_time(static_cast<std::int64_t>(1e9 * static_cast<double>(f.bytes.size()) /
                                                     l.bytes_per_second));
    at = p.line_free;
  }
  at += options_.latency_min + draw(options_.latency_max - options_.latency_min) + l.latency +
        draw(l.jitter);
  if (datagram && happens(l.reorder)) {
    at += draw(reorder_span);
  } else {
    at = std::max(at, p.last_arrival); // SIM-3
    p.last_arrival = at;
  }
  if (p.cuts != 0)
    p.held.emplace(f.sequence, std::move(f));
  else
    in_flight_.emplace(event_key{at, f.sequence}, std::move(f));
}

// -- arriving -------------------------------------------------------------------------------------

std::optional<sim_time> network::next_due() const {
  if (in_flight_.empty()) return std::nullopt;
  return in_flight_.begin()->first.first;
}

void network::deliver_due() {
  while (!in_flight_.empty() && in_flight_.begin()->first.first <= world_.now)
    arrive(std::move(in_flight_.extract(in_flight_.begin()).mapped()));
}

void network::arrive(frame f) {
  auto& to = owner(f.to);
  auto& p = path_of(owner(f.from).number(), to.number());
  if (p.cuts != 0 && !f.local) {
    p.held.emplace(f.sequence, std::move(f));
    return;
  }
  if (!lives(f.to)) return;
  if (!f.local && f.connection != between(f.from, f.to).number) return;
  if (to.paused()) {
    waiting_[to.number()].push_back(std::move(f));
    return;
  }
  deliver(to, f);
}

void network::deliver(process& to, frame& f) {
  world_.log.add({1, static_cast<std::uint64_t>(world_.now.count()), f.from, f.to,
                  static_cast<std::uint64_t>(f.what), f.actor, f.type, f.bytes.size()});
  if (world_.trace)
    world_.trace(std::to_string(world_.now.count()) + " " + owner(f.from).name() + " -> " +
                 to.name() + " kind " + std::to_string(static_cast<int>(f.what)) + " actor " +
                 std::to_string(f.actor) + " bytes " + std::to_string(f.bytes.size()));
  auto& live = *to.running_;
  switch (f.what) {
  case kind::message:
    deliver_message(to, f);
    break;
  case kind::watch:
    deliver_watch(to, f);
    break;
  case kind::down: {
    caf::error reason;
    caf::binary_deserializer source{&live.unit, f.bytes};
    if (source(reason)) reason = caf::exit_reason::unknown;
    live.proxies->erase(node_id_of(f.from), f.actor, std::move(reason));
    break;
  }
  case kind::link:
  case kind::unlink: {
    // As if the frame held a handle: the watch of the proxy finds it in its system. (Not when it
    // was sent: then both ends of the link are locked.)
    if (auto own = f.own.lock(); own && lives(f.from))
      owner(f.from).running_->system->registry().put(f.other, own);
    auto local = live.system->registry().get(f.actor);
    auto proxy = live.proxies->get_or_put(node_id_of(f.from), f.other);
    if (!local || !proxy) break;
    // When the other end dies, its proxy does, and tells `local`.
    if (f.what == kind::link) {
      proxy->get()->attach(caf::default_attachable::make_link(proxy->address(), local->address()));
    } else {
      caf::default_attachable::observe_token token{local->address(), caf::default_attachable::link};
      proxy->get()->detach(token);
    }
    break;
  }
  case kind::closed:
    close(to, f.from);
    break;
  }
}

void network::deliver_message(process& to, frame& f) {
  auto& live = *to.running_;
  caf::binary_deserializer source{&live.unit, f.bytes};
  caf::strong_actor_ptr sender;
  caf::message_id id;
  caf::mailbox_element::forwarding_stack stages;
  caf::message content;
  if (auto err = source(sender, id, stages, content)) {
    fail("a message from another process cannot be read: " + caf::to_string(err));
    return;
  }
  auto receiver = live.system->registry().get(f.actor);
  if (receiver)
    receiver->enqueue(
        caf::make_mailbox_element(std::move(sender), id, std::move(stages), std::move(content)),
        &live.unit);
  else
    caf::detail::sync_request_bouncer{caf::make_error(caf::exit_reason::remote_link_unreachable)}(
        sender, id);
}

void network::deliver_watch(process& to, const frame& f) {
  auto tell = [this, &to, other = f.from, number = f.connection,
               actor = f.actor](const caf::error& reason) {
    if (!to.alive() || between(to.running_->number, other).number != number) return;
    auto down = down_of(to, actor, reason);
    down.to = other;
    post(to, std::move(down), false);
  };
  if (auto local = to.running_->system->registry().get(f.actor))
    local->get()->attach_functor(tell);
  else
    tell(caf::make_error(caf::exit_reason::unknown));
}

// -- connections ----------------------------------------------------------------------------------

network::outcome network::connect(process& from, system_number to) {
  auto& there = owner(to);
  if (!lives(to)) return outcome::refused;
  auto& c = between(from.running_->number, to);
  if (c.open) return outcome::open;
  if (there.paused() || path_of(from.number(), there.number()).cuts != 0 ||
      path_of(there.number(), from.number()).cuts != 0)
    return outcome::silent;
  c.open = true;
  c.number = ++next_connection_;
  return outcome::open;
}

void network::close(process& at, system_number other) {
  auto& c = between(at.running_->number, other);
  if (c.open) c.number = ++next_connection_;
  c.open = false;
  at.running_->proxies->erase(node_id_of(other));
}

void network::ended(process& p, bool silently) {
  waiting_.erase(p.number());
  const auto number = p.running_->number;
  for (auto& [ends, c] : connections_) {
    if (!c.open || (ends.first != number && ends.second != number)) continue;
    const auto other = ends.first == number ? ends.second : ends.first;
    if (silently) {
      c.number = ++next_connection_; // in flight: lost
      continue;
    }
    frame f;
    f.what = kind::closed;
    f.from = number;
    f.to = other;
    f.connection = c.number;
    schedule(path_of(p.number(), owner(other).number()), std::move(f), false);
  }
}

void network::restarted(process& p) {
  for (auto& [ends, c] : connections_) {
    if (!c.open) continue;
    for (auto [gone, other] : {ends, std::pair{ends.second, ends.first}}) {
      if (&owner(gone) != &p || lives(gone) || !lives(other)) continue;
      frame f;
      f.what = kind::closed;
      f.from = gone;
      f.to = other;
      f.connection = c.number;
      schedule(path_of(p.number(), owner(other).number()), std::move(f), false);
    }
  }
}

void network::resumed(process& p) {
  auto frames = waiting_.extract(p.number());
  if (frames.empty()) return;
  for (auto& f : frames.mapped()) arrive(std::move(f));
}

partition_number network::cut(process& a, process& b, bool one_way) {
  partitions_[++next_partition_] = {&a, &b, one_way};
  ++path_of(a.number(), b.number()).cuts;
  if (!one_way) ++path_of(b.number(), a.number()).cuts;
  return next_partition_;
}

void network::heal(partition_number n) {
  auto ended = partitions_.extract(n);
  if (ended.empty()) return;
  const auto [a, b, one_way] = ended.mapped();
  mend(path_of(a->number(), b->number()));
  if (!one_way) mend(path_of(b->number(), a->number()));
}

void network::mend(path& p) {
  if (--p.cuts != 0) return;
  for (auto& [sequence, f] : std::exchange(p.held, {})) {
    // Sent again, in the order of before.
    p.last_arrival = std::max(p.last_arrival, world_.now + options_.latency_max);
    in_flight_.emplace(event_key{p.last_arrival, sequence}, std::move(f));
  }
}

void network::break_connection(partition_number n) {
  auto i = partitions_.find(n);
  if (i == partitions_.end()) return;
  auto& a = *i->second.a;
  auto& b = *i->second.b;
  if (!a.alive() || !b.alive()) return;
  const auto first = a.running_->number;
  const auto second = b.running_->number;
  auto& c = between(first, second);
  if (!c.open) return;
  c.open = false;
  c.number = ++next_connection_; // in flight: lost
  for (auto [at, other] : {std::pair{&a, second}, std::pair{&b, first}}) {
    frame f;
    f.what = kind::closed;
    f.from = other;
    f.to = at->running_->number;
    f.local = true;
    if (at->paused())
      waiting_[at->number()].push_back(std::move(f));
    else
      close(*at, other);
  }
}

} // namespace troupe::chaos
