#include "basic_sequential.hpp"

#include "activations.hpp"
#include "close.hpp"
#include "refusal.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

using namespace troupe::tensor;
using Catch::Contains;
using kind = layer_spec::kind;

namespace {

/// The loss as a function of its logits: the features go through a dense layer that is the
/// identity, and the gradient by the bias is the sum over the rows of the derivative by the logits.
struct logits {
  std::size_t width;
  loss l;
  std::unique_ptr<model> m;
  std::vector<float> p;
  std::vector<float> gradient;

  logits(std::size_t n, loss which) : width(n), l(which) {
    m = make_sequential(n, {{kind::dense, n}}, which);
    p.assign(m->parameter_layout().size(), 0.0f);
    gradient = p;
    for (std::size_t i = 0; i < n; ++i) p[i * n + i] = 1;
  }
  double operator()(const std::vector<float>& z, const std::vector<std::int32_t>& labels,
                    const std::vector<float>& targets = {}) {
    const batch_view b{z, z.size() / width, width, labels, targets, targets.empty() ? 0 : width};
    return m->loss_and_gradient(p, b, gradient);
  }
  std::vector<float> bias_gradient() const {
    return {gradient.end() - std::ptrdiff_t(width), gradient.end()};
  }
  std::vector<float> predict(const std::vector<float>& z) {
    std::vector<float> out(z.size());
    m->predict(p, {z, z.size() / width, width, {}, {}, 0}, out);
    return out;
  }
};

const float infinity = std::numeric_limits<float>::infinity();

} // namespace

TEST_CASE("softmax cross-entropy has its closed-form values") {
  logits ce(4, loss::softmax_cross_entropy);
  // Equal logits: log of the number of classes, whatever their size.
  CHECK(std::abs(ce({0, 0, 0, 0}, {2}) - std::log(4.0)) <= 1e-6);
  CHECK(close(ce.bias_gradient(), std::vector<float>{0.25f, 0.25f, -0.75f, 0.25f}, 1e-6));
  CHECK(std::abs(ce({500, 500, 500, 500}, {0}) - std::log(4.0)) <= 1e-6);
  // Logits log(1..4): probabilities k / 10.
  const std::vector<float> z{0, std::log(2.0f), std::log(3.0f), std::log(4.0f)};
  CHECK(std::abs(ce(z, {1}) + std::log(0.2)) <= 1e-6);
  CHECK(close(ce.bias_gradient(), std::vector<float>{0.1f, -0.8f, 0.3f, 0.4f}, 1e-6));
  CHECK(close(ce.predict(z), std::vector<float>{0.1f, 0.2f, 0.3f, 0.4f}, 1e-6));
  // Two rows: the mean of both.
  CHECK(std::abs(ce({0, 0, 0, 0, 80, 0, 0, 0}, {0, 1}) - (std::log(4.0) + 80) / 2) <= 1e-4);
}

TEST_CASE("softmax cross-entropy survives logits whose exponentials overflow") {
  logits ce(2, loss::softmax_cross_entropy);
  CHECK(ce({1000, -1000}, {0}) == 0);
  CHECK(ce({1000, -1000}, {1}) == 2000);
  CHECK(close(ce.bias_gradient(), std::vector<float>{1, -1}, 1e-6));
}

TEST_CASE("binary cross-entropy has its closed-form values") {
  logits bce(1, loss::binary_cross_entropy);
  CHECK(std::abs(bce({0}, {1}) - std::log(2.0)) <= 1e-6);
  CHECK(close(bce.bias_gradient(), std::vector<float>{-0.5f}, 1e-6));
  const float z = std::log(3.0f); // probability 3 / 4
  CHECK(std::abs(bce({z}, {1}) + std::log(0.75)) <= 1e-6);
  CHECK(std::abs(bce({z}, {0}) + std::log(0.25)) <= 1e-6);
  CHECK(close(bce.bias_gradient(), std::vector<float>{0.75f}, 1e-6));
  CHECK(close(bce.predict({z, -z}), std::vector<float>{0.75f, 0.25f}, 1e-6));
  // A soft target in between, and the mean over rows.
  CHECK(std::abs(bce({z}, {}, {0.5f}) + 0.5 * std::log(0.75 * 0.25)) <= 1e-6);
  CHECK(std::abs(bce({z, z}, {0, 1}) + 0.5 * std::log(0.75 * 0.25)) <= 1e-6);
  CHECK(bce({1000}, {0}) == 1000);
  CHECK(bce({-1000}, {1}) == 1000);
  CHECK(std::abs(bce({1000}, {1})) <= 1e-30);
}

TEST_CASE("binary cross-entropy of several outputs is the mean over them") {
  logits bce(2, loss::binary_cross_entropy);
  const float z = std::log(3.0f);
  CHECK(std::abs(bce({z, 0}, {}, {1, 1}) + 0.5 * std::log(0.75 * 0.5)) <= 1e-6);
  CHECK(close(bce.bias_gradient(), std::vector<float>{-0.125f, -0.25f}, 1e-6));
}

TEST_CASE("mean squared error has its closed-form values") {
  logits mse(2, loss::mean_squared_error);
  CHECK(mse({1, 2}, {}, {3, 2}) == 2);
  CHECK(mse.bias_gradient() == std::vector<float>{-2, 0});
  CHECK(mse({1, 2, 0, 0}, {}, {3, 2, 0, 4}) == 5);
  CHECK(mse.bias_gradient() == std::vector<float>{-1, -2});
  CHECK(mse.predict({1, 2}) == std::vector<float>{1, 2});
}

TEST_CASE("a NaN in the data comes out as a NaN loss, through every loss and activation") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(logits(2, loss::softmax_cross_entropy)({nan, 0}, {1})));
  CHECK(std::isnan(logits(2, loss::softmax_cross_entropy)({infinity, 0}, {0})));
  CHECK(std::isnan(logits(1, loss::binary_cross_entropy)({nan}, {1})));
  CHECK(std::isnan(logits(1, loss::mean_squared_error)({nan}, {}, {1})));
  for (auto k : activations()) {
    const auto m =
        make_sequential(1, {{kind::dense, 3}, {k}, {kind::dense, 1}}, loss::mean_squared_error);
    std::vector<float> p(m->parameter_layout().size(), 0.5f), g(p.size());
    const std::vector<float> x{nan}, t{1};
    CHECK(std::isnan(m->loss_and_gradient(p, {x, 1, 1, {}, t, 1}, g)));
  }
}

TEST_CASE("no rows give loss 0 and a gradient of zeros") {
  for (auto l :
       {loss::softmax_cross_entropy, loss::binary_cross_entropy, loss::mean_squared_error}) {
    logits f(2, l);
    f.gradient.assign(f.gradient.size(), 7.0f);
    CHECK(f({}, {}) == 0);
    CHECK(f.gradient == std::vector<float>(f.gradient.size()));
    CHECK(f.predict({}).empty());
  }
}

TEST_CASE("answers that do not fit the loss are refused") {
  logits ce(2, loss::softmax_cross_entropy);
  CHECK_THAT(refusal([&] {
               ce({0, 0}, {2});
             }),
             Contains("labels from 0 to 1") && Contains("label 2"));
  CHECK_THAT(refusal([&] { ce({0, 0}, {-1}); }), Contains("label -1"));
  CHECK_THAT(refusal([&] { ce({0, 0}, {}); }), Contains("expected 1 class labels, found 0"));
  logits bce(1, loss::binary_cross_entropy);
  CHECK_THAT(refusal([&] { bce({0}, {2}); }), Contains("label 2"));
  CHECK_THAT(refusal([&] { bce({0}, {}, {1.5f}); }), Contains("targets from 0 to 1"));
  CHECK_THAT(refusal([&] { bce({0}, {}); }), Contains("class labels"));
  logits two(2, loss::binary_cross_entropy);
  CHECK_THAT(refusal([&] { two({0, 0}, {1}); }), Contains("2 target value(s)"));
  logits mse(2, loss::mean_squared_error);
  CHECK_THAT(refusal([&] {
               mse({0, 0}, {1});
             }),
             Contains("2 target value(s)") && Contains("class labels"));
}
