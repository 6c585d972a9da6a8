#pragma once

#include "troupe/data_set.hpp"

#include <cstddef>
#include <cstdint>

namespace troupe::tensor {

/// Draws `samples` grey images of 28 x 28 pixels of the digits 0 to 9: strokes with random slant,
/// rotation, scale, shift, bend, thickness, brightness and noise. Values are multiples of 1/255 in
/// [0, 1], 10 classes, sample i shows a random digit. Needs no file, and is hard enough that a
/// linear model stays clearly below a network with one hidden layer.
///
/// DIGITS-1: sample i depends on (seed, i) alone, so a longer set begins with the shorter one.
data_set make_digits(std::size_t samples, std::uint64_t seed);

} // namespace troupe::tensor
