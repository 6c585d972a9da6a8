#include "troupe/actors/snapshot_array.hpp"

#include <algorithm>
#include <atomic>

namespace troupe::actors {

namespace {

// A worker of this process holds two at a time, one that it computes with and one that has just
// landed: those of a few workers are remembered until they are let go,
constexpr std::size_t spares_known = 12;
// and of those that nobody holds any more so many are kept for the next writes.
constexpr std::size_t spares_free = 2;

bool unheld(const std::shared_ptr<tensor::aligned_vector<float>>& memory) {
  return memory.use_count() == 1;
}

} // namespace

bool snapshot_array::unshared() const {
  if (values_.use_count() != 1) return false;
  // The last reader's accesses come before its release of the pointer.
  std::atomic_thread_fence(std::memory_order_acquire);
  return true;
}

// Null when somebody still reads each of them.
snapshot_array::memory snapshot_array::take_spare() {
  auto spare = std::ranges::find_if(spares_, unheld);
  if (spare == spares_.end()) return nullptr;
  std::atomic_thread_fence(std::memory_order_acquire);
  auto fresh = std::move(*spare);
  spares_.erase(spare);
  return fresh;
}

void snapshot_array::replace(memory fresh) {
  std::size_t free = 0;
  std::erase_if(spares_, [&free](const auto& s) { return unheld(s) && ++free > spares_free; });
  if (spares_.size() < spares_known) spares_.push_back(values_);
  values_ = std::move(fresh);
}

std::span<float> snapshot_array::writable() {
  if (unshared()) return *values_;
  auto fresh = take_spare();
  if (fresh)
    *fresh = *values_;
  else
    fresh = std::make_shared<tensor::aligned_vector<float>>(*values_);
  replace(std::move(fresh));
  return *values_;
}

snapshot_array::rewrite snapshot_array::rewritten() {
  if (unshared()) return {values_, *values_};
  auto fresh = take_spare();
  if (!fresh) fresh = std::make_shared<tensor::aligned_vector<float>>(values_->size());
  snapshot before = values_;
  replace(std::move(fresh));
  return {std::move(before), *values_};
}

} // namespace troupe::actors
