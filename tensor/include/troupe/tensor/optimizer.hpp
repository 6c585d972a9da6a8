#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "troupe/values/optimizer.hpp"

namespace troupe::tensor {

/// Stochastic gradient descent in PyTorch's form (torch.optim.SGD, dampening 0), for each element:
///
///     g += weight_decay * p
///     v  = momentum * v + g            the state; starts at 0
///     g  = nesterov ? g + momentum * v : v
///     p -= learning_rate * g
///
/// SGD-1: the result for an element depends on that element alone, bit for bit. A shard may apply
/// any sub-range, and any cut of the flat vector into ranges gives the same parameters.
///
/// Stateless itself, so any number of threads may use one on disjoint ranges.
class sgd {
 public:
  /// Throws `error` unless learning_rate is finite and >= 0, 0 <= momentum < 1, weight_decay is
  /// finite and >= 0, and nesterov comes with momentum.
  explicit sgd(sgd_options options);

  const sgd_options& options() const noexcept { return options_; }

  /// Floats of state for n parameters: 0 without momentum, else n.
  std::size_t state_size(std::size_t n) const noexcept { return options_.momentum == 0 ? 0 : n; }

  /// Applies `scale` times the gradient. The spans must not overlap. Throws `error` when their
  /// sizes do not agree, having changed nothing.
  void apply(std::span<float> parameters, std::span<const float> gradient, std::span<float> state,
             float scale = 1) const;
  /// The same from one place into another, in one pass: `after` gets what apply() would have made
  /// of `before`, bit for bit. The two are the same memory or do not overlap.
  void apply_into(std::span<const float> before, std::span<float> after,
                  std::span<const float> gradient, std::span<float> state, float scale = 1) const;

 private:
  sgd_options options_;
};

/// By how much a gradient is scaled that was computed without `unseen` updates made since:
/// 1 / (1 + unseen). With momentum a stale gradient is amplified while the parameters move on, and
/// training diverges where fresh gradients converge; dividing the step by the staleness bounds it.
/// After Zhang, Gupta, Lian, Liu 2016, "Staleness-Aware Async-SGD for Distributed Deep Learning".
inline float staleness_scale(std::uint64_t unseen) noexcept {
  return 1.0f / (1.0f + static_cast<float>(unseen));
}

} // namespace troupe::tensor
