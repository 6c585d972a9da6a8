#pragma once

#include "troupe/tensor/optimizer.hpp"

namespace troupe::tensor {

/// The update of one element, in one place for the shard's optimizer and the shared array. The
/// switches are template arguments so that the loop around it has no branch and vectorizes. Include
/// only where -ffp-contract=off is set (SGD-1).
template <bool Momentum, bool Nesterov, bool Decay>
struct sgd_step {
  static constexpr bool has_momentum = Momentum;
  static constexpr bool has_decay = Decay;

  void operator()(const sgd_options& o, float& p, float g) const {
    if constexpr (Decay) g += o.weight_decay * p;
    p -= o.learning_rate * g;
  }

  void operator()(const sgd_options& o, float& p, float g, float& v) const {
    if constexpr (Decay) g += o.weight_decay * p;
    v = o.momentum * v + g;
    if constexpr (Nesterov)
      g += o.momentum * v;
    else
      g = v;
    p -= o.learning_rate * g;
  }
};

/// Calls f with the sgd_step of these options.
template <class F>
void with_sgd_step(const sgd_options& o, F f) {
  const bool decay = o.weight_decay != 0;
  if (o.momentum == 0) {
    if (decay)
      f(sgd_step<false, false, true>{});
    else
      f(sgd_step<false, false, false>{});
  } else if (o.nesterov) {
    if (decay)
      f(sgd_step<true, true, true>{});
    else
      f(sgd_step<true, true, false>{});
  } else {
    if (decay)
      f(sgd_step<true, false, true>{});
    else
      f(sgd_step<true, false, false>{});
  }
}

} // namespace troupe::tensor
