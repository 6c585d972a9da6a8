#include "troupe/transport/transfer.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace troupe::transport {

namespace {

std::uint64_t length_of(const block& b) { return b.size(); }
std::uint64_t length_of(std::uint64_t length) { return length; }

// Where a piece [offset, offset + length) belongs among those taken, which ascend; none: it does
// not lie in [0, total), or overlaps.
template <class Taken>
std::optional<typename Taken::iterator> place_for(Taken& taken, std::uint64_t offset,
                                                  std::uint64_t length, std::uint64_t total) {
  if (offset > total || length > total - offset) return std::nullopt;
  if (length == 0) return std::nullopt; // an empty part says nothing
  if (offset % sizeof(float) != 0) return std::nullopt;
  if (length % sizeof(float) != 0 && offset + length != total) return std::nullopt;
  const auto after =
      std::ranges::lower_bound(taken, offset, {}, [](const auto& piece) { return piece.first; });
  if (after != taken.end() && after->first < offset + length) return std::nullopt;
  if (after != taken.begin()) {
    const auto& [first, before] = *std::prev(after);
    if (first + length_of(before) > offset) return std::nullopt;
  }
  return after;
}

// TRANSFER-8
bool may_keep_lent(const part& p) {
  return p.total <= std::uint64_t{default_window} * shared_part_bytes &&
         shared_pools::of_process().contains(p.data.bytes().data());
}

} // namespace

std::vector<part> cut(transfer_id id, peer_number from, std::shared_ptr<const void> owner,
                      const void* data, std::uint64_t bytes, std::uint32_t part_size) {
  std::vector<part> parts;
  parts.reserve(bytes / part_size + 1);
  const auto* at = static_cast<const std::byte*>(data);
  for (std::uint64_t offset = 0; offset < bytes; offset += part_size) {
    const auto size =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(part_size, bytes - offset));
    parts.push_back({id, from, offset, bytes, block{owner, at + offset, size}});
  }
  return parts;
}

void outbound_queue::add(const std::vector<part>& parts) {
  for (const auto& p : parts) waiting_.push_back(run_of(p));
}

void outbound_queue::add(transfer_id id, peer_number from, std::shared_ptr<const void> owner,
                         const void* data, std::uint64_t bytes) {
  if (bytes == 0) return;
  waiting_.push_back(
      {id, from, 0, bytes, bytes, std::move(owner), static_cast<const std::byte*>(data)});
}

outbound_queue::run outbound_queue::run_of(const part& p) {
  return {p.transfer,           p.from, p.offset, p.offset + p.data.size(), p.total, p.data.owner(),
          p.data.bytes().data()};
}

std::uint64_t outbound_queue::waiting() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& w : waiting_) bytes += w.end - w.offset;
  return bytes;
}

void outbound_queue::cancel(transfer_id id) {
  std::erase_if(waiting_, [id](const run& w) { return w.transfer == id; });
  std::erase_if(sent_, [id](const sent_part& s) { return s.what.transfer == id; });
}

void outbound_queue::clear() {
  waiting_.clear();
  sent_.clear();
}

bool outbound_queue::fits_lane(std::uint32_t size) const {
  return size >= least_bulk_bytes && lane_ && lane_->open();
}

// Of the part that is next.
std::uint32_t outbound_queue::next_size() const {
  const auto& w = waiting_.front();
  auto most = part_bytes;
  if (shares_.value_or(false)) { // what lies within a slot is not copied
    static_assert(shared_part_bytes == shared_pools::options{}.slot_bytes);
    const auto left = shared_pools::of_process().left_in_slot(w.data);
    most = left > 0 ? left : shared_part_bytes;
  } else if (lane_ && lane_->open()) {
    most = bulk_part_bytes;
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, w.end - w.offset));
}

part outbound_queue::take_first(std::uint32_t size) {
  auto& w = waiting_.front();
  const bool last = w.offset + size == w.end;
  part p{w.transfer, w.from, w.offset, w.total,
         block{last ? std::move(w.owner) : w.owner, w.data, size}};
  w.offset += size;
  w.data += size;
  if (last) waiting_.pop_front();
  return p;
}

// TRANSFER-7
void outbound_queue::take_back_lost() {
  if (!lane_) return;
  const auto lost = std::ranges::stable_partition(sent_, [this](const sent_part& s) {
    return s.connection == 0 || !lane_->broke(s.connection);
  });
  for (const auto& s : lost | std::views::reverse) waiting_.push_front(run_of(s.what));
  sent_.erase(lost.begin(), lost.end());
}

// Sends what is first; none: it went over the bulk connection.
std::optional<part> outbound_queue::send_first(bool lane_too) {
  auto p = take_first(next_size());
  std::uint64_t connection = 0;
  if (shares_.value_or(false)) p.data = p.data.in_shared_memory();
  if (lane_too && !p.data.lent() && fits_lane(p.data.size())) connection = lane_->send(p);
  sent_.push_back({p, connection});
  if (connection != 0) return std::nullopt;
  return p;
}

std::optional<part> outbound_queue::next() {
  take_back_lost();
  while (!waiting_.empty() && on_their_way() < window_)
    if (auto p = send_first(true)) return p;
  return std::nullopt;
}

std::vector<part> outbound_queue::next_of(transfer_id id) {
  take_back_lost(); // it goes before this transfer, and not with its announcement
  std::vector<part> first;
  while (!waiting_.empty() && waiting_.front().transfer == id && on_their_way() < window_ &&
         (shares_.value_or(false) || !fits_lane(next_size()))) {
    first.push_back(*send_first(false));
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
    for (const auto& s : sent_ | std::views::reverse) waiting_.push_front(run_of(s.what));
    sent_.clear();
    return;
  }
  std::erase_if(sent_, [&](const sent_part& s) {
    if (s.what.transfer != id || parts == 0) return false;
    --parts;
    return true;
  });
}

void owed_credit::add(const part& p) {
  if (p.data.unreadable()) { // TRANSFER-5
    due_.push_back({1, 0, p.transfer, 0});
    return;
  }
  ++parts_;
  for (auto& [id, parts] : owed_)
    if (id == p.transfer) {
      ++parts;
      return;
    }
  owed_.emplace_back(p.transfer, 1);
}

void owed_credit::settle(transfer_id id) {
  std::erase_if(owed_, [&](const auto& owed) {
    if (owed.first != id) return false;
    parts_ -= owed.second;
    return true;
  });
}

void owed_credit::close(transfer_id id) {
  const auto before = parts_;
  settle(id);
  if (parts_ != before) due_.push_back({before - parts_, 0, id, shared_pools::of_process().key()});
}

void owed_credit::clear() {
  parts_ = 0;
  owed_.clear();
  due_.clear();
}

std::vector<credit> owed_credit::due(peer_number from) {
  if (parts_ >= most_)
    while (!owed_.empty()) close(owed_.front().first);
  auto now = std::exchange(due_, {});
  for (auto& c : now) c.from = from;
  return now;
}

bool inbound_transfer::add(const part& p) {
  if (started_ && p.total != total_) return false;
  const auto place = place_for(parts_, p.offset, p.data.size(), p.total);
  if (!place) return false;
  started_ = true;
  total_ = p.total;
  parts_.emplace(*place, p.offset, p.data);
  received_ += p.data.size();
  return true;
}

void landing::begin(std::span<std::byte> target, local_parts local) {
  target_ = target;
  local_ = local;
  kept_.clear();
  received_ = 0;
  taken_.clear();
}

bool landing::add(const part& p) {
  if (p.total != target_.size()) return false;
  const auto place = place_for(taken_, p.offset, p.data.size(), p.total);
  if (!place) return false;
  taken_.emplace(*place, p.offset, p.data.size());
  received_ += p.data.size();
  if (local_ == local_parts::kept && (!p.data.received() || may_keep_lent(p)))
    kept_.emplace(*place_for(kept_, p.offset, p.data.size(), p.total), p.offset, p.data);
  else
    std::memcpy(target_.data() + p.offset, p.data.bytes().data(), p.data.size());
  return true;
}

void range_pulls::wait_for(pull_of_range& p, transfer_id id) {
  if (p.transfer == 0) ++open_;
  p.transfer = id;
  p.own_applied.reset();
  p.owes = true;
  p.owed.clear();
}

void range_pulls::begin(std::uint32_t shard, std::span<float> target, transfer_id id,
                        local_parts local) {
  if (shard >= pulls_.size()) pulls_.resize(shard + 1);
  auto& p = pulls_[shard];
  p.bytes.begin(std::as_writable_bytes(target), local);
  wait_for(p, id);
}

void range_pulls::restart(std::uint32_t shard, transfer_id id) {
  auto& p = pulls_.at(shard);
  p.bytes.restart();
  wait_for(p, id);
}

void range_pulls::moved(std::uint32_t shard) {
  if (shard >= pulls_.size()) return;
  pulls_[shard].owes = false;
  pulls_[shard].owed.clear();
}

// Its pull, if that is the one that is open.
range_pulls::pull_of_range* range_pulls::of(std::uint32_t shard, transfer_id id) {
  if (id == 0 || shard >= pulls_.size() || pulls_[shard].transfer != id) return nullptr;
  return &pulls_[shard];
}

std::optional<range_pulls::whole> range_pulls::announced(std::uint32_t shard, transfer_id id,
                                                         std::uint64_t own_applied,
                                                         std::uint64_t seen_updates) {
  auto* p = of(shard, id);
  if (p == nullptr) return std::nullopt;
  p->own_applied = own_applied;
  p->seen_updates = seen_updates;
  return close_if_whole(shard);
}

std::vector<credit> range_pulls::credit_due(std::uint32_t shard, peer_number own) {
  return shard < pulls_.size() ? pulls_[shard].owed.due(own) : std::vector<credit>{};
}

std::optional<range_pulls::whole> range_pulls::add(const part& p) {
  if (p.from < pulls_.size() && pulls_[p.from].owes) pulls_[p.from].owed.add(p);
  auto* open = of(p.from, p.transfer);
  if (open == nullptr || !open->bytes.add(p)) return std::nullopt;
  return close_if_whole(p.from);
}

std::optional<range_pulls::whole> range_pulls::close_if_whole(std::uint32_t shard) {
  auto& p = pulls_[shard];
  if (!p.own_applied || !p.bytes.complete()) return std::nullopt;
  p.transfer = 0;
  --open_;
  return whole{shard, *p.own_applied, p.seen_updates, p.bytes.take_kept()};
}

std::vector<std::uint32_t> range_pulls::open() const {
  std::vector<std::uint32_t> shards;
  for (std::uint32_t s = 0; s < pulls_.size(); ++s)
    if (pulls_[s].transfer != 0) shards.push_back(s);
  return shards;
}

} // namespace troupe::transport
