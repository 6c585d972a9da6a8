#include "basic_sequential.hpp"

#include "activations.hpp"
#include "close.hpp"
#include "troupe/random.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

using namespace troupe::tensor;
using kind = layer_spec::kind;

namespace {

/// A batch in double precision with labels or targets as the loss wants them.
struct double_batch {
  std::vector<double> features;
  std::vector<std::int32_t> labels;
  std::vector<double> targets;
  basic_batch<double> view;

  double_batch(std::size_t rows, std::size_t inputs, std::size_t outputs, loss l,
               generator& random) {
    for (std::size_t i = 0; i < rows * inputs; ++i) features.push_back(random.normal());
    if (l == loss::softmax_cross_entropy) {
      for (std::size_t i = 0; i < rows; ++i)
        labels.push_back(static_cast<std::int32_t>(random.below(outputs)));
    } else {
      for (std::size_t i = 0; i < rows * outputs; ++i)
        targets.push_back(l == loss::binary_cross_entropy ? random.uniform() : random.normal());
    }
    view = {features, rows, inputs, {labels, targets, targets.empty() ? 0 : outputs}};
  }
};

void check_gradient(const std::vector<layer_spec>& layers, loss l, std::size_t rows) {
  constexpr std::size_t inputs = 5;
  generator random(17);
  basic_sequential<double> net(inputs, layers, l);
  const double_batch batch(rows, inputs, net.output_count(), l, random);
  const auto n = net.parameter_layout().size();
  std::vector<double> p(n), gradient(n, 99.0), numeric(n), ignored(n);
  // Biases too: at 0, a bias that the gradient forgets would go unnoticed.
  for (auto& x : p) x = 0.5 * random.normal();
  const double value = net.loss_and_gradient(p, batch.view, gradient);
  CHECK(std::isfinite(value));
  CHECK(std::abs(net.evaluate(p, batch.view).loss - value) <= 1e-14);
  constexpr double h = 1e-5;
  for (std::size_t j = 0; j < n; ++j) {
    const double kept = p[j];
    p[j] = kept + h;
    const double above = net.loss_and_gradient(p, batch.view, ignored);
    p[j] = kept - h;
    const double below = net.loss_and_gradient(p, batch.view, ignored);
    p[j] = kept;
    numeric[j] = (above - below) / (2 * h);
  }
  CHECK(close(gradient, numeric, 1e-8));
  double size = 0;
  for (auto x : gradient) size += std::abs(x);
  CHECK(size > 1e-3); // else the comparison says nothing
}

const std::vector<loss> losses{loss::softmax_cross_entropy, loss::binary_cross_entropy,
                               loss::mean_squared_error};

} // namespace

TEST_CASE("a dense layer's gradient is that of central differences under every loss") {
  for (auto l : losses)
    for (std::size_t rows : {1u, 2u, 7u}) check_gradient({{kind::dense, 3}}, l, rows);
}

TEST_CASE("every activation between dense layers has the gradient of central differences") {
  for (auto l : losses)
    for (auto k : activations()) check_gradient({{kind::dense, 7}, {k}, {kind::dense, 3}}, l, 5);
}

TEST_CASE("every activation before the loss has the gradient of central differences") {
  for (auto l : losses)
    for (auto k : activations()) check_gradient({{kind::dense, 4}, {k}}, l, 3);
}

TEST_CASE(
    "activations first, doubled and after one another have the gradient of central differences") {
  for (auto l : losses) {
    check_gradient({{kind::tanh}, {kind::dense, 4}}, l, 3);
    check_gradient(
        {{kind::dense, 4}, {kind::tanh}, {kind::sigmoid}, {kind::relu}, {kind::dense, 3}}, l, 3);
    check_gradient({{kind::sigmoid}, {kind::tanh}, {kind::dense, 3}, {kind::dense, 2}}, l, 3);
    check_gradient({{kind::dense, 3}, {kind::tanh}, {kind::tanh}}, l, 3);
  }
}

TEST_CASE("a deep chain with sizes 1 and odd has the gradient of central differences") {
  check_gradient({{kind::dense, 9},
                  {kind::tanh},
                  {kind::dense, 1},
                  {kind::sigmoid},
                  {kind::dense, 17},
                  {kind::relu},
                  {kind::dense, 3}},
                 loss::softmax_cross_entropy, 11);
  check_gradient({{kind::dense, 1}}, loss::binary_cross_entropy, 4);
  check_gradient({{kind::dense, 1}}, loss::mean_squared_error, 1);
}
