#pragma once

namespace troupe::tensor {

/// In what form the factors of a matrix product are multiplied. Parameters, gradients, sums, losses
/// and activations other than ReLU are float32 in both.
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
