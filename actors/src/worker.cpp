#include "troupe/actors/worker.hpp"

#include <algorithm>
#include <bit>
#include <chrono>

#include "troupe/actors/bulk_routes.hpp"
#include "troupe/supervisor.hpp"

namespace troupe::actors {

namespace {

constexpr caf::timespan resend_at_most = std::chrono::minutes(1);

} // namespace

void worker_state::start(worker_options o) {
  options_ = std::move(o);
  core_.emplace(options_.core);
  ids_ = transport::transfer_ids{options_.id.value};
  shards_.assign(options_.core.ranges.size(),
                 transport::peer{options_.id.value, options_.core.pools.get()});
  blocked_.resize(options_.core.ranges.size());
  for (auto shard : options_.core.remote)
    shards_[shard.value].reach_over(bulk_lane_to(self->system(), options_.peers.shard(shard)));
  self->delayed_send(self, options_.resend_after, resend_tick{});
}

void worker_state::record(history::event e) {
  if (!options_.recorder) return;
  e.worker = options_.id;
  options_.recorder->record(e);
}

void worker_state::on_lease(const batch_lease& l) {
  for (auto batch : l.batches)
    record({.what = history::event_kind::lease_received, .clock = l.clock_floor, .batch = batch});
  core_->lease(l.batches, l.clock_floor);
  step();
}

void worker_state::step() {
  // A computation that begins frees the buffer that the next pull needs, so it is asked first.
  for (bool again = true; std::exchange(again, false);) {
    if (auto order = core_->begin_compute()) {
      begin(std::move(*order));
      again = true;
    }
    if (auto order = core_->begin_pull()) {
      begin(*order);
      again = true;
    }
  }
  if (auto next = core_->waits_for(); account_.doing() != next)
    account_.turn(next, self->clock().now());
}

void worker_state::begin(const worker_core::pull_order& order) {
  pull_patience_ = options_.resend_after;
  pull_ = order;
  pull_moved_ = self->clock().now();
  admitted_ = {};
  for (auto shard : options_.core.remote) {
    const auto& range = options_.core.ranges[shard.value];
    auto id = ids_.next();
    pulls_.begin(shard.value, {order.target->data() + range.first, range.size}, id,
                 transport::local_parts::kept);
    send_pull(shard, id);
  }
}

void worker_state::send_pull(shard_id shard, transfer_id id) {
  record({.what = history::event_kind::pull_sent,
          .shard = shard,
          .clock = pull_->clock,
          .batch = history::as_batch(pull_->step)});
  auto& from = shards_[shard.value];
  from.asked();
  self->send(options_.peers.shard(shard),
             pull{options_.id, pull_->clock, pull_->step, id, puller_actor{self}, from.key()});
}

void worker_state::on_parameters(const parameters& p) {
  // Far beyond any real wait, and safe to count with.
  constexpr std::uint64_t longest_us = 1'000'000'000'000;
  if (!options_.core.remote.contains(p.shard)) return;
  blocked_[p.shard.value] = std::chrono::microseconds(std::min(p.blocked_us, longest_us));
  landed(pulls_.announced(p.shard.value, p.transfer, p.own_applied, p.seen_updates));
  for (const auto& first : p.first) on_part(first);
}

void worker_state::on_part(const part& p) {
  if (p.from >= shards_.size()) return;
  pull_moved_ = self->clock().now();
  auto range = pulls_.add(p);
  shards_[p.from].take(p);
  shards_[p.from].post_credit(poster(shard_id{p.from}));
  landed(std::move(range));
}

void worker_state::landed(std::optional<transport::range_pulls::whole> range) {
  if (!range) return;
  record({.what = history::event_kind::parameters_landed,
          .shard = shard_id{range->shard},
          .clock = pull_->clock,
          .sequence = range->seen_updates,
          .batch = history::as_batch(pull_->step),
          .value = range->own_applied});
  const auto now = self->clock().now();
  admitted_ = std::max(admitted_, now - blocked_[range->shard]);
  core_->landed(shard_id{range->shard}, range->own_applied, range->seen_updates,
                std::move(range->kept));
  // Without the bound the last range would have been here at `admitted_`: so much of the wait that
  // ends now is the bound's.
  if (account_.doing() == scheduler::activity::parameters && pulls_.all_landed())
    account_.attribute(scheduler::activity::bound, now - admitted_);
  step();
}

void worker_state::begin(worker_core::compute_order order) {
  ++push_count_;
  auto& open = pushes_[order.batch];
  open = {};
  open.transfers.resize(options_.core.ranges.size());
  open.patience = options_.resend_after;
  open.twice =
      options_.duplicate_push_every != 0 && push_count_ % options_.duplicate_push_every == 0;
  compute(std::move(order));
}

void worker_state::compute(worker_core::compute_order order) {
  // No timeout could be told from a long batch; a compute actor that dies answers with an error,
  // and its supervisor starts another one (use_compute).
  constexpr auto compute_timeout = std::chrono::minutes(24 * 60);
  const auto attempt = ++attempts_;
  in_hand_.push_back(attempt);
  self->request(options_.compute, compute_timeout,
                compute_task{std::move(order), options_.shared, attempt, gradient_listener{self}})
      .then([this, attempt](const computed& result) { on_computed(attempt, result); },
            [](const caf::error&) {});
}

void worker_state::on_compute(const use_compute& u) {
  options_.compute = u.compute;
  in_hand_.clear();
  for (auto& order : core_->compute_again()) {
    const auto& transfers = pushes_.at(order.batch).transfers;
    for (auto shard : options_.core.remote)
      shards_[shard.value].give_up(transfers[shard.value]); // WORKER-7
    compute(std::move(order));
  }
}

void worker_state::on_ready(const gradient_ready& r) {
  if (in_hand_.empty() || r.attempt != in_hand_.front()) return;
  if (auto order = core_->ready(r.first)) push_now(*order);
}

void worker_state::push_now(const worker_core::push_order& order) {
  auto& open = pushes_.at(order.batch);
  open.moved = self->clock().now();
  for (auto shard : order.shards) {
    send_push(shard, order, open);
    if (open.twice) send_push(shard, order, open);
  }
}

void worker_state::on_computed(std::uint64_t attempt, const computed& result) {
  if (in_hand_.empty() || attempt != in_hand_.front()) return; // of one that was lost since
  if (!result.error.empty()) {
    self->quit(make_error(errc::exception,
                          to_string(options_.id) + " could not compute a batch: " + result.error));
    return;
  }
  in_hand_.pop_front();
  account_.attribute(scheduler::activity::computing, result.took);
  account_.turn(scheduler::activity::other, self->clock().now());
  auto order = core_->computed();
  auto& open = pushes_.at(order.batch);
  open.fresh = result.fresh;
  open.loss = result.loss;
  // The next batch first, if it was not handed over yet: to push takes a while, and the compute
  // actor would stand still. The next pull last, so that it finds this gradient applied.
  if (auto next = core_->begin_compute()) begin(std::move(*next));
  push_now(order);
  step();
}

void worker_state::send_push(shard_id shard, const worker_core::push_order& order,
                             open_push& open) {
  record({.what = history::event_kind::push_sent,
          .detail = !options_.core.remote.contains(shard),
          .shard = shard,
          .view = static_cast<std::uint32_t>(options_.peers.view(shard).value),
          .clock = order.clock,
          .batch = order.batch});
  if (!options_.core.remote.contains(shard)) {
    self->send(options_.peers.shard(shard),
               applied_in_place{options_.id, order.clock, order.batch, open.fresh[shard],
                                pusher_actor{self}});
    return;
  }
  auto id = ids_.next();
  open.transfers[shard.value] = id;
  const auto& range = options_.core.ranges[shard.value];
  shards_[shard.value].send(
      {id, order.gradient, order.gradient->data() + range.first, range.size * sizeof(float)},
      [&](std::vector<part> first) {
        self->send(options_.peers.shard(shard),
                   push{options_.id, order.clock, order.batch, order.seen_updates[shard.value], id,
                        pusher_actor{self}, std::move(first)});
      },
      poster(shard));
}

void worker_state::on_credit(const credit& c) {
  shard_id shard{c.from};
  if (!options_.core.remote.contains(shard)) return;
  for (auto& [batch, open] : pushes_)
    if (open.transfers[shard.value] == c.transfer) open.moved = self->clock().now();
  shards_[shard.value].take(c, poster(shard));
}

void worker_state::on_pushed(const pushed& p) {
  record({.what = history::event_kind::acknowledgement_seen, .shard = p.shard, .batch = p.batch});
  if (options_.core.remote.contains(p.shard)) {
    auto& from = shards_[p.shard.value];
    from.answered(p.transfer, p.key);
    // Of an attempt after the one that is answered nothing more is needed either.
    if (auto i = pushes_.find(p.batch); i != pushes_.end())
      if (auto last = i->second.transfers[p.shard.value]; last != p.transfer) from.give_up(last);
    from.flush(poster(p.shard));
  }
  if (!core_->pushed(p.shard, p.batch)) return;
  auto done = pushes_.extract(p.batch);
  record({.what = history::event_kind::batch_finished,
          .clock = core_->next_clock(),
          .batch = p.batch});
  self->send(options_.peers.scheduler(),
             batch_done{options_.id, p.batch, core_->next_clock(),
                        std::bit_cast<std::uint64_t>(done.mapped().loss), account_.spent()});
  step();
}

void worker_state::on_moved(const shard_moved& m) {
  if (!options_.peers.replace(m)) return;
  // What the old primary has not confirmed goes to the new one, which drops what it has.
  shards_[m.shard.value].moved(bulk_lane_to(self->system(), m.primary));
  for (auto shard : pulls_.open())
    if (shard == m.shard.value) {
      reached(probe::pull_from_new_primary);
      auto id = ids_.next();
      pulls_.restart(shard, id);
      send_pull(m.shard, id);
    }
  for (const auto& [order, missing] : core_->unconfirmed_pushes())
    if (std::ranges::find(missing, m.shard) != missing.end()) {
      reached(probe::push_to_new_primary);
      send_push(m.shard, order, pushes_.at(order.batch));
    }
}

leases_held worker_state::on_lease_request() const {
  return {options_.id, core_->next_clock(), core_->held(), worker_actor{self}};
}

void worker_state::on_tick() {
  for (auto shard : options_.core.remote) shards_[shard.value].flush(poster(shard)); // TRANSFER-7
  auto now = self->clock().now();
  if (now - pull_moved_ >= pull_patience_) {
    pull_moved_ = now;
    pull_patience_ = std::min(2 * pull_patience_, resend_at_most);
    for (auto shard : pulls_.open()) {
      reached(probe::pull_sent_again);
      auto id = ids_.next();
      pulls_.restart(shard, id);
      send_pull(shard_id{shard}, id);
    }
  }
  for (const auto& [order, missing] : core_->unconfirmed_pushes()) {
    auto& open = pushes_.at(order.batch);
    if (now - open.moved < open.patience) continue;
    open.moved = now;
    open.patience = std::min(2 * open.patience, resend_at_most);
    if (mutant_active(mutant::resend_dropped)) continue;
    reached(probe::push_sent_again);
    for (auto shard : missing) {
      if (options_.core.remote.contains(shard))
        shards_[shard.value].give_up(open.transfers[shard.value]);
      send_push(shard, order, open);
    }
  }
  self->delayed_send(self, options_.resend_after, resend_tick{});
}

worker_impl_actor::behavior_type worker(worker_state::self_pointer self, worker_options options) {
  auto& state = self->state;
  keep_exception_text(self);
  state.start(std::move(options));
  return {
      [&state](const parameters& p) { state.on_parameters(p); },
      [&state](const part& p) { state.on_part(p); },
      [&state](const credit& c) { state.on_credit(c); },
      [&state](const pushed& p) { state.on_pushed(p); },
      [&state](const batch_lease& l) { state.on_lease(l); },
      [&state](const shard_moved& m) { state.on_moved(m); },
      [&state](const use_scheduler& u) { state.use(u.scheduler); },
      [&state](const lease_request&) { return state.on_lease_request(); },
      [&state](const use_compute& u) { state.on_compute(u); },
      [&state](const gradient_ready& r) { state.on_ready(r); },
      [&state](resend_tick) { state.on_tick(); },
  };
}

} // namespace troupe::actors
