#include "troupe/transport/shareable_array.hpp"

#include <algorithm>
#include <atomic>

#include "troupe/transport/shared_pools.hpp"

namespace troupe::transport {

shareable_array make_shareable(std::size_t size) {
  const tensor::aligned_allocator<float> where{shared_pools::of_process().arrays()};
  return std::make_shared<tensor::aligned_vector<float>>(size, where);
}

bool held_here_alone(const shareable_array& a) {
  if (a.use_count() != 1) return false;
  // The last reader's accesses, and its lending to another process, come before its release of the
  // pointer.
  std::atomic_thread_fence(std::memory_order_acquire);
  return !shared_pools::of_process().held_elsewhere(a->data());
}

std::vector<shareable_array>::iterator find_free(std::vector<shareable_array>& arrays) {
  std::erase_if(arrays, [](const auto& a) {
    return held_here_alone(a) && shared_pools::of_process().outdated(a->data());
  });
  return std::ranges::find_if(arrays, held_here_alone);
}

} // namespace troupe::transport
