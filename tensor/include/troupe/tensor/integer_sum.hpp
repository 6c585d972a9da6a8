#pragma once

#include "troupe/model.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::tensor {

/// The share of sample i in parameter j: one of -3..3, mix(mix(i) + j) mod 7 - 3.
int integer_share(std::uint64_t i, std::uint64_t j) noexcept;

/// A model to test a training system with: its gradient is not a mean but the plain sum over the
/// batch's samples of integer_share(i, j), where i is the sample's feature 0 (see make_integers).
/// Parameters start at 0, loss is 0, evaluate() gives loss 0 and no accuracy, predict() gives one 0
/// per row.
///
/// INTEGER-1: sums of these gradients are exact in float in any order while 3 x samples x epochs
/// <= 2^24. So after plain SGD with learning rate 1 every parameter has one right value, and a lost
/// or repeated batch shows.
std::unique_ptr<model> make_integer_sum(std::size_t parameters);

/// The one right answer: the gradients of samples [0, samples) added up.
std::vector<double> expected_sum(std::size_t parameters, std::size_t samples);

} // namespace troupe::tensor
