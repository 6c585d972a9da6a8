#pragma once

#include "troupe/data_set.hpp"

#include <cstddef>

namespace troupe::tensor {

/// Samples for make_integer_sum: sample i has one feature, i itself, and one target, 0. Throws
/// `error` above 2^24 samples, where a float no longer holds every integer.
data_set make_integers(std::size_t samples);

} // namespace troupe::tensor
