#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "troupe/transport/shared_pools.hpp"
#include "troupe/values/aligned.hpp"

/// Arrays that other processes of the host read in place (POOL-5), if these processes share memory
/// with this process; ordinary arrays otherwise.
namespace troupe::transport {

using shareable_array = std::shared_ptr<tensor::aligned_vector<float>>;

/// `size` zeros, in memory of these pools, which the array keeps; null: of the heap. Thread-safe.
shareable_array make_shareable(std::size_t size, const std::shared_ptr<shared_pools>& pools);

/// Whether the caller's pointer is the only holder of the array, in this process and in others.
/// Then all reads by others are over, and the array may be written. `pools`: the pools that the
/// array was made of. Thread-safe, as long as no other thread copies that pointer meanwhile.
bool held_here_alone(const shareable_array& a, const shared_pools* pools);

/// Removes arrays that other processes cannot read in place any more, and returns the first array
/// that only this vector holds.
std::vector<shareable_array>::iterator find_free(std::vector<shareable_array>& arrays,
                                                 const shared_pools* pools);

} // namespace troupe::transport
