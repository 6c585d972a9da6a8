#include "troupe/transport/shareable_array.hpp"

#include <algorithm>
#include <atomic>

namespace troupe::transport {

namespace {

// Whoever holds the array last may end after whoever made the pools.
struct array_of_pools {
  std::shared_ptr<shared_pools> pools;
  tensor::aligned_vector<float> values;
};

} // namespace

shareable_array make_shareable(std::size_t size, const std::shared_ptr<shared_pools>& pools) {
  if (!pools) return std::make_shared<tensor::aligned_vector<float>>(size);
  const tensor::aligned_allocator<float> where{pools->arrays()};
  auto kept = std::make_shared<array_of_pools>(pools, tensor::aligned_vector<float>(size, where));
  auto* values = &kept->values;
  return {std::move(kept), values};
}

bool held_here_alone(const shareable_array& a, const shared_pools* pools) {
  if (a.use_count() != 1) return false;
  // The last reader's accesses, and its lending to another process, come before its release of the
  // pointer.
  std::atomic_thread_fence(std::memory_order_acquire);
  return pools == nullptr || !pools->held_elsewhere(a->data());
}

std::vector<shareable_array>::iterator find_free(std::vector<shareable_array>& arrays,
                                                 const shared_pools* pools) {
  const auto free = [pools](const auto& a) { return held_here_alone(a, pools); };
  if (pools != nullptr)
    std::erase_if(arrays, [&](const auto& a) { return free(a) && pools->outdated(a->data()); });
  return std::ranges::find_if(arrays, free);
}

} // namespace troupe::transport
