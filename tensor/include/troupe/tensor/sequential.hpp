#pragma once

#include "troupe/tensor/model.hpp"
#include "troupe/tensor/precision.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace troupe::tensor {

enum class activation { relu, tanh, sigmoid };

/// All are means over the rows of a batch.
enum class loss {
  /// outputs >= 2 logits, labels in [0, outputs): -log softmax(z)[label]. predict() gives
  /// probabilities.
  softmax_cross_entropy,
  /// Logits z, targets t in [0, 1] (rows x outputs), or one output and labels 0 and 1: the mean
  /// over
  /// the outputs of max(z, 0) - z t + log(1 + exp(-|z|)). predict() gives sigmoid(z). A final
  /// sigmoid
  /// layer is folded into the loss instead of being applied twice.
  binary_cross_entropy,
  /// Targets (rows x outputs): the mean over the outputs of (z - t)^2, as PyTorch's MSELoss.
  mean_squared_error
};

struct layer_spec {
  enum class kind { dense, relu, tanh, sigmoid };
  kind type = kind::dense;
  std::size_t units = 0; ///< dense only

  friend bool operator==(const layer_spec&, const layer_spec&) = default;
};

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
