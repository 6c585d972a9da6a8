#include "troupe/actors/snapshot_array.hpp"

#include <algorithm>
#include <atomic>

namespace troupe::actors {

namespace {

// Two snapshots may be on their way to slow readers while a third is being made.
constexpr std::size_t spares_kept = 3;

} // namespace

std::span<float> snapshot_array::writable() {
  if (values_.use_count() == 1) {
    // The last reader's accesses come before its release of the pointer.
    std::atomic_thread_fence(std::memory_order_acquire);
    return *values_;
  }
  auto spare = std::ranges::find_if(spares_, [](const auto& s) { return s.use_count() == 1; });
  std::shared_ptr<tensor::aligned_vector<float>> fresh;
  if (spare != spares_.end()) {
    std::atomic_thread_fence(std::memory_order_acquire);
    fresh = std::move(*spare);
    spares_.erase(spare);
    *fresh = *values_;
  } else {
    fresh = std::make_shared<tensor::aligned_vector<float>>(*values_);
  }
  if (spares_.size() < spares_kept) spares_.push_back(values_);
  values_ = std::move(fresh);
  return *values_;
}

} // namespace troupe::actors
