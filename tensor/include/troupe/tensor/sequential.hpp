#pragma once

#include "troupe/model.hpp"
#include "troupe/values/layers.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace troupe::tensor {

/// A chain of layers over `inputs` features:
///
///     dense     y [rows x units] = x [rows x in] * weight [in x units] + bias [units]
///     relu, tanh, sigmoid        elementwise, same shape
///
/// The layout holds "dense0.weight", "dense0.bias", "dense1.weight", ... Weights before a relu
/// start as He et al. 2015 (normal, variance 2 / in), all others as Glorot and Bengio 2010
/// (uniform, variance 2 / (in + units)); biases start at 0.
///
/// The precision is that of loss_and_gradient. predict and evaluate multiply in fp32, so a model is
/// measured alike wherever it was trained.
///
/// Throws `error` when the description is impossible: no inputs, no dense layer, a dense layer of
/// no units, units on another layer, or a softmax over fewer than two outputs; and when this build
/// on this processor does not support the precision (supports()).
std::unique_ptr<model> make_sequential(std::size_t inputs, const std::vector<layer_spec>& layers,
                                       loss l, precision p = precision::fp32);

} // namespace troupe::tensor
