#include "troupe/actors/transfer.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace troupe::actors {

namespace {

// Whether [offset, offset + length) lies in [0, total) without overlapping what `taken` holds.
// `end_of` gives the end of an entry.
template <class Map, class EndOf>
bool fits(const Map& taken, std::uint64_t offset, std::uint64_t length, std::uint64_t total,
          EndOf end_of) {
  if (offset > total || length > total - offset) return false;
  if (length == 0) return false; // an empty part says nothing
  if (offset % sizeof(float) != 0) return false;
  if (length % sizeof(float) != 0 && offset + length != total) return false;
  auto after = taken.lower_bound(offset);
  if (after != taken.end() && after->first < offset + length) return false;
  return after == taken.begin() || end_of(*std::prev(after)) <= offset;
}

// TRANSFER-8
bool may_keep_lent(const part& p) {
  return p.total <= std::uint64_t{default_window} * shared_part_bytes &&
         shared_pools::of_process().contains(p.data.bytes().data());
}

} // namespace

std::vector<part> cut(transfer_id id, peer_number from, std::shared_ptr<const void> owner,
                      const void* data, std::uint64_t bytes, std::uint32_t part_size,
                      std::uint32_t first_size) {
  std::vector<part> parts;
  parts.reserve(bytes / part_size + 2);
  const auto* at = static_cast<const std::byte*>(data);
  auto most = std::min(first_size, part_size);
  for (std::uint64_t offset = 0; offset < bytes;) {
    auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, bytes - offset));
    parts.push_back({id, from, offset, bytes, block{owner, at + offset, size}});
    offset += size;
    most = part_size;
  }
  return parts;
}

void outbound_queue::add(std::vector<part> parts) {
  for (auto& p : parts) waiting_.push_back(std::move(p));
}

void outbound_queue::add(transfer_id id, peer_number from, std::shared_ptr<const void> owner,
                         const void* data, std::uint64_t bytes) {
  if (shares_.value_or(false)) { // parts that lie within a slot are not copied
    static_assert(shared_part_bytes == shared_pools::options{}.slot_bytes);
    const auto left = shared_pools::of_process().left_in_slot(static_cast<const std::byte*>(data));
    const auto first = left > 0 ? left : shared_part_bytes;
    return add(cut(id, from, std::move(owner), data, bytes, shared_part_bytes, first));
  }
  const auto part_size = lane_ && lane_->open() ? bulk_part_bytes : part_bytes;
  add(cut(id, from, std::move(owner), data, bytes, part_size));
}

void outbound_queue::cancel(transfer_id id) {
  std::erase_if(waiting_, [id](const part& p) { return p.transfer == id; });
  auto gone = sent_.extract(id);
  if (gone) on_their_way_ -= static_cast<std::uint32_t>(gone.mapped().size());
}

void outbound_queue::clear() {
  waiting_.clear();
  sent_.clear();
  on_their_way_ = 0;
}

bool outbound_queue::fits_lane(const part& p) const {
  return p.data.size() >= least_bulk_bytes && lane_ && lane_->open();
}

// TRANSFER-7
void outbound_queue::take_back_lost() {
  std::set<std::uint64_t> broken;
  for (auto c : connections_)
    if (lane_->broke(c)) broken.insert(c);
  if (broken.empty()) return;
  for (auto c : broken) connections_.erase(c);
  for (auto i = sent_.rbegin(); i != sent_.rend(); ++i) {
    auto& sent = i->second;
    auto lost = std::ranges::stable_partition(
        sent, [&broken](const auto& s) { return !broken.contains(s.connection); });
    for (auto& p : lost | std::views::reverse) waiting_.push_front(std::move(p.what));
    on_their_way_ -= static_cast<std::uint32_t>(lost.size());
    sent.erase(lost.begin(), lost.end());
  }
  std::erase_if(sent_, [](const auto& entry) { return entry.second.empty(); });
}

std::optional<part> outbound_queue::next() {
  take_back_lost();
  while (!waiting_.empty() && on_their_way_ < window_) {
    auto p = std::move(waiting_.front());
    waiting_.pop_front();
    std::uint64_t connection = 0;
    if (shares_.value_or(false)) p.data = p.data.in_shared_memory();
    if (!p.data.lent() && fits_lane(p)) connection = lane_->send(p);
    ++on_their_way_;
    sent_[p.transfer].push_back({p, connection});
    if (connection == 0) return p;
    connections_.insert(connection);
  }
  return std::nullopt;
}

std::vector<part> outbound_queue::next_of(transfer_id id) {
  std::vector<part> first;
  while (!waiting_.empty() && waiting_.front().transfer == id &&
         (shares_.value_or(false) || !fits_lane(waiting_.front()))) {
    auto p = next();
    if (!p) break;
    first.push_back(std::move(*p));
    if (!first.back().data.lent()) break; // a message holds one part's bytes at most
  }
  return first;
}

void outbound_queue::learn(std::uint64_t key) {
  if (!shares_) shares_ = shared_pools::of_process().shares_with(key);
}

void outbound_queue::settle(transfer_id id, std::uint64_t key) {
  learn(key);
  cancel(id);
}

void outbound_queue::credit(transfer_id id, std::uint32_t parts, std::uint64_t key) {
  learn(key);
  if (*shares_ && key == 0) {
    shares_ = false;
    for (auto& [transfer, sent] : std::exchange(sent_, {}))
      for (auto& [p, connection] : sent) {
        p.data = p.data.as_bytes();
        waiting_.push_front(std::move(p));
      }
    on_their_way_ = 0;
    return;
  }
  auto i = sent_.find(id);
  if (i == sent_.end()) return;
  auto& sent = i->second;
  auto taken = std::min<std::size_t>(parts, sent.size());
  sent.erase(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(taken));
  on_their_way_ -= static_cast<std::uint32_t>(taken);
  if (sent.empty()) sent_.erase(i);
}

void owed_credit::add(const part& p) {
  if (p.data.unreadable()) { // TRANSFER-5
    due_.push_back({1, 0, p.transfer, 0});
    return;
  }
  ++owed_[p.transfer];
  ++parts_;
}

void owed_credit::settle(transfer_id id) {
  if (auto gone = owed_.extract(id)) parts_ -= gone.mapped();
}

void owed_credit::close(transfer_id id) {
  auto gone = owed_.extract(id);
  if (!gone) return;
  parts_ -= gone.mapped();
  due_.push_back({gone.mapped(), 0, id, shared_pools::of_process().key()});
}

std::vector<credit> owed_credit::due(peer_number from) {
  if (parts_ >= most_)
    while (!owed_.empty()) close(owed_.begin()->first);
  auto now = std::exchange(due_, {});
  for (auto& c : now) c.from = from;
  return now;
}

bool inbound_transfer::add(const part& p) {
  if (started_ && p.total != total_) return false;
  auto end_of = [](const auto& e) { return e.first + e.second.size(); };
  if (!fits(parts_, p.offset, p.data.size(), p.total, end_of)) return false;
  started_ = true;
  total_ = p.total;
  parts_.emplace(p.offset, p.data);
  received_ += p.data.size();
  return true;
}

bool landing::add(const part& p) {
  if (p.total != target_.size()) return false;
  auto end_of = [](const auto& e) { return e.first + e.second; };
  if (!fits(taken_, p.offset, p.data.size(), p.total, end_of)) return false;
  if (local_ == local_parts::kept && (!p.data.received() || may_keep_lent(p)))
    kept_.emplace(p.offset, p.data);
  else
    std::memcpy(target_.data() + p.offset, p.data.bytes().data(), p.data.size());
  taken_.emplace(p.offset, p.data.size());
  received_ += p.data.size();
  return true;
}

void range_pulls::begin(std::uint32_t shard, std::span<float> target, transfer_id id,
                        local_parts local) {
  open_[shard] = {id, landing{std::as_writable_bytes(target), local}, std::nullopt, 0};
  owed_[shard].clear();
}

void range_pulls::restart(std::uint32_t shard, transfer_id id) {
  auto& p = open_.at(shard);
  p.transfer = id;
  p.bytes.restart();
  p.own_applied.reset();
  owed_[shard].clear();
}

std::optional<range_pulls::whole> range_pulls::announced(std::uint32_t shard, transfer_id id,
                                                         std::uint64_t own_applied,
                                                         std::uint64_t seen_updates) {
  auto i = open_.find(shard);
  if (i == open_.end() || i->second.transfer != id) return std::nullopt;
  i->second.own_applied = own_applied;
  i->second.seen_updates = seen_updates;
  return close_if_whole(i);
}

std::vector<credit> range_pulls::credit_due(std::uint32_t shard, peer_number own) {
  auto i = owed_.find(shard);
  return i != owed_.end() ? i->second.due(own) : std::vector<credit>{};
}

std::optional<range_pulls::whole> range_pulls::add(const part& p) {
  if (auto owed = owed_.find(p.from); owed != owed_.end()) owed->second.add(p);
  auto i = open_.find(p.from);
  if (i == open_.end() || i->second.transfer != p.transfer || !i->second.bytes.add(p))
    return std::nullopt;
  return close_if_whole(i);
}

std::optional<range_pulls::whole>
range_pulls::close_if_whole(std::map<std::uint32_t, pull_of_range>::iterator i) {
  if (!i->second.own_applied || !i->second.bytes.complete()) return std::nullopt;
  whole result{i->first, *i->second.own_applied, i->second.seen_updates,
               i->second.bytes.take_kept()};
  open_.erase(i);
  return result;
}

std::vector<std::uint32_t> range_pulls::open() const {
  std::vector<std::uint32_t> shards;
  for (const auto& entry : open_) shards.push_back(entry.first);
  return shards;
}

} // namespace troupe::actors
