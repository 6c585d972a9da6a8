#include "troupe/actors/shard.hpp"

#include <chrono>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/bulk_routes.hpp"
#include "troupe/supervisor.hpp"

namespace troupe::actors {

namespace {

// A worker has at most a few pushes open; what is older was given up and sent again.
constexpr std::size_t inbound_per_peer_max = 8;

// A lease that ran out is extended within a heartbeat or two if the scheduler lives.
constexpr auto lease_look = std::chrono::milliseconds(20);

} // namespace

void shard_state::start(shard_options o) {
  options = std::move(o);
  ids_ = transport::transfer_ids{own_peer()};
  const bool begun = core() != nullptr;
  record({.what = history::event_kind::replica_began,
          .detail = begun,
          .clock = begun ? options.core.workers : 0});
  self->delayed_send(self, options.resend_after, replica_tick{});
}

shard_state::counterpart& shard_state::known(peer_number number) {
  return peers_.try_emplace(number, own_number(number), options.core.pools.get()).first->second;
}

shard_state::counterpart& shard_state::introduce(peer_number number, const transfer_actor& handle) {
  auto& p = known(number);
  if (!same_handle(p.handle, handle)) {
    p.link.reach_over(bulk_lane_to(self->system(), handle));
    p.handle = handle;
  }
  give_credit(p);
  return p;
}

shard_state::counterpart& shard_state::introduce_puller(peer_number number,
                                                        const puller_actor& handle) {
  auto& p = known(number);
  if (!same_handle(p.puller, handle)) {
    p.puller = handle;
    return introduce(number, handle);
  }
  give_credit(p);
  return p;
}

// Every part is credited, also one that is dropped (TRANSFER-3).
void shard_state::took_in(const part& p) {
  auto& from = known(p.from);
  from.link.take(p);
  give_credit(from);
}

void shard_state::give_credit(counterpart& to) {
  if (to.handle) to.link.post_credit(poster(to));
}

void shard_state::on_part(const part& p) {
  took_in(p);
  if (transport::is_replica_peer(p.from)) {
    take_replica_part(p);
    return;
  }
  auto& from = known(p.from);
  if (core() && p.total != core()->size() * sizeof(float)) return;
  if (!arriving_from(from, p.transfer).bytes.add(p)) return;
  if (from.inbound.size() > inbound_per_peer_max)
    from.inbound.erase(std::ranges::min_element(from.inbound, {}, &arriving::transfer));
  accept_if_whole(from, p.transfer);
}

shard_state::arriving& shard_state::arriving_from(counterpart& p, transfer_id id) {
  const auto known = std::ranges::find(p.inbound, id, &arriving::transfer);
  return known != p.inbound.end() ? *known : p.inbound.emplace_back(arriving{id, {}, {}});
}

void shard_state::on_push(const push& p) {
  auto& from = introduce_puller(p.worker.value, p.from);
  // Sent again: what came of the earlier attempt is not needed any more.
  const auto dropped = std::erase_if(from.inbound, [&](const arriving& a) {
    return a.transfer < p.transfer && a.header && a.header->batch == p.batch;
  });
  if (dropped > 0) reached(probe::old_attempt_dropped);
  arriving_from(from, p.transfer).header =
      push{p.worker, p.clock, p.batch, p.seen_updates, p.transfer, p.from};
  for (const auto& first : p.first) on_part(first);
  accept_if_whole(from, p.transfer);
}

void shard_state::accept_if_whole(counterpart& from, transfer_id id) {
  if (!part_.primary || !core()) { // REPLICA-4
    reached(probe::push_waited_for_primary);
    return;
  }
  const auto i = std::ranges::find(from.inbound, id, &arriving::transfer);
  if (i == from.inbound.end() || !i->header || !i->bytes.complete()) return;
  auto arrived = std::move(*i);
  from.inbound.erase(i);
  auto& p = *arrived.header;
  using enum shard_change::kind;
  bool known = core()->applied(p.batch) || open_batches_.contains(p.batch);
  if (core()->applied(p.batch)) reached(probe::duplicate_dropped);
  if (open_batches_.contains(p.batch)) reached(probe::duplicate_of_open_change);
  if (known && took_over_) reached(probe::duplicate_after_failover);
  if (mutant_active(mutant::duplicate_applied)) known = false;
  if (mutant_active(mutant::acknowledged_before_applied))
    self->send(p.from, pushed{options.id, p.batch, id});
  shard_change change{known ? repeated : gradient, p.worker, p.clock, p.batch, p.seen_updates, {}};
  if (!known) change.gradient = arrived.bytes.take_parts();
  append(std::move(change), {.came_as = id, .pusher = std::move(p.from)});
}

// The primary's way to change anything.
void shard_state::append(shard_change change, owed_answer owed) {
  try {
    core()->check(change);
  } catch (const std::exception& e) {
    self->quit(make_error(errc::exception, e.what()));
    return;
  }
  if (change.what == shard_change::kind::gradient) open_batches_.insert(change.batch);
  if (options.recorder)
    record_change(history::event_kind::change_appended, log_.last() + 1, change, false);
  owed.sequence = log_.append(std::move(change));
  owed_answers_.push_back(std::move(owed));
  pump();
}

// What the primary owes for this change, which is applied now.
void shard_state::answer(std::uint64_t sequence, const shard_change& change) {
  if (owed_answers_.empty() || owed_answers_.front().sequence != sequence) return;
  const auto owed = std::move(owed_answers_.front());
  owed_answers_.pop_front();
  if (owed.then) owed.then();
  if (!owed.pusher) return;
  record({.what = history::event_kind::push_acknowledged,
          .worker = change.worker,
          .clock = change.clock,
          .sequence = sequence,
          .batch = change.batch});
  if (auto i = peers_.find(change.worker.value); i != peers_.end())
    i->second.link.answer(owed.came_as);
  self->send(owed.pusher, pushed{options.id, change.batch, owed.came_as,
                                 transport::key_of(options.core.pools.get())});
}

// Sends on, applies and acknowledges whatever may be.
void shard_state::pump() {
  while (auto next = log_.next_to_send()) send_change(next->first, *next->second);
  if (!core()) return;
  bool changed = false;
  while (auto next = log_.next_to_apply()) {
    const auto& change = *next->second;
    auto step = core()->current_step();
    bool fresh = core()->make(change);
    changed = true;
    if (options.recorder)
      record_change(history::event_kind::change_applied, next->first, change, fresh);
    for (; step < core()->current_step(); ++step)
      record({.what = history::event_kind::step_applied,
              .sequence = next->first,
              .batch = history::as_batch(step)});
    if (change.what == shard_change::kind::compare) compare(next->first);
    if (part_.primary) {
      open_batches_.erase(change.batch);
      if (fresh) ++figures_.pushes_taken;
      answer(next->first, change);
    }
    log_.was_applied();
  }
  if (!changed) return;
  acknowledge();
  after_change();
}

void shard_state::on_applied_in_place(const applied_in_place& p) {
  introduce_puller(p.worker.value, p.from);
  if (!core()) return;
  figures_.staleness.add(core()->clocks().staleness(p.clock));
  append({shard_change::kind::in_place, p.worker, p.clock, p.batch, unknown_updates, {}},
         {.pusher = p.from});
}

void shard_state::on_pull(const pull& p) {
  auto& from = introduce_puller(p.worker.value, p.from);
  from.link.answered(from.sending, p.key);
  const auto number = p.worker.value;
  const auto now = self->clock().now();
  const auto since = from.waiting ? from.waiting->since : now;
  from.waiting.reset();
  waiting_.remove(number);
  const bool alone = waiting_.size() == 0; // then it need not wait to be found first
  if (alone && may_answer_reads() && core()->may_read(p.clock, p.step)) {
    serve(from, p, since);
    return;
  }
  from.waiting = waiting_pull{p, since};
  waiting_.add(number, options.core.mode.batches_per_step() ? p.step : p.clock);
  if (!alone) serve_waiting();
}

void shard_state::on_serve_again() {
  serving_again_ = false;
  after_change();
}

bool shard_state::may_answer_reads() {
  if (!part_.primary || !core()) return false;
  const bool leased = mutant_active(mutant::read_lease_ignored) || !options.lease;
  if (leased || options.lease->valid(self->clock().now())) return true;
  reached(probe::read_blocked_by_lease); // REPLICA-3
  if (!std::exchange(serving_again_, true)) self->delayed_send(self, lease_look, serve_again{});
  return false;
}

void shard_state::serve_waiting() {
  if (waiting_.size() == 0 || !may_answer_reads()) return;
  const auto admitted = waiting_.take_admitted([this](peer_number number) {
    const auto& request = peers_.at(number).waiting->request;
    return core()->may_read(request.clock, request.step);
  });
  for (auto number : admitted) {
    auto& to = peers_.at(number);
    const auto [request, since] = *std::exchange(to.waiting, std::nullopt);
    serve(to, request, since);
  }
}

// What a peer has waited for `since` then may be read now.
void shard_state::serve(counterpart& p, const pull& request, caf::actor_clock::time_point since) {
  const caf::timespan blocked = self->clock().now() - since;
  figures_.blocked += blocked;
  // A step is read exactly as the step before it left it: nothing is missing from it.
  figures_.staleness.add(core()->reads_are_exact() ? 0 : core()->clocks().staleness(request.clock));
  const auto range = core()->read(request.worker, request.clock, request.step);
  record({.what = history::event_kind::pull_served,
          .detail = range.before_last_step,
          .worker = request.worker,
          .clock = request.clock,
          .sequence = log_.applied(),
          .batch = history::as_batch(request.step),
          .value = range.own_applied});
  send_range(p, request.transfer, range, blocked);
}

void shard_state::send_range(counterpart& to, transfer_id id, const shard_core::reading& range,
                             caf::timespan blocked) {
  // A puller has one pull open: it has the earlier range by now, or gave it up.
  to.link.give_up(to.sending);
  to.sending = id;
  const auto blocked_us = std::chrono::duration_cast<std::chrono::microseconds>(blocked).count();
  to.link.send(
      {id, range.parameters, range.parameters->data(), range.parameters->size() * sizeof(float)},
      [&](std::vector<part> first) {
        self->send(to.puller, parameters{options.id, id, range.own_applied, range.seen_updates,
                                         static_cast<std::uint64_t>(blocked_us), std::move(first)});
      },
      poster(to));
}

void shard_state::on_pull_snapshot(const pull_snapshot& p) {
  auto& from = introduce_puller(transport::evaluator_peer, p.from);
  from.link.answered(from.sending, p.key);
  waiting_snapshots_.assign(1, p);
  after_change();
}

void shard_state::after_change() {
  serve_waiting();
  if (waiting_snapshots_.empty() || !may_answer_reads()) return;
  std::erase_if(waiting_snapshots_, [this](const pull_snapshot& p) {
    auto range = p.epoch == no_epoch ? core()->current() : core()->of_epoch(p.epoch);
    if (!range) return false;
    if (p.epoch != no_epoch)
      record({.what = history::event_kind::snapshot_served,
              .sequence = log_.applied(),
              .batch = {p.epoch, 0}});
    send_range(known(transport::evaluator_peer), p.transfer, {range, 0, 0});
    return true;
  });
}

void shard_state::on_credit(const credit& c) {
  auto i = peers_.find(c.from);
  if (i == peers_.end()) return;
  if (part_.downstream && c.from == downstream_peer()) downstream_.moved = true;
  i->second.link.take(c, poster(i->second));
}

caf::result<clock_entered> shard_state::on_enter(const enter_clock& e) {
  if (!part_.primary || !core()) return make_error(errc::not_primary);
  auto promise = self->make_response_promise<clock_entered>();
  append({shard_change::kind::enter, e.worker, e.clock, {}, unknown_updates, {}},
         {.then = [this, promise, e]() mutable {
           const auto clock = core()->clocks().pushes_below(e.worker).value_or(e.clock);
           promise.deliver(clock_entered{e.worker, clock});
         }});
  return promise;
}

void shard_state::on_leave(const leave_clock& l) {
  if (l.gone) {
    peers_.erase(l.worker.value);
    waiting_.remove(l.worker.value);
  }
  if (!part_.primary || !core()) { // REPLICA-4
    reached(probe::leave_waited_for_primary);
    when_primary_.push_back([this, l] { on_leave(l); });
    return;
  }
  append({shard_change::kind::leave, l.worker, 0, {}, unknown_updates, {}}, {});
}

// What the history knows of every event of a replica.
void shard_state::record(history::event e) {
  if (!options.recorder) return;
  e.shard = options.id;
  e.node = options.node;
  e.instance = options.instance;
  e.view = static_cast<std::uint32_t>(part_.view.value);
  options.recorder->record(e);
}

void shard_state::record_change(history::event_kind what, std::uint64_t sequence,
                                const shard_change& change, bool fresh) {
  record({.what = what,
          .detail = static_cast<std::uint8_t>(change.what),
          .worker = change.worker,
          .clock = change.clock,
          .sequence = sequence,
          .batch = change.batch,
          .value = fresh});
}

shard_report shard_state::report() const {
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(figures_.blocked).count();
  return {options.id, figures_.pushes_taken, core() ? core()->duplicates_dropped() : 0,
          static_cast<std::uint64_t>(us), figures_.staleness};
}

shard_impl_actor::behavior_type shard(shard_state::self_pointer self, shard_options options) {
  auto& state = self->state;
  keep_exception_text(self);
  state.start(std::move(options));
  return {
      [&state](const push& p) { state.on_push(p); },
      [&state](const pull& p) { state.on_pull(p); },
      [&state](const pull_snapshot& p) { state.on_pull_snapshot(p); },
      [&state](const applied_in_place& p) { state.on_applied_in_place(p); },
      [&state](const part& p) { state.on_part(p); },
      [&state](const credit& c) { state.on_credit(c); },
      [&state](const replicate& r) { state.on_replicate(r); },
      [&state](const replicated& r) { state.on_replicated(r); },
      [&state](const replica_image& i) { state.on_image(i); },
      [&state](const become_replica& b) { state.on_become(b); },
      [&state](const take_image& t) { state.on_take_image(t); },
      [&state](const use_scheduler& u) { state.options.scheduler = u.scheduler; },
      [&state](const applied_request&) { return state.on_applied_request(); },
      [&state](const enter_clock& e) { return state.on_enter(e); },
      [&state](const leave_clock& l) { state.on_leave(l); },
      [&state](const report_request&) { return state.report(); },
      [&state](serve_again) { state.on_serve_again(); },
      [&state](replica_tick) { state.on_tick(); },
  };
}

} // namespace troupe::actors
