#pragma once

#include <cstddef>
#include <span>

namespace troupe::tensor {

struct sgd_options {
  float learning_rate = 0.01f;
  float momentum = 0;
  bool nesterov = false;
  float weight_decay = 0;

  friend bool operator==(const sgd_options&, const sgd_options&) = default;
};

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

  /// The spans must not overlap. Throws `error` when their sizes do not agree, having changed
  /// nothing.
  void apply(std::span<float> parameters, std::span<const float> gradient,
             std::span<float> state) const;

 private:
  sgd_options options_;
};

} // namespace troupe::tensor
