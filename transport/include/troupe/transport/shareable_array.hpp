#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "troupe/transport/shared_pools.hpp"
#include "troupe/values/aligned.hpp"

/// Arrays that other processes of the host read where they lie (POOL-5), if these share memory with
/// this one; else ordinary ones.
namespace troupe::transport {

using shareable_array = std::shared_ptr<tensor::aligned_vector<float>>;

/// `size` zeros, in memory of these pools, which the array keeps; null: of the heap. Thread-safe.
shareable_array make_shareable(std::size_t size, const std::shared_ptr<shared_pools>& pools);

/// Whether nobody holds the array but the caller's pointer: neither here nor in another process.
/// `pools`: those that the array was made of.
/// Then what others read of it was read before, and it may be written. Thread-safe, as long as no
/// other thread takes a copy of that pointer meanwhile.
bool held_here_alone(const shareable_array& a, const shared_pools* pools);

/// The first of these that is held here alone, after those of them are gone that other processes
/// could not read where they lie any more.
std::vector<shareable_array>::iterator find_free(std::vector<shareable_array>& arrays,
                                                 const shared_pools* pools);

} // namespace troupe::transport
