#pragma once

namespace troupe::tensor {

/// Of stochastic gradient descent, in the terms of torch.optim.SGD: see tensor::sgd for the formula.
struct sgd_options {
  float learning_rate = 0.01f;
  float momentum = 0;
  bool nesterov = false;
  float weight_decay = 0;

  friend bool operator==(const sgd_options&, const sgd_options&) = default;
};

} // namespace troupe::tensor
