// How a replica of a shard follows the one before it in its chain and leads the one after it.
#include <algorithm>

#include "troupe/actors/address_book.hpp"
#include "troupe/actors/shard.hpp"

namespace troupe::actors {

namespace {

// So many changes behind, a learner is awaited: the primary's pushes wait for it no longer than for
// a few round trips.
constexpr std::uint64_t caught_up_within = 64;

// States are hashed and compared with every so many ticks.
constexpr std::uint64_t ticks_per_comparison = 5;

// What arrived for headers that never came (their view was replaced) is dropped beyond this.
constexpr std::size_t arriving_max = 256;

} // namespace

void shard_state::on_become(const become_replica& b) {
  if (b.view < part_.view) return;
  if (b.view > part_.view &&
      (image_.header || (part_.downstream_learns && !downstream_.learner_has_image)))
    reached(probe::view_during_image);
  // Or reached again, over another connection.
  const bool reached_now =
      b.view == part_.view && b.downstream && !same_handle(b.downstream, part_.downstream);
  if (b.view == part_.view && !reached_now) { // from a scheduler that was started again
    downstream_.told_caught_up = false;
    tell_if_caught_up();
    return;
  }
  const bool was_primary = part_.primary;
  const bool was_backup = part_.view.value > 0 && !was_primary;
  const bool same = part_.downstream && b.downstream &&
                    part_.downstream_node == b.downstream_node &&
                    part_.downstream.address() == b.downstream.address();
  if (was_primary && !b.primary) owed_answers_.clear();
  const bool has_image = same && (!part_.downstream_learns || downstream_.learner_has_image);
  if (part_.downstream) peers_.erase(downstream_peer());
  if (b.learning && !part_.learning) image_.taken = false;
  const auto previous = std::exchange(part_, b).view;
  downstream_.sent_as.clear();
  const auto part = b.primary    ? history::role::primary
                    : b.learning ? history::role::learner
                                 : history::role::backup;
  record({.what = history::event_kind::view_installed,
          .detail = static_cast<std::uint8_t>(part),
          .sequence = log_.applied(),
          .value = log_.last()});
  using enum log::downstream;
  log_.install(!b.downstream ? none : b.downstream_learns ? learner : successor, has_image);
  downstream_.told_caught_up = false;
  if (b.downstream) introduce(downstream_peer(), b.downstream);
  if (b.primary && !was_primary) {
    upstream_.handle = nullptr;
    upstream_.came_as.clear();
    took_over_ = was_backup;
    if (was_backup) reached(probe::took_over);
    if (was_backup && log_.last() > log_.applied()) reached(probe::took_over_with_open_changes);
    log_.become_primary();
    log_.for_each_open([this](const shard_change& c) {
      if (c.what == shard_change::kind::gradient) open_batches_.insert(c.batch);
    });
  }
  drop_changes_before(previous);
  auto early = std::exchange(early_, {});
  if (auto image = std::exchange(image_.early, std::nullopt)) on_image(*image);
  if (b.downstream && b.downstream_learns && !has_image) bring_up_learner();
  pump();
  tell_if_caught_up();
  for (const auto& r : early) on_replicate(r);
  if (b.primary && !was_primary) {
    accept_waiting_pushes();
    for (auto& then : std::exchange(when_primary_, {})) then();
  }
  after_change();
}

// REPLICA-2: what came of the view before is gone; what came early of this one counts now. So does
// what nobody has announced and came since that view began: parts that go over a bulk connection
// overtake their announcement.
void shard_state::drop_changes_before(view_number previous) {
  std::erase_if(changes_, [&](const auto& entry) {
    const auto& [id, change] = entry;
    if (image_.early && image_.early->transfer == id) return false;
    auto announced = std::ranges::find(early_, id, &replicate::transfer);
    if (announced != early_.end()) return announced->view < part_.view;
    return change.header.has_value() || change.since < previous;
  });
}

void shard_state::accept_waiting_pushes() {
  std::vector<std::pair<peer_number, transfer_id>> waiting;
  for (const auto& [number, p] : peers_)
    for (const auto& a : p.inbound) waiting.emplace_back(number, a.transfer);
  std::ranges::sort(waiting);
  for (auto [number, id] : waiting) accept_if_whole(peers_.at(number), id);
}

// -- from the replica before ----------------------------------------------------------------------

void shard_state::on_replicate(const replicate& r) {
  for (const auto& p : r.first) took_in(p);
  if (r.view < part_.view) reached(probe::stale_view_refused);
  if (r.view < part_.view && !mutant_active(mutant::old_view_accepted)) { // REPLICA-2
    changes_.erase(r.transfer);
    return;
  }
  const bool waits_for_image = part_.learning && !core() && !image_.header;
  if (r.view > part_.view || waits_for_image) {
    reached(probe::change_came_early);
    early_.push_back(r);
    for (const auto& p : std::exchange(early_.back().first, {})) take_replica_part(p);
    return;
  }
  if (part_.primary && !mutant_active(mutant::old_view_accepted)) return;
  introduce(r.sender, r.from);
  upstream_.handle = r.from;
  upstream_.peer = r.sender;
  if (r.sequence <= log_.applied()) {
    reached(probe::change_repeated);
    changes_.erase(r.transfer);
    upstream_.came_as[r.sequence] = r.transfer;
    acknowledge();
    return;
  }
  if (r.transfer == 0) {
    receive(r, {});
    return;
  }
  if (mutant_active(mutant::acknowledged_before_whole))
    self->send(upstream_.handle, replicated{options.id, part_.view, r.sequence, own_peer()});
  arriving_as(r.transfer).header = r;
  for (const auto& p : r.first) take_replica_part(p);
  receive_if_whole(r.transfer);
}

shard_state::arriving_change& shard_state::arriving_as(transfer_id id) {
  return changes_.try_emplace(id, arriving_change{part_.view, {}, {}}).first->second;
}

void shard_state::take_replica_part(const part& p) {
  if (image_.header && p.transfer == image_.header->transfer) {
    if (image_.bytes.add(p)) use_image_if_whole();
    return;
  }
  arriving_as(p.transfer).bytes.add(p);
  receive_if_whole(p.transfer);
  if (changes_.size() <= arriving_max) return;
  auto orphan = std::ranges::find_if(changes_, [](const auto& c) { return !c.second.header; });
  if (orphan != changes_.end()) changes_.erase(orphan);
}

void shard_state::receive_if_whole(transfer_id id) {
  auto i = changes_.find(id);
  if (i == changes_.end() || !i->second.header || !i->second.bytes.complete()) return;
  auto arrived = std::move(i->second);
  changes_.erase(i);
  receive(*arrived.header, arrived.bytes.take_parts());
}

void shard_state::receive(const replicate& r, gradient_blocks gradient) {
  if (r.transfer != 0) upstream_.came_as[r.sequence] = r.transfer;
  log_.receive(r.sequence, {static_cast<shard_change::kind>(r.what), r.worker, r.clock, r.batch,
                            r.seen_updates, std::move(gradient)});
  pump();
}

void shard_state::on_image(const replica_image& i) {
  const bool from_archive = i.sender == transport::archive_peer;
  if (from_archive && core()) { // sent again: the answer was lost
    self->send(i.from, replicated{options.id, part_.view, log_.applied(), own_peer()});
    return;
  }
  if (!from_archive && i.view < part_.view) return;
  if (!from_archive && i.view > part_.view) {
    reached(probe::image_came_early);
    image_.early = i;
    return;
  }
  if (!from_archive && !part_.learning) return;
  introduce(i.sender, i.from);
  if (image_.taken && core() && i.sequence <= log_.applied()) {
    reached(probe::image_refused);
    // Repeated, overtaken, or of a new tail: it must not take back what was acknowledged.
    self->send(i.from, replicated{options.id, part_.view, log_.applied(), own_peer()});
    return;
  }
  image_.header = i;
  image_.bytes = {};
  options.slot->core = nullptr; // an earlier image of a tail that was lost
  log_ = log{i.sequence};
  owed_answers_.clear();
  if (auto before = changes_.extract(i.transfer)) image_.bytes = std::move(before.mapped().bytes);
  use_image_if_whole();
  for (const auto& r : std::exchange(early_, {})) on_replicate(r);
}

void shard_state::use_image_if_whole() {
  if (!image_.header || !image_.bytes.complete() || image_.bytes.total() != image_.header->bytes)
    return;
  tensor::aligned_vector<std::byte> bytes(image_.header->bytes);
  for (const auto& [offset, b] : image_.bytes.parts())
    std::ranges::copy(b.bytes(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  options.slot->core = std::make_shared<shard_core>(options.core, storage::decode(bytes));
  auto done = *std::exchange(image_.header, std::nullopt);
  image_.bytes = {};
  auto& from = known(done.sender);
  from.link.whole(done.transfer);
  give_credit(from);
  if (options.recorder) record_image(done);
  image_.taken = part_.learning;
  self->send(done.from, replicated{options.id, part_.view, done.sequence, own_peer()});
  pump();
}

void shard_state::record_image(const replica_image& used) {
  const auto image = core()->image();
  const auto known =
      core()->reads_are_exact() ? core()->current_step() : core()->applied_everywhere().size();
  record({.what = history::event_kind::image_used,
          .clock = used.checkpoint,
          .sequence = used.sequence,
          .batch = history::as_batch(known),
          .value = state_hash(image)});
}

// -- to the replica after -------------------------------------------------------------------------

void shard_state::send_change(std::uint64_t sequence, const shard_change& change) {
  replicate r{options.id,
              part_.view,
              sequence,
              static_cast<std::uint8_t>(change.what),
              change.worker,
              change.clock,
              change.batch,
              change.seen_updates,
              0,
              own_peer(),
              shard_actor{self}};
  if (change.gradient.empty()) {
    self->send(part_.downstream, r);
    return;
  }
  r.transfer = ids_.next();
  downstream_.sent_as[sequence] = r.transfer;
  std::uint64_t total = 0;
  for (const auto& [offset, b] : change.gradient) total += b.size();
  std::vector<part> parts;
  for (const auto& [offset, b] : change.gradient)
    parts.push_back({r.transfer, own_peer(), offset, total, b});
  auto& to = known(downstream_peer());
  to.link.send(
      parts,
      [&](std::vector<part> first) {
        r.first = std::move(first);
        self->send(part_.downstream, std::move(r));
      },
      poster(to));
}

void shard_state::on_replicated(const replicated& r) {
  const bool of_view = r.view == part_.view || mutant_active(mutant::old_view_accepted);
  if (!of_view || !part_.downstream || r.sender != downstream_peer()) return;
  downstream_.moved = true;
  log_.acknowledge(r.sequence);
  auto& to = known(downstream_peer());
  const auto open = downstream_.sent_as.upper_bound(r.sequence);
  for (auto i = downstream_.sent_as.begin(); i != open; i = downstream_.sent_as.erase(i))
    to.link.answered(i->second, r.key);
  to.link.flush(poster(to));
  if (r.compared > downstream_.compared.sequence) downstream_.compared = {r.compared, r.hash};
  if (part_.downstream_learns && r.sequence >= downstream_.learner_image)
    downstream_.learner_has_image = true;
  tell_if_caught_up();
  pump();
}

void shard_state::bring_up_learner() {
  if (!core()) return; // the image that it waits for itself comes first
  auto image = core()->image();
  image.sequence = mutant_active(mutant::image_numbered_ahead) ? log_.last() : log_.applied();
  downstream_.learner_image = image.sequence;
  downstream_.learner_has_image = false;
  log_.learner_begins();
  if (options.recorder)
    record({.what = history::event_kind::image_sent,
            .sequence = image.sequence,
            .value = state_hash(image)});
  send_image(downstream_peer(), image, {options.id, part_.view, image.sequence, 0, 0, 0, 0, {}});
}

void shard_state::send_image(peer_number to, const shard_image& image, replica_image header) {
  auto bytes = std::make_shared<const tensor::aligned_vector<std::byte>>(storage::encode(image));
  header.transfer = ids_.next();
  header.bytes = bytes->size();
  header.sender = own_number(to);
  header.from = shard_actor{self};
  auto& p = known(to);
  p.link.give_up(p.sending); // an earlier one was used or given up
  p.sending = header.transfer;
  if (to == transport::archive_peer)
    self->send(caf::actor_cast<archive_actor>(p.handle), header);
  else
    self->send(part_.downstream, header);
  p.link.send({header.transfer, bytes, bytes->data(), bytes->size()}, poster(p));
}

void shard_state::tell_if_caught_up() {
  const bool has_image =
      downstream_.learner_has_image || mutant_active(mutant::learner_joins_early);
  if (!part_.downstream_learns || downstream_.told_caught_up || !has_image ||
      log_.last() - log_.acknowledged() > caught_up_within)
    return;
  log_.await_learner();
  if (!log_.learner_may_join()) return;
  downstream_.told_caught_up = true;
  self->send(options.scheduler, caught_up{options.id, part_.view, part_.downstream_node});
}

void shard_state::on_tick() {
  self->delayed_send(self, options.resend_after, replica_tick{});
  for (auto& [number, p] : peers_)
    if (p.handle) p.link.flush(poster(p)); // TRANSFER-7
  const bool followed = part_.downstream && !part_.downstream_learns;
  if (part_.primary && core() && followed && log_.last() > own_hash_.sequence &&
      ++ticks_ % ticks_per_comparison == 0)
    append({shard_change::kind::compare, {}, 0, {}, unknown_updates, {}}, {});
  const bool moved = std::exchange(downstream_.moved, false);
  const bool image_open = part_.downstream_learns && !downstream_.learner_has_image;
  if (!part_.downstream || moved || (log_.acknowledged() == log_.last() && !image_open)) return;
  // Nothing moved: what was sent may have been lost.
  reached(image_open ? probe::image_sent_again : probe::changes_sent_again);
  known(downstream_peer()).link.lost();
  if (image_open)
    bring_up_learner();
  else
    log_.send_again();
  pump();
}

// REPLICA-6
void shard_state::compare(std::uint64_t sequence) {
  own_hash_ = {sequence, state_hash(core()->image())};
  record(
      {.what = history::event_kind::state_hashed, .sequence = sequence, .value = own_hash_.hash});
  if (!part_.downstream || part_.downstream_learns || downstream_.compared.sequence != sequence ||
      downstream_.compared.hash == own_hash_.hash)
    return;
  self->send(options.scheduler, diverged{options.id, part_.view, part_.downstream_node});
}

void shard_state::acknowledge() {
  const bool follows = !part_.primary || mutant_active(mutant::old_view_accepted);
  if (!follows || !upstream_.handle) return;
  auto& upstream = known(upstream_.peer).link;
  const auto open = upstream_.came_as.upper_bound(log_.applied());
  for (auto i = upstream_.came_as.begin(); i != open; i = upstream_.came_as.erase(i))
    upstream.answer(i->second);
  self->send(upstream_.handle, replicated{options.id, part_.view, log_.applied(), own_peer(),
                                          own_hash_.sequence, own_hash_.hash, upstream.key()});
}

// -- checkpoints, and a scheduler that was started again ------------------------------------------

void shard_state::on_take_image(const take_image& t) {
  if (!part_.primary || !core()) { // REPLICA-4
    when_primary_.push_back([this, t] { on_take_image(t); });
    return;
  }
  introduce(transport::archive_peer, t.archive);
  auto take = [this, t] {
    auto image = core()->checkpoint(t.evaluated);
    if (options.recorder)
      record({.what = history::event_kind::image_taken,
              .clock = t.checkpoint,
              .sequence = log_.applied(),
              .batch = history::as_batch(core()->current_step()),
              .value = state_hash(image)});
    send_image(transport::archive_peer, image,
               {options.id, part_.view, 0, t.checkpoint, 0, 0, 0, {}});
  };
  if (core()->reads_are_exact())
    core()->at_step(t.step, take);
  else
    take();
}

caf::result<applied_report> shard_state::on_applied_request() const {
  if (!part_.primary || !core()) return make_error(errc::not_primary);
  return applied_report{options.id, core()->applied_everywhere()};
}

} // namespace troupe::actors
