#include "troupe/actors/archive.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>

#include "troupe/actors/bulk_routes.hpp"
#include "troupe/supervisor.hpp"

namespace troupe::actors {

void archive_state::start(archive_options o) {
  options_ = std::move(o);
  store_.emplace(options_.folder, options_.keep, options_.files);
  self->delayed_send(self, options_.resend_after, archive_tick{});
}

// -- writing --------------------------------------------------------------------------------------

void archive_state::on_open(const open_checkpoint& o) {
  if (open_) give_up("another checkpoint was begun");
  open_ = o;
  arriving_.clear();
  announced_.clear();
  stored_.clear();
}

void archive_state::give_up(const std::string& why) {
  if (!open_) return;
  auto number = std::exchange(open_, std::nullopt)->number;
  store_->discard(number);
  arriving_.clear();
  self->send(options_.scheduler, checkpoint_ended{number, 0, why});
}

void archive_state::on_image(const replica_image& i) {
  if (const auto before = senders_.find(i.sender);
      before != senders_.end() && before->second.handle &&
      before->second.handle.address() != i.from.address())
    senders_.erase(before); // the shard has another primary
  auto& from = known(i.sender);
  from.handle = i.from;
  give_credit(from);
  if (!open_ || i.checkpoint != open_->number || i.shard.value >= options_.ranges.size()) return;
  const arrival of{i.sender, i.transfer};
  arriving_[of].header = i;
  announced_.insert(i.shard.value);
  if (announced_.size() == options_.ranges.size())
    self->send(options_.scheduler, images_arrived{open_->number});
  store_if_whole(of);
}

void archive_state::on_part(const part& p) {
  auto& from = known(p.from);
  from.link.take(p);
  give_credit(from);
  if (!open_) return;
  const arrival of{p.from, p.transfer};
  arriving_[of].bytes.add(p);
  store_if_whole(of);
}

archive_state::sender& archive_state::known(peer_number number) {
  return senders_.try_emplace(number, options_.pools.get()).first->second;
}

void archive_state::give_credit(sender& to) {
  if (!to.handle) return;
  to.link.post_credit([&](const credit& c) { self->send(to.handle, c); });
}

void archive_state::store_if_whole(const arrival& of) {
  auto i = arriving_.find(of);
  if (i == arriving_.end() || !i->second.header || !i->second.bytes.complete() ||
      i->second.bytes.total() != i->second.header->bytes)
    return;
  auto arrived = std::move(i->second);
  arriving_.erase(i);
  auto& from = known(arrived.header->sender);
  from.link.whole(of.second);
  give_credit(from);
  auto shard = arrived.header->shard.value;
  try {
    tensor::aligned_vector<std::byte> bytes(arrived.header->bytes);
    for (const auto& [offset, b] : arrived.bytes.parts())
      std::ranges::copy(b.bytes(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    auto image = storage::decode(bytes);
    if (image.range != options_.ranges[shard])
      throw std::runtime_error("the image of " + to_string(shard_id{shard}) +
                               " is of other parameters than the shard's");
    store_->write_shard(open_->number, shard, options_.ranges[shard], bytes);
    auto common = image.segments.front().applied;
    for (const auto& s : image.segments) common = scheduler::intersection(common, s.applied);
    stored_.insert_or_assign(shard, std::move(common));
    if (stored_.size() < options_.ranges.size()) return;
    auto all = stored_.begin()->second;
    for (const auto& [s, applied] : stored_) all = scheduler::intersection(all, applied);
    storage::checkpoint_manifest manifest;
    manifest.job_id = options_.job_id;
    manifest.batches_per_epoch = options_.batches_per_epoch;
    manifest.epochs = options_.epochs;
    manifest.evaluated_epochs = open_->evaluated_epochs;
    manifest.batches = all.size();
    manifest.taken_at = open_->taken_at;
    manifest.workload = options_.workload.text();
    if (options_.recorder)
      options_.recorder->record({.what = history::event_kind::checkpoint_written,
                                 .clock = open_->number,
                                 .value = all.size()});
    store_->commit(open_->number, std::move(manifest));
    auto number = std::exchange(open_, std::nullopt)->number;
    self->send(options_.scheduler, checkpoint_ended{number, all.size(), {}});
  } catch (const std::exception& e) {
    give_up(e.what());
  }
}

// What was trained on other data would go on as if nothing had happened.
std::string archive_state::other_workload(const storage::checkpoint_manifest& m) const {
  using jobs::workload_identity;
  const auto difference =
      workload_identity::from_text(m.workload)
          .difference(options_.workload, workload_identity::arithmetic::ignored);
  if (difference.empty()) return {};
  return "the data or the model are not those of checkpoint " + std::to_string(m.number) + "; " +
         difference;
}

// -- giving back ----------------------------------------------------------------------------------

void archive_state::on_load(const load_checkpoint& l) {
  checkpoint_loaded answer;
  answer.generation = l.generation;
  answer.completed = scheduler::applied_set{options_.batches_per_epoch, options_.epochs};
  try {
    give_up("the run goes back to an earlier one");
    std::vector<checkpoint_store::refused> refused;
    loaded_ = store_->load_newest(refused);
    for (const auto& r : refused) {
      answer.refused.push_back(r.why);
      answer.damaged = answer.damaged || r.damaged;
    }
    answer.next_number = store_->next_number();
    if (loaded_ && (loaded_->manifest.batches_per_epoch != options_.batches_per_epoch ||
                    loaded_->manifest.epochs != options_.epochs)) {
      answer.refused.push_back("the newest checkpoint is of a job with other batches or epochs");
      answer.damaged = true;
      loaded_.reset();
    }
    if (loaded_) answer.error = other_workload(loaded_->manifest);
    if (loaded_ && answer.error.empty()) {
      answer.found = true;
      answer.number = loaded_->manifest.number;
      answer.evaluated_epochs = loaded_->manifest.evaluated_epochs;
      auto all = loaded_->images.front().segments.front().applied;
      for (const auto& image : loaded_->images)
        for (const auto& s : image.segments) all = scheduler::intersection(all, s.applied);
      answer.completed = std::move(all);
    }
  } catch (const std::exception& e) {
    answer.error = std::string("the checkpoints cannot be read: ") + e.what();
  }
  self->send(options_.scheduler, std::move(answer));
}

void archive_state::on_send(const send_images& s) {
  if (!loaded_) return;
  generation_ = s.generation;
  receivers_.clear();
  restored_ = loaded_->manifest.number;
  auto images = storage::reshard(std::exchange(loaded_, std::nullopt)->images, options_.ranges);
  for (std::uint32_t i = 0; i < images.size(); ++i) {
    auto bytes =
        std::make_shared<const tensor::aligned_vector<std::byte>>(storage::encode(images[i]));
    receiver to{s.replicas.at(i), std::move(bytes), 0,
                transport::peer{transport::archive_peer, options_.pools.get()}};
    hand_out(i, receivers_.insert_or_assign(i, std::move(to)).first->second);
  }
}

void archive_state::hand_out(std::uint32_t shard, receiver& r) {
  r.transfer = ids_.next();
  r.link.lost();
  r.link.reach_over(bulk_lane_to(self->system(), r.replica));
  self->send(r.replica, replica_image{shard_id{shard},
                                      {},
                                      0,
                                      restored_,
                                      r.image->size(),
                                      r.transfer,
                                      transport::archive_peer,
                                      archive_actor{self}});
  r.link.send({r.transfer, r.image, r.image->data(), r.image->size()},
              [&](part p) { self->send(r.replica, std::move(p)); });
}

void archive_state::on_credit(const credit& c) {
  auto i = std::ranges::find_if(receivers_,
                                [&](const auto& r) { return r.second.transfer == c.transfer; });
  if (i == receivers_.end()) return;
  auto& r = i->second;
  r.moved = true;
  r.link.take(c, [&](part p) { self->send(r.replica, std::move(p)); });
}

void archive_state::on_replicated(const replicated& r) {
  auto i = receivers_.find(r.shard.value);
  // One of an earlier restore says nothing about the image of this one.
  if (i == receivers_.end() ||
      caf::actor_cast<caf::actor_addr>(self->current_sender()) != i->second.replica.address())
    return;
  receivers_.erase(i);
  if (receivers_.empty()) self->send(options_.scheduler, images_sent{generation_});
}

// ARCHIVE-3
void archive_state::on_tick() {
  self->delayed_send(self, options_.resend_after, archive_tick{});
  for (auto& [shard, r] : receivers_)
    if (!std::exchange(r.moved, false)) {
      reached(probe::restore_sent_again);
      hand_out(shard, r);
    }
}

archive_impl_actor::behavior_type archive(archive_state::self_pointer self,
                                          archive_options options) {
  auto& state = self->state;
  keep_exception_text(self);
  state.start(std::move(options));
  return {
      [&state](const part& p) { state.on_part(p); },
      [&state](const credit& c) { state.on_credit(c); },
      [&state](const replica_image& i) { state.on_image(i); },
      [&state](const replicated& r) { state.on_replicated(r); },
      [&state](const load_checkpoint& l) { state.on_load(l); },
      [&state](const send_images& s) { state.on_send(s); },
      [&state](const open_checkpoint& o) { state.on_open(o); },
      [&state](archive_tick) { state.on_tick(); },
      [&state](const give_up_checkpoint&) { state.give_up("it was given up"); },
  };
}

} // namespace troupe::actors
