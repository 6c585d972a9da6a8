#include "troupe/transport/outbound_queue.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace troupe::transport {

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
    const auto left = pools_->left_in_slot(w.data);
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
  if (shares_.value_or(false)) p.data = p.data.in_shared_memory(*pools_);
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
  if (!shares_) shares_ = pools_ != nullptr && pools_->shares_with(key);
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

} // namespace troupe::transport
