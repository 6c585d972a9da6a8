#pragma once

#include <cstddef>

#include "troupe/values/names.hpp"

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

constexpr std::string_view name_of(loss l) {
  switch (l) {
  case loss::softmax_cross_entropy:
    return "softmax_cross_entropy";
  case loss::binary_cross_entropy:
    return "binary_cross_entropy";
  case loss::mean_squared_error:
    return "mean_squared_error";
  }
  return {};
}

/// One layer of a sequential model.
struct layer_spec {
  enum class kind { dense, relu, tanh, sigmoid };
  kind type = kind::dense;
  std::size_t units = 0; ///< number of outputs; dense only

  friend bool operator==(const layer_spec&, const layer_spec&) = default;
};

constexpr std::string_view name_of(layer_spec::kind k) {
  using enum layer_spec::kind;
  switch (k) {
  case dense:
    return "dense";
  case relu:
    return "relu";
  case tanh:
    return "tanh";
  case sigmoid:
    return "sigmoid";
  }
  return {};
}

/// The form in which the factors of a matrix product are multiplied. Parameters, gradients, sums,
/// losses and activations other than ReLU are float32 in both.
enum class precision {
  fp32,
  /// Each factor is rounded to bfloat16 (8 bits of mantissa, float32's range) before it is
  /// multiplied; the products are summed in float32. A ReLU between two dense layers, and its
  /// derivative, work on the rounded sums.
  bf16
};

constexpr std::string_view name_of(precision p) {
  switch (p) {
  case precision::fp32:
    return "fp32";
  case precision::bf16:
    return "bf16";
  }
  return {};
}

/// Whether this build on this processor multiplies in that precision at full speed. fp32: always.
/// bf16: with oneDNN, on a processor with AVX512-BF16 or AMX-BF16.
bool supports(precision p) noexcept;

} // namespace troupe::tensor
