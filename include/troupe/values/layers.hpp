#pragma once

#include <cstddef>

namespace troupe::tensor {

/// The loss of a sequential model: in each case a mean over the rows of a batch.
enum class loss {
  /// At least 2 logits z, labels in [0, outputs): -log softmax(z)[label]. predict() gives
  /// probabilities.
  softmax_cross_entropy,
  /// Logits z and targets t in [0, 1] (rows x outputs), or one output and labels 0 and 1: the mean
  /// over the outputs of max(z, 0) - z t + log(1 + exp(-|z|)). predict() gives sigmoid(z). A final
  /// sigmoid layer is folded into the loss instead of being applied twice.
  binary_cross_entropy,
  /// Outputs z and targets t (rows x outputs): the mean over the outputs of (z - t)^2, as PyTorch's
  /// MSELoss.
  mean_squared_error
};

/// One layer of a sequential model.
struct layer_spec {
  enum class kind { dense, relu, tanh, sigmoid };
  kind type = kind::dense;
  std::size_t units = 0; ///< number of outputs; dense only

  friend bool operator==(const layer_spec&, const layer_spec&) = default;
};

/// The form in which the factors of a matrix product are multiplied. Parameters, gradients, sums,
/// losses and activations other than ReLU are float32 in both.
enum class precision {
  fp32,
  /// Each factor is rounded to bfloat16 (8 bits of mantissa, float32's range) before it is
  /// multiplied; the products are summed in float32. A ReLU between two dense layers, and its
  /// derivative, work on the rounded sums.
  bf16
};

/// Whether this build on this processor multiplies in that precision at full speed. fp32: always.
/// bf16: with oneDNN, on a processor with AVX512-BF16 or AMX-BF16.
bool supports(precision p) noexcept;

} // namespace troupe::tensor
