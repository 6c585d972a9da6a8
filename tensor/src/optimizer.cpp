#include "troupe/tensor/optimizer.hpp"

#include "troupe/values/error.hpp"

#include <cmath>
#include <string>

namespace troupe::tensor {

namespace {

/// The update of one element. The switches are template arguments so that the loop around it has no
/// branch and vectorizes. This file is compiled with -ffp-contract=off (SGD-1).
template <bool Momentum, bool Nesterov, bool Decay>
struct sgd_step {
  static constexpr bool has_momentum = Momentum;

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

} // namespace

sgd::sgd(sgd_options options) : options_(options) {
  const auto refuse = [](const char* expected, float found) {
    throw error("sgd", std::string("expected ") + expected + ", found " + std::to_string(found));
  };
  const auto& o = options;
  if (!(std::isfinite(o.learning_rate) && o.learning_rate >= 0))
    refuse("a finite learning_rate of at least 0", o.learning_rate);
  if (!(o.momentum >= 0 && o.momentum < 1))
    refuse("a momentum of at least 0 and below 1", o.momentum);
  if (!(std::isfinite(o.weight_decay) && o.weight_decay >= 0))
    refuse("a finite weight_decay of at least 0", o.weight_decay);
  if (o.nesterov && o.momentum == 0) refuse("a momentum above 0 with nesterov", o.momentum);
}

void sgd::apply(std::span<float> parameters, std::span<const float> gradient,
                std::span<float> state, float scale) const {
  apply_into(parameters, parameters, gradient, state, scale);
}

void sgd::apply_into(std::span<const float> before, std::span<float> after,
                     std::span<const float> gradient, std::span<float> state, float scale) const {
  const auto n = after.size();
  if (before.size() != n)
    throw error("sgd::apply", "expected parameters of one size, found " +
                                  std::to_string(before.size()) + " and " + std::to_string(n));
  if (gradient.size() != n || state.size() != state_size(n))
    throw error("sgd::apply", "expected " + std::to_string(n) + " gradients and " +
                                  std::to_string(state_size(n)) + " floats of state, found " +
                                  std::to_string(gradient.size()) + " and " +
                                  std::to_string(state.size()));
  const auto options = options_;
  with_sgd_step(options_, [&](auto step) {
    const float* __restrict g = gradient.data();
    float* __restrict v = state.data();
    const auto one = [&](float& p, std::size_t i) {
      if constexpr (step.has_momentum)
        step(options, p, scale * g[i], v[i]);
      else
        step(options, p, scale * g[i]);
    };
    float* __restrict to = after.data();
    if (before.data() == to) { // two loops: that the memory is another lets the second vectorize
      for (std::size_t i = 0; i < n; ++i) one(to[i], i);
      return;
    }
    const float* __restrict from = before.data();
    for (std::size_t i = 0; i < n; ++i) {
      float p = from[i];
      one(p, i);
      to[i] = p;
    }
  });
}

} // namespace troupe::tensor
