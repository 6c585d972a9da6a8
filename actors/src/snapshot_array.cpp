#include "troupe/actors/snapshot_array.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

namespace {

// A worker of this process holds two at a time, one that it computes with and one that has just
// landed: those of a few workers are remembered until they are let go,
constexpr std::size_t spares_known = 12;
// and of those that nobody holds any more so many are kept for the next writes.
constexpr std::size_t spares_free = 2;

} // namespace

snapshot_array::snapshot_array(std::span<const float> values,
                               std::shared_ptr<transport::shared_pools> pools)
    : pools_(std::move(pools)), values_(transport::make_shareable(values.size(), pools_)) {
  std::ranges::copy(values, values_->begin());
}

shareable_array snapshot_array::take_spare() {
  auto spare = transport::find_free(spares_, pools_.get());
  if (spare == spares_.end()) return transport::make_shareable(values_->size(), pools_);
  auto fresh = std::move(*spare);
  spares_.erase(spare);
  return fresh;
}

// The oldest may be held by a process that was killed: for ever, so they go first.
void snapshot_array::replace(shareable_array fresh) {
  std::size_t free = 0;
  std::erase_if(spares_, [&](const auto& s) {
    return transport::held_here_alone(s, pools_.get()) && ++free > spares_free;
  });
  if (spares_.size() == spares_known) spares_.erase(spares_.begin());
  spares_.push_back(std::exchange(values_, std::move(fresh)));
}

std::span<float> snapshot_array::writable() {
  if (transport::held_here_alone(values_, pools_.get())) return *values_;
  auto fresh = take_spare();
  std::ranges::copy(*values_, fresh->begin());
  replace(std::move(fresh));
  return *values_;
}

snapshot_array::rewrite snapshot_array::rewritten() {
  if (transport::held_here_alone(values_, pools_.get())) return {values_, *values_};
  snapshot before = values_;
  replace(take_spare());
  return {std::move(before), *values_};
}

} // namespace troupe::actors
