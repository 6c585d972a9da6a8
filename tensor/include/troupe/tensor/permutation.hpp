#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::tensor {

/// The sample order of one epoch: a permutation of 0..n-1 that depends on nothing but the
/// arguments. Fisher-Yates (Durstenfeld's form) over troupe::tensor::generator(seed, epoch + 1).
///
/// PERMUTATION-1: the same arguments give the same order on every platform. Batch identity rests on
/// it: batch b of an epoch is positions [b*B, (b+1)*B) of this vector.
///
/// Throws `error` when n exceeds 2^32 - 1.
std::vector<std::uint32_t> permutation(std::size_t n, std::uint64_t seed, std::uint32_t epoch);

} // namespace troupe::tensor
