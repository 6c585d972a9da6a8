#include "troupe/actors/shard.hpp"

#include <chrono>

namespace troupe::actors {

namespace {

// A worker has at most a few pushes open; what is older was given up and sent again.
constexpr std::size_t inbound_per_peer_max = 8;

} // namespace

shard_state::peer& shard_state::introduce(peer_number number, const puller_actor& handle) {
  auto& p = peers_[number];
  p.handle = handle;
  for (auto& c : std::exchange(p.owed, {})) self->send(p.handle, c);
  return p;
}

void shard_state::flush(peer& p) {
  while (auto next = p.out.next()) self->send(p.handle, std::move(*next));
}

void shard_state::on_part(const part& p) {
  auto& from = peers_[p.from];
  // Every part is credited, also one that is dropped (TRANSFER-3).
  credit taken{1, options.id.value, p.transfer};
  if (from.handle)
    self->send(from.handle, taken);
  else
    from.owed.push_back(taken);
  if (p.total != core->size() * sizeof(float)) return;
  if (!from.inbound[p.transfer].bytes.add(p)) return;
  if (from.inbound.size() > inbound_per_peer_max) from.inbound.erase(from.inbound.begin());
  accept_if_whole(from, p.transfer);
}

void shard_state::on_push(const push& p) {
  auto& from = introduce(p.worker.value, p.from);
  // Sent again: what came of the earlier attempt is not needed any more.
  std::erase_if(from.inbound, [&](const auto& entry) {
    return entry.first < p.transfer && entry.second.header && entry.second.header->batch == p.batch;
  });
  from.inbound[p.transfer].header = p;
  accept_if_whole(from, p.transfer);
}

void shard_state::accept_if_whole(peer& from, transfer_id id) {
  auto i = from.inbound.find(id);
  if (i == from.inbound.end() || !i->second.header || !i->second.bytes.complete()) return;
  auto arrived = std::move(i->second);
  from.inbound.erase(i);
  const auto& p = *arrived.header;
  bool fresh = false;
  try {
    fresh = core->accept(p.worker, p.clock, p.batch, arrived.bytes.parts());
  } catch (const std::exception& e) {
    options.on_failure(e.what());
    return;
  }
  if (fresh) ++pushes_taken_;
  if (options.observer) options.observer->on_push(options.id, p.worker, p.clock, p.batch, fresh);
  self->send(p.from, pushed{options.id, p.batch});
  after_change();
}

void shard_state::on_applied_in_place(const applied_in_place& p) {
  introduce(p.worker.value, p.from);
  const auto& clocks = core->clocks();
  staleness_.add(clocks.staleness(p.clock));
  bool fresh = core->accept_in_place(p.worker, p.clock, p.batch, p.fresh);
  if (fresh) ++pushes_taken_;
  if (options.observer) options.observer->on_push(options.id, p.worker, p.clock, p.batch, fresh);
  self->send(p.from, pushed{options.id, p.batch});
  after_change();
}

void shard_state::on_pull(const pull& p) {
  auto& from = introduce(p.worker.value, p.from);
  auto since = from.waiting ? from.waiting->since : self->clock().now();
  from.waiting = waiting_pull{p, since};
  serve_waiting();
}

void shard_state::serve_waiting() {
  for (auto& [number, p] : peers_) {
    if (!p.waiting) continue;
    const auto& request = p.waiting->request;
    if (!core->may_read(request.worker, request.clock, request.step)) continue;
    blocked_ += self->clock().now() - p.waiting->since;
    const auto& clocks = core->clocks();
    auto oldest = clocks.oldest();
    // A step is read exactly as the step before it left it: nothing is missing from it.
    staleness_.add(core->reads_are_exact() ? 0 : clocks.staleness(request.clock));
    if (options.observer)
      options.observer->on_read(options.id, request.worker, request.clock, oldest);
    auto own = clocks.applied(request.worker).value_or(request.clock);
    auto done = std::move(*p.waiting);
    p.waiting.reset();
    send_range(p, done.request.transfer, own,
               core->read(done.request.worker, done.request.clock, done.request.step));
  }
}

void shard_state::send_range(peer& to, transfer_id id, clock_value own, const snapshot& range) {
  // A puller has one pull open: it has the earlier range by now, or gave it up.
  to.out.cancel(to.sending);
  to.sending = id;
  self->send(to.handle, parameters{options.id, id, own});
  to.out.add(cut(id, options.id.value, range, range->data(), range->size() * sizeof(float)));
  flush(to);
}

void shard_state::on_pull_snapshot(const pull_snapshot& p) {
  auto& from = introduce(evaluator_peer, p.from);
  waiting_snapshots_.clear();
  if (p.epoch == no_epoch) {
    send_range(from, p.transfer, 0, core->current());
    return;
  }
  core->drop_epochs_below(p.epoch);
  waiting_snapshots_.push_back(p);
  after_change();
}

void shard_state::after_change() {
  serve_waiting();
  std::erase_if(waiting_snapshots_, [this](const pull_snapshot& p) {
    auto range = core->of_epoch(p.epoch);
    if (!range) return false;
    send_range(peers_[evaluator_peer], p.transfer, 0, range);
    return true;
  });
}

void shard_state::on_credit(const credit& c) {
  auto i = peers_.find(c.from);
  if (i == peers_.end()) return;
  i->second.out.credit(c.transfer, c.parts);
  flush(i->second);
}

void shard_state::on_leave(const leave_clock& l) {
  core->clocks().leave(l.worker);
  if (l.gone) peers_.erase(l.worker.value);
  after_change();
}

shard_report shard_state::report() const {
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(blocked_).count();
  return {options.id, pushes_taken_, core->duplicates_dropped(), static_cast<std::uint64_t>(us),
          staleness_};
}

shard_actor::behavior_type shard(shard_state::self_pointer self, shard_options options,
                                 std::shared_ptr<shard_core> core) {
  auto& state = self->state;
  self->set_exception_handler(
      [id = options.id, on_failure = options.on_failure](std::exception_ptr& e) {
        return report_exception(to_string(id), e, on_failure);
      });
  state.options = std::move(options);
  state.core = std::move(core);
  return {
      [&state](const push& p) { state.on_push(p); },
      [&state](const pull& p) { state.on_pull(p); },
      [&state](const pull_snapshot& p) { state.on_pull_snapshot(p); },
      [&state](const applied_in_place& p) { state.on_applied_in_place(p); },
      [&state](const part& p) { state.on_part(p); },
      [&state](const credit& c) { state.on_credit(c); },
      [&state](const enter_clock& e) {
        state.core->clocks().enter(e.worker, e.clock);
        return clock_entered{e.worker};
      },
      [&state](const leave_clock& l) { state.on_leave(l); },
      [&state](const report_request&) { return state.report(); },
  };
}

} // namespace troupe::actors
