#pragma once

namespace troupe::tensor {

/// Options of stochastic gradient descent, as in torch.optim.SGD; tensor::sgd gives the formula.
struct sgd_options {
  float learning_rate = 0.01f;
  float momentum = 0;
  bool nesterov = false;
  float weight_decay = 0;

  friend bool operator==(const sgd_options&, const sgd_options&) = default;
};

} // namespace troupe::tensor
